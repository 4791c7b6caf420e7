"""A scenario without an expectation."""

TROUBLES = """
schema: ringpost-scenario/1
name: troubles
seed: 1
duration: 4m
devices:
  boat-1:
    start: {lat: 32.0950, lon: 118.7300, speed_mps: 6}
    config:
      kind: patrol_boat
      place: {ring: inner_city, domain: water, site: s, post: p}
      reporting: {position_every: 2s}
      sources: {gnss: {kind: nmea, port: "x"}, board: {kind: sensor_board, port: "x"}}
      rules:
        panic: {kind: switch, source: board, name: panic_button, severity: critical}
  post-1:
    config:
      kind: watch_point
      place: {ring: inner_city, domain: ground, site: s, post: q, lat: 32.1, lon: 118.7}
      sources: {board: {kind: sensor_board, port: "x"}}
timeline:
  - {at: 20s, device: boat-1, fault: line.unplug, source: board, for: 40s}
  - {at: 70s, device: boat-1, fault: receiver.no_fix, source: gnss, for: 40s}
  - {at: 30s, device: boat-1, press: board.panic_button, for: 2s}
"""
"""Two devices without an expectation: only the invariants see what is wrong."""
TROUBLES_NAME = "troubles"
