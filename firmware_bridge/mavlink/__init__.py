"""Drones over MAVLink 1 and 2: attitude, position, battery, mode; optional signatures. Receive-only.

Entry points: `mavlink.Mavlink` (the source), `MavlinkDecoder` (frames in; `Drone`, `StatusText`, `Capture`
and radio `Reading` out). A position passes only where the estimator or the receiver flags it valid; with a
key only signed, new frames count; two vehicles under one number are reported as a fault, never mixed.
OSError means that the line is lost, or that the MAVLink tables are missing. Read this first: `mavlink.py`,
then `vehicle.py`.
"""
