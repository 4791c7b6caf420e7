"""The messages of the map widget: what changed, and never more than a browser takes."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.web.widgets.map_channel import MapChannel, find_channel
from console.web.widgets.map_objects import MapLine, MapObject, Scene, SceneChanges

AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
BOAT = MapObject("boat-1", "boat-1", "boat", "online", 30.0, 120.0, AT, course_deg=90.0)
POST = MapObject("post-1", "<b>post</b>", "post", "degraded", 30.1, 120.1, AT - timedelta(seconds=3))


def test_the_first_message_has_all_and_the_next_what_changed() -> None:
    changes = SceneChanges()
    first = changes.message(Scene([BOAT, POST], AT, (MapLine(((1.0, 2.0), (3.0, 4.0))),)))
    assert first["reset"]
    assert [row[:3] for row in first["set"]] == [[0, "boat-1", "boat-1"], [1, "post-1", "<b>post</b>"]]
    assert first["move"] == [0, 30_000_000, 120_000_000, 90, 0, 1, 30_100_000, 120_100_000, -1, 30]
    assert len(first["lines"]) == 1
    later = AT + timedelta(seconds=1)
    moved = replace(BOAT, lat=30.00001, measured_at=later)
    second = changes.message(Scene([moved, POST], later, (MapLine(((1.0, 2.0), (3.0, 4.0))),)))
    assert second == {"at": 1796040001000, "move": [0, 30_000_010, 120_000_000, 90, 0]}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (
            replace(BOAT, stale=True),
            {"set": [[0, "boat-1", "boat-1", "boat", "online", True, None, (), 0, ""]]},
        ),
        (None, {"gone": [0]}),
        (BOAT, {}),
    ],
)
def test_a_change_of_look_a_removal_and_no_change(after: MapObject | None, expected: dict[str, Any]) -> None:
    changes = SceneChanges()
    changes.message(Scene([BOAT], AT))
    message = changes.message(Scene([after] if after else [], AT))
    del message["at"]
    assert message == expected


def test_an_object_that_returns_has_another_number() -> None:
    changes = SceneChanges()
    for objects in ([BOAT], [], [BOAT]):
        message = changes.message(Scene(objects, AT))
    assert message["set"][0][:2] == [1, "boat-1"]


def test_a_slow_browser_gets_the_newest_scene_only() -> None:
    async def run() -> tuple[dict[str, Any], dict[str, Any]]:
        channel = MapChannel()
        assert find_channel(channel.name) is channel
        messages = channel.messages()
        for second in range(5):
            channel.show(Scene([replace(BOAT, lat=30 + second)], AT))
        first = json.loads(await anext(messages))
        channel.show(Scene([BOAT], AT, selected="boat-1"))
        channel.look_at(1, 2, 15)
        return first, json.loads(await anext(messages))

    first, second = asyncio.run(run())
    assert first["move"][1] == 34_000_000
    assert second["select"] == "boat-1"
    assert second["look"] == [1, 2, 15]


def test_a_page_that_closed_has_no_channel() -> None:
    assert find_channel("nothing") is None
