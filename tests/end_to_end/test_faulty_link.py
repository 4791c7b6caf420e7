"""Link faults in real time: an agent's connection to a real broker through the proxy, and a whole scenario."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from simulators.broker import LocalBroker, mosquitto_path
from simulators.faults.faulty_link import FaultyLink, refuse_login
from simulators.scenario.loader import parse
from simulators.scenario.session import run_scenario
from tests.thorough import only_long
from tests.waiting import until

pytestmark = pytest.mark.end_to_end

SCENARIO = """
schema: ringpost-scenario/1
name: links
clock: real
duration: 66s
devices:
  post-1:
    config:
      kind: watch_point
      place: {ring: inner_city, domain: ground, site: demo, post: square, lat: 32.1162, lon: 118.7404}
      broker: {keepalive: 10s}
      reporting: {telemetry_every: 2s, position_every: 5s, health_every: 20s}
      sources: {board: {kind: sensor_board, port: board}}
      rules:
        panic: {kind: switch, source: board, name: panic_button, severity: critical, cool_down: 1s}
timeline:
  - {at: 2s, fault: link.latency, latency: 300ms, for: 6s}
  - {at: 3s, fault: link.slicer, for: 4s}
  - {at: 4s, name: slow, press: board.panic_button, for: 1s}
  - {at: 10s, fault: link.reset, for: 2s}
  - {at: 16s, fault: link.auth_revoked, for: 3s}
  - {at: 17s, press: board.panic_button, for: 1s}
  - {at: 28s, fault: link.down, for: 4s}
  - {at: 40s, fault: broker.restart}
  - {at: 47s, fault: process.hang, for: 5s}
  - {at: 54s, fault: disk.full, for: 6s}
expect:
  - {name: told over a slow link, alert: panic, after: slow, within: 8s, receipt: true}
  - {name: both presses, alert: panic, phases: [new, end], count: 2, receipt: true}
"""


def test_an_agents_connection_meets_each_fault_of_a_link() -> None:
    async def run(broker: LocalBroker) -> None:
        async with FaultyLink(broker.port) as link:

            async def connected() -> Connection:
                connection = Connection(Broker(url=link.url), "post-1", None)
                await connection.open()
                return connection

            async def ends(connection: Connection) -> str:
                while True:
                    event = await connection.event(10)
                    if event is not None and event[0] == "lost":
                        return str(event[1])

            for how, refusal in (("reset", "refused"), ("auth_revoked", "not authori")):
                connection = await connected()
                link.cut(how)
                await ends(connection)
                connection.close()
                with pytest.raises(OSError, match=refusal):
                    await connected()
                assert link.struck(how)
                link.mend()
            link.shape(0.1, 0.0, None, 4)
            connection = await connected()
            assert link.struck("shape")
            link.shape(0.0, 0.0, None, None)
            link.cut("half_open")
            number = connection.subscribe(["a/b"])
            await until(lambda: link.struck("half_open") > 1)
            link.mend()
            await ends(connection)
            connection.close()
            (await connected()).close()
            assert number

    with LocalBroker() as broker:
        asyncio.run(run(broker))


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"\x10\x10\x00\x04MQTT\x05\x02", b"\x20\x03\x00\x87\x00"),
        (b"\x10\x10\x00\x04MQTT\x04\x02", b"\x20\x02\x00\x05"),
        (b"\x16\x03\x01", None),
        (b"", None),
    ],
)
def test_a_login_is_refused_in_the_words_of_its_protocol(data: bytes, answer: bytes | None) -> None:
    assert refuse_login(data) == answer


@only_long
def test_a_scenario_with_link_faults_passes_in_real_time(tmp_path: Path) -> None:
    if mosquitto_path() is None:
        pytest.skip("needs mosquitto: apt-get install mosquitto")
    verdict: Any
    verdict, _ = run_scenario(parse(SCENARIO, name="links", base=tmp_path), tmp_path)
    assert (verdict.complaints(), verdict.verdict) == ([], "passed")
