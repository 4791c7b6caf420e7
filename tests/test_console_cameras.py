"""What the page Cameras shows: streams only while somebody looks, and never an old picture as a live one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from console.agent_connection import AgentError
from console.agent_views import CameraView
from console.camera_feeds import CameraFeed, CameraFeeds, Wanted
from console.pages.cameras.effect import effect_of
from console.pages.cameras.frames import frame_route
from console.pages.cameras.overlay import facts, live_view, load_facts, starves
from console.pages.cameras.progress_text import progress_text
from console.web.session import Session


def english(text: str, **values: object) -> str:
    return text.format(**values)


def meta(**fields: Any) -> Any:
    load = {
        "fps": 5.0, "inferences_per_s": 4.9, "detect_ms": 31.0, "looked": 90, "skipped": 10,
        "configured_fps": 5.0, "cores_used": 0.15,
    }  # fmt: skip
    return {
        "camera": "cam1", "frame": 7, "at": "2026-01-01T00:00:00.000000Z", "age_s": 0.1, "width": 640,
        "height": 360, "camera_moves": False, "zones": {}, "lines": {}, "blind": [], "progress": [],
        "load": load, "redacted": {"people": 1, "covered": 1, "whole": False, "redacted": True},
        "picture_frame": 7, "picture_age_s": 0.2, "no_picture": None,
        "objects": [
            {"track": 3, "label": "<b>", "score": 0.5, "box": [0, 0, 1, 1], "zones": [], "sure": True}
        ],
        **fields,
    }  # fmt: skip


def feed(*views: CameraView, at_s: float = 100.0) -> CameraFeed:
    made = CameraFeed("cam1")
    for view in views:
        made.take(view, at_s)
    return made


def test_a_live_picture_has_its_address_and_its_boxes() -> None:
    view = live_view(feed(CameraView(meta(), b"jpeg")), 100.0, None, english)
    assert view["url"] == "/frame/cam1?n=1"
    assert (view["notice"], view["live"]) == ("", True)
    assert [one["text"] for one in view["objects"]] == ["<b> 0.50 #3"]


@pytest.mark.parametrize(
    ("fields", "jpeg", "later_s", "away", "kind", "text"),
    [
        ({}, b"x", 0.0, "it restarts", "stale", "The agent does not answer: it restarts"),
        ({}, b"x", 9.0, None, "stale", "No new frame for 9 s"),
        (
            {"blind": [{"zone": "a", "why": "dark", "for_s": 3.0}]},
            b"x", 9.0, None, "stale", "No new frame for 9 s: dark",
        ),
        ({"no_picture": "its model detects no people"}, b"", 0.0, None, "missing", "No picture: its model"),
        ({"age_s": None, "frame": None}, b"", 0.0, None, "missing", "No frame from the camera yet"),
        ({}, b"", 0.0, None, "missing", "The first picture is being redacted"),
        ({"picture_age_s": 12.0}, b"x", 0.0, None, "late", "Picture 12 s old"),
        ({"load": {"configured_fps": 0.2}}, b"x", 9.0, None, "live", ""),
    ],
)  # fmt: skip
def test_what_is_not_live_says_why(
    fields: dict[str, Any], jpeg: bytes, later_s: float, away: str | None, kind: str, text: str
) -> None:
    view = live_view(feed(CameraView(meta(**fields), jpeg)), 100.0 + later_s, away, english)
    assert view[kind] is True
    assert view["notice"].startswith(text)
    assert (view.get("objects") == []) == (kind == "stale")
    assert ("url" in view) == (kind != "missing")


def test_no_word_before_the_first_event() -> None:
    assert live_view(None, 0.0, None, english)["missing"]
    assert live_view(CameraFeed("cam1"), 0.0, None, english)["missing"]


def test_boxes_are_those_of_the_frame_that_the_picture_shows() -> None:
    old = meta(frame=5, objects=[])
    made = feed(CameraView(old), CameraView(meta(picture_frame=5, picture_age_s=0.9), b"jpeg"))
    assert live_view(made, 100.0, None, english)["objects"] == []
    made.take(CameraView(meta(frame=30, picture_frame=5, picture_age_s=9.0)), 100.0)
    assert len(live_view(made, 100.0, None, english)["objects"]) == 1


def test_the_way_of_an_object_is_drawn_up_to_the_frame_that_is_shown() -> None:
    made = CameraFeed("cam1")
    for number in range(40):
        box = [number / 100, 0.1, 0.1 + number / 100, 0.9]
        one = {**meta()["objects"][0], "box": box}
        made.take(CameraView(meta(frame=number, picture_frame=38, objects=[one]), b"jpeg"), 100.0)
    (shown,) = live_view(made, 100.0, None, english)["objects"]
    assert len(shown["trail"]) == 25
    assert shown["trail"][-1] == [0.43, 0.9]


def test_a_picture_without_redaction_takes_the_earlier_ones_away() -> None:
    made = feed(CameraView(meta(), b"jpeg"), CameraView(meta(no_picture="the detector failed")))
    assert made.pictures == {}
    assert "url" not in live_view(made, 100.0, None, english)


def test_the_facts_below_a_picture() -> None:
    made = feed(CameraView(meta(), b"1"))
    made.take(CameraView(meta(), b"2"), 100.5)
    assert facts(made, 100.5, english) == [
        "2.0 pictures/s", "frame 0.1 s old", "picture 0.2 s old", "redacted: 1 places",
    ]  # fmt: skip
    assert "picture 7.2 s old" in facts(made, 107.5, english)  # the agent says nothing: it grows older
    whole = meta(redacted={"people": None, "covered": 0, "whole": True, "redacted": True})
    assert "fully redacted" in facts(feed(CameraView(whole, b"1")), 100.0, english)


def test_a_camera_that_gets_too_few_inferences_starves() -> None:
    assert not starves(meta())
    hungry = meta(load={**meta()["load"], "inferences_per_s": 1.0})
    assert starves(hungry)
    assert ("frames skipped", "10 / 100") in load_facts(hungry, english)


class Agent:
    """Streams of made-up events; counts those that are open."""

    def __init__(self) -> None:
        self.open: list[tuple[str, float, int]] = []
        self.error: str | None = None

    async def camera(
        self, name: str, fps: float = 5, width: int = 960, *, picture: bool = True
    ) -> AsyncIterator[CameraView]:
        if self.error is not None:
            raise AgentError(self.error)
        wish = (name, fps, width)
        self.open.append(wish)
        try:
            number = 0
            while True:
                number += 1
                yield CameraView(meta(frame=number), b"%d" % number)
                await asyncio.sleep(0)
        finally:
            self.open.remove(wish)


async def ticks() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_nothing_is_asked_of_the_agent_while_nobody_looks() -> None:
    async def scene() -> None:
        agent = Agent()
        feeds = CameraFeeds(agent)
        seen: list[int] = []
        stop = feeds.watch("cam1", Wanted(2.0, 480), lambda one: seen.append(one.number))
        await ticks()
        assert agent.open == [("cam1", 2.0, 480)]
        other = feeds.watch("cam1", Wanted(5.0, 1280), lambda _: None)
        await ticks()
        assert agent.open == [("cam1", 5.0, 1280)]  # one stream for both, as the more demanding wants it
        assert len(feeds._feeds["cam1"].pictures) == 4
        assert feeds.picture("cam1", seen[-1]) is not None
        other()
        stop()
        stop()
        await ticks()
        assert agent.open == []
        assert feeds.looking() == {}
        assert feeds.picture("cam1", seen[-1]) is None

    asyncio.run(scene())


def test_the_reason_of_the_agent_is_shown_and_one_page_that_fails_ends_no_other() -> None:
    async def scene() -> None:
        agent = Agent()
        feeds = CameraFeeds(agent)
        seen: list[CameraFeed] = []

        def gone(_: CameraFeed) -> None:
            raise RuntimeError("this page is deleted")

        agent.error = "camera: no 'cam9' is configured"
        feeds.watch("cam9", Wanted(), gone)
        feeds.watch("cam9", Wanted(), seen.append)
        await ticks()
        assert seen
        assert seen[-1].error == "camera: no 'cam9' is configured"
        await feeds.close()

    asyncio.run(scene())


def test_the_route_gives_only_pictures_of_cameras_that_somebody_looks_at() -> None:
    async def scene() -> None:
        feeds = CameraFeeds(Agent())
        route = frame_route(feeds)
        assert (await route("cam1", 1)).status_code == 404
        assert (await route("../../etc/passwd", 1)).status_code == 404
        feeds.watch("cam1", Wanted(), lambda _: None)
        await ticks()
        shown = feeds._feeds["cam1"]
        answer = await route("cam1", shown.number)
        assert (answer.status_code, answer.body) == (200, shown.pictures[shown.number])
        assert answer.headers["cache-control"] == "no-store"
        assert (await route("cam1", -1)).status_code == 204
        await feeds.close()

    asyncio.run(scene())


def test_the_effect_is_read_from_any_answer() -> None:
    effect = effect_of(
        {
            "now": 41, "proposed": 3, "missed_confirmed": 1, "covered": {"hours": 23.9},
            "missed": [{"rule": "gate", "at": "2026-01-01T10:00:00Z", "text": "a\x1b[2J", "answer": "ack"}],
            "new": [{"rule": "gate", "at": "?", "text": "b"}],
        }
    )  # fmt: skip
    assert (effect.now, effect.proposed, effect.confirmed_missed, effect.hours) == (41, 3, 1, 23.9)
    assert [one.side for one in effect.alerts] == ["new", "missed"]
    assert "\x1b" not in effect.alerts[1].text
    assert effect_of({"now": "x", "missed": 3, "new": [1], "covered": None}).alerts[0].text != ""


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("seen in 3 of 5 frames", "已在 5 帧中的 3 帧看到"),
        ("score 0.36 < 0.40", "置信度 0.36 < 0.40"),
        ("dwell 3.2 of 8.0 s; not detected for 1.4 s", "停留 3.2 秒，需 8.0 秒；已 1.4 秒未检测到"),
        ("foot point outside gate", "落脚点在 gate 之外"),
        ("something of tomorrow", "something of tomorrow"),
    ],
)
def test_the_reasons_of_rules_are_said_in_chinese(text: str, chinese: str) -> None:
    assert progress_text(text, Session("token", "viewer", language="zh").t) == chinese
    assert progress_text(text, Session("token", "viewer").t) == text
