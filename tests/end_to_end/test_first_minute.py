"""The stage of ``ringpost demo``: each trick has the effect that its button promises."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from simulators.first_minute.demo_stage import demo_stage
from simulators.scenario.delivery import delivery_proof
from tests.waiting import until, until_true

pytestmark = pytest.mark.end_to_end


def test_the_demo_survives_what_is_done_to_it(tmp_path: Path) -> None:
    heard: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def alerts(rule: str, phase: str) -> int:
        return sum((one["alert"]["rule"], one["alert"]["phase"]) == (rule, phase) for one in heard["alert"])

    async def play() -> None:
        async with demo_stage(tmp_path, lambda _, topic, body: heard[topic].append(body)) as demo:
            await until(lambda: heard["birth"], 60)
            await demo.push_fatal()
            await until(
                lambda: any(one.get("state") == "rolled_back" for one in heard["config/reported"]), 90
            )
            pull = asyncio.ensure_future(demo.pull_cable())
            await demo.press()
            await until(lambda: alerts("panic", "new") and alerts("receiver-silent", "new"), 60)
            await asyncio.gather(pull, demo.stop_broker())
            await demo.kill_agent()
            await until(lambda: len(heard["birth"]) > 1 and demo.stage.starts == 2, 60)
            await until(lambda: alerts("receiver-silent", "end"), 60)

    asyncio.run(play())
    proof = asyncio.run(delivery_proof("demo-bridge", tmp_path / "data", tmp_path / "centre.db"))
    assert proof.raised >= 4
    assert proof.lost == 0


def test_no_agent_of_the_demo_outlives_it(tmp_path: Path) -> None:
    """Also where the demo is killed: an agent left behind would hold the lines of other programs."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "schema_version: 1\ndevice: left\nkind: watch_point\nbroker: {url: 'mqtt://127.0.0.1:1'}\n"
        "place: {ring: inner_city, domain: ground, site: s, post: p}\nsources: {}\n"
    )
    command = [sys.executable, "-m", "simulators.first_minute.agent_process", config, tmp_path / "data"]
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE)
    try:
        until_true((tmp_path / "data" / "console.sock").exists, 60)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
