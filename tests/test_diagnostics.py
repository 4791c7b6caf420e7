"""Diagnostics are bounded and hold no secret; a part is restarted alone."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.requests import Command, RestartPart
from agent.config.loader import parse
from agent.config.secret_filter import BLANK, SecretFilter
from agent.control.control import guarded
from agent.control.diagnostics import MAX_PARTS, PART_BYTES, Diagnostics, cleaned, secrets_of, split
from agent.control.restart import PartRestarts
from agent.runtime.health import Health
from agent.runtime.recent_warnings import KEPT, MAX_CHARACTERS, RECENT, keep_warning

CONFIG = """\
schema_version: 1
device: bridge-07
kind: watch_point
place: {ring: perimeter, domain: ground, site: bridge, post: north}
broker: {url: "mqtts://broker.example", username: u, password: {file: pw}}
privacy: {rescue_key: {file: rescue}}
sources:
  cam1: {kind: camera, url: "rtsp://192.0.2.10/1", purpose: rescue, username: admin, password: {file: cam}}
"""


def test_the_last_warnings_are_kept_and_cut_off() -> None:
    RECENT.clear()
    for number in range(KEPT + 30):
        keep_warning(None, "", {"level": "warning", "event": f"w{number}", "error": "x" * 5000})
        keep_warning(None, "", {"level": "info", "event": "no"})
    assert len(RECENT) == KEPT
    assert '"w79"' in RECENT[-1]
    assert max(map(len, RECENT)) == MAX_CHARACTERS
    assert not any('"no"' in one for one in RECENT)


NAMES = st.text("abc", min_size=1, max_size=3)
ENTRIES = st.one_of(
    st.integers(), st.text(max_size=200), st.dictionaries(NAMES, st.text(max_size=50), max_size=3)
)
FACTS = st.dictionaries(NAMES, st.one_of(ENTRIES, st.lists(ENTRIES, max_size=30)), max_size=6)


@given(FACTS)
def test_parts_are_bounded_and_lose_nothing(facts: dict[str, Any]) -> None:
    parts = list(split(facts, 1000))
    assert all(len(json.dumps(part, ensure_ascii=False).encode()) <= 1500 for part in parts)
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, list) and isinstance(facts[name], list):
                joined.setdefault(name, []).extend(value)
            else:
                joined[name] = value
    assert {name: value for name, value in facts.items() if value != []} == joined


def test_an_entry_that_is_too_large_is_left_out() -> None:
    (part,) = split({"a": "x" * 2000, "b": ["y" * 2000, "z"]}, 1000)
    assert part == {"a": "left out: too large", "b": ["left out: too large", "z"]}


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    for name, text in (("pw", "hunter2hunter2"), ("rescue", "0123456789abcdef" * 4), ("cam", "Tr0ub4dor&3")):
        (tmp_path / name).write_text(text + "\n")
    config = parse(CONFIG, name="", base=tmp_path)
    secrets = SecretFilter.of(secrets_of(config))
    assert len(list(secrets_of(config))) == 3
    said = {
        "warnings": [
            "could not log in with hunter2hunter2",
            "rtsp://admin:Tr0ub4dor%263@192.0.2.10/1: refused",
        ],
        "nested": {"x": ["-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "password=anything"]},
        "key": "0123456789abcdef" * 4,
        "count": 7,
    }
    text = json.dumps(cleaned(said, secrets))
    for secret in ("hunter2", "Tr0ub", "0123456789abcdef", "PRIVATE", "anything"):
        assert secret not in text
    assert text.count(BLANK) >= 5
    assert '"count": 7' in text


class Device:
    def __init__(self) -> None:
        self.results: list[Mapping[str, Any]] = []
        self.running_tasks: list[asyncio.Task[None]] = []
        self.config = parse(CONFIG, name="", base=Path("/nowhere"))
        self.deployment: Any = SimpleNamespace(reported=dict, ledger=SimpleNamespace(trial=None))
        outbox: Any = SimpleNamespace(depth=self.depth, troubles={})
        health = {"parts": [{"part": f"p{number}", "error": "x" * 300} for number in range(60)], "link": {}}
        reporter: Any = SimpleNamespace(last_health=json.dumps(health).encode(), reasons=lambda _: ["why"])
        self.diagnostics = Diagnostics(
            self.deployment, outbox, reporter, lambda: self.config, self.send, self.spawn
        )
        self.tasks: dict[str, Any] = {}
        self.health = Health()
        self.started: list[str] = []
        self.hangs = False

    async def depth(self) -> dict[str, int]:
        return {"alert": 3}

    async def send(self, result: Mapping[str, Any]) -> None:
        self.results.append(result)

    def spawn(self, work: Any) -> None:
        self.running_tasks.append(asyncio.ensure_future(work))

    async def end(self, name: str) -> None:
        self.tasks.pop(name)
        if self.hangs:
            await asyncio.Event().wait()

    async def settled(self) -> None:
        """As a link."""

    def restarts(self) -> PartRestarts:
        self.tasks = {"cam1": None, "link": None}
        parts: Any = self
        return PartRestarts(
            parts, self.start_part, parts, self.deployment, lambda: self.config, self.send, self.spawn
        )

    def start_part(self, name: str, part: Any) -> None:
        self.started.append(name)
        self.tasks[name] = part


def test_diagnostics_come_in_numbered_parts_of_a_bounded_size() -> None:
    async def scene() -> None:
        device = Device()
        log = structlog.get_logger()
        log.warning("something")
        assert await device.diagnostics.command(Command(id="1"), {"command_id": "1"}) == "accepted"
        with pytest.raises(ValueError, match="one at a time"):
            await device.diagnostics.command(Command(id="2"), {})
        await asyncio.gather(*device.running_tasks)
        results = device.results
        assert 1 < len(results) <= MAX_PARTS
        assert [(one["part"], one["parts"]) for one in results] == [
            (number, len(results)) for number in range(1, len(results) + 1)
        ]
        assert [one["state"] for one in results] == ["accepted"] * (len(results) - 1) + ["succeeded"]
        assert all(len(json.dumps(one).encode()) < PART_BYTES + 1024 for one in results)
        facts = {name for one in results for name in one["facts"]}
        assert {"versions", "process", "queue", "reasons", "parts"} <= facts
        await device.diagnostics.command(Command(id="3"), {})  # again
        await asyncio.gather(*device.running_tasks)

    asyncio.run(scene())


@pytest.mark.parametrize("hangs", [False, True])
def test_a_part_is_restarted_alone_also_where_it_hangs(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.control.restart.END_WITHIN_S", 0.05)

    async def scene() -> None:
        device = Device()
        device.hangs = hangs
        restarts = device.restarts()
        for number, part in enumerate(("cam1", "link"), 1):
            assert await restarts.command(RestartPart(id=str(number), part=part), {}) == "accepted"
            await asyncio.gather(*device.running_tasks)
        assert device.started == ["cam1", "link"]
        assert device.tasks == {"cam1": device.config.sources["cam1"], "link": device.config.broker}
        assert device.results[-1]["state"] == "succeeded"
        assert ("note" in device.results[-1]) == hangs

    asyncio.run(scene())


def test_an_unknown_part_is_rejected_with_the_names_of_all() -> None:
    async def scene() -> None:
        device = Device()
        restarts = device.restarts()
        with pytest.raises(ValueError, match=r"no part 'cam'; did you mean 'cam1'\? known: cam1, link"):
            await restarts.command(RestartPart(id="1", part="cam"), {})
        device.deployment.ledger.trial = object()
        with pytest.raises(ValueError, match="a configuration is on trial"):
            await restarts.command(RestartPart(id="1", part="cam1"), {})

    asyncio.run(scene())


def test_a_part_that_a_change_has_removed_meanwhile_is_not_started() -> None:
    async def scene() -> None:
        device = Device()
        restarts = device.restarts()
        await restarts.command(RestartPart(id="1", part="cam1"), {})
        device.config = device.config.model_copy(update={"sources": {}})
        await asyncio.gather(*device.running_tasks)
        assert device.started == []

    asyncio.run(scene())


def test_a_command_that_crashes_takes_nothing_with_it() -> None:
    """A task of the agent's group that fails would end the agent."""

    async def crash() -> None:
        raise RuntimeError("a bug")

    async def scene() -> None:
        async with asyncio.TaskGroup() as group:
            guarded(group.create_task)(crash())

    asyncio.run(scene())
