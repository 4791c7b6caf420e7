"""Pictures by the real way: the agent in its process, a real broker, the real detector, commands from the desk."""

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
from agent.audit.verify import read_entries
from agent.domain.message import ROOT
from agent.evidence.jpeg import read_label
from agent.mqtt.broker import Broker
from agent.mqtt.connection import Connection
from agent.privacy.redaction import FILL, REDACTION_MIN_SCORE, REDACTION_PASSES, person_boxes
from models.session import Loaded
from simulators.scene import Scene
from tests.end_to_end.rig import ANY_BROKER, Rig, rig
from tests.test_picture import inside, pixels

pytestmark = pytest.mark.end_to_end

HERE = Path(__file__).resolve().parents[2]
KEY = "a key of the device that the centre holds"
GROUND = [
    {"x": x, "y": y, "lat": 32.1 + north / 111_000, "lon": 118.7 + east / 94_000}
    for x, y, east, north in (
        (20, 350, -4, 10),
        (620, 350, 4, 10),
        (200, 190, -15, 80),
        (440, 190, 15, 80),
        (320, 350, 0, 10),
    )
]
BLACK = [[0.0, 0.0], [0.2, 0.0], [0.2, 0.3], [0.0, 0.3]]


async def listen(url: str, pictures: dict[str, bytes], ready: asyncio.Event | None = None) -> None:
    """All that anybody sees who listens on the broker for pictures: topic below the device's, and bytes.

    From ``ready`` on nothing is missed."""
    connection = Connection(Broker(url=url), "a-listener", None)
    await connection.open()
    try:
        connection.subscribe([f"{ROOT}/rig-1/media/#"])
        while True:
            event = await connection.event(0.5)
            if event is not None and event[0] == "subscribed" and ready is not None:
                ready.set()
            if event is not None and event[0] == "message":
                connection.acknowledge(event[1])
                pictures[event[1].topic.removeprefix(f"{ROOT}/rig-1/")] = event[1].payload
    finally:
        connection.close()


async def ringpost(*arguments: str) -> tuple[int, str, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "agent", *arguments],
        capture_output=True,
        text=True,
        cwd=HERE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def clip(data: Path, alert_id: str) -> set[str]:
    """The pictures of the alert's clip once it is whole, that is, once the newest is no part of it; before, none."""
    evidence = data / "evidence" / "cam1"
    newest = max((path.name for path in (evidence / "ring").glob("*.jpg")), default="")
    pictures = {path.name for path in (evidence / "clips" / alert_id).glob("*.jpg")}
    return set() if newest in pictures else pictures


@cache
def detector(score: float) -> Loaded:
    return models.find("default").at(score).load()


def covered(jpeg: bytes) -> bool:
    """Whether nobody can be seen: all who are told to be there are grey, or black, and a detector finds nobody.

    It takes long on a busy machine: call it in a thread, as the rig's camera and receiver live on the loop.
    """
    shown, label = pixels(jpeg), read_label(jpeg)
    found = person_boxes(detector(0.4)(np.ascontiguousarray(shown)))
    parts = [inside(shown, tuple(box)).astype(int) for box in label["people"]]
    hidden = [(abs(part - FILL) <= 2) | (part <= 2) for part in parts]
    return (
        label["covered"]
        and label["looks"] == REDACTION_PASSES
        and not found
        and all(one.all() for one in hidden)
    )


@pytest.mark.parametrize("kind", ANY_BROKER)
def test_an_alert_brings_its_picture_a_clip_is_fetched_and_only_a_signed_grant_shows_people(
    tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGPOST_SIGNING_KEY", str(tmp_path / "root.pem"))
    (tmp_path / "rescue.key").write_text(KEY)

    async def scene() -> None:
        async with rig(tmp_path, kind, Scene(comes_s=1, leaves_s=180)) as device:
            text = device.write_config()
            more = f"""\
evidence: {{least_free_mb: 0, before: 5s, after: 12s, fps: 1}}
privacy: {{rescue_key: {{file: {tmp_path / "rescue.key"}}}}}
"""
            black = f"    blackout: {json.dumps([BLACK])}\n    zones:"
            black = f"    ground: {{picture: [640, 360], points: {json.dumps(GROUND)}}}\n{black}"
            device.write_config(text.replace("    zones:", black) + more)
            pictures: dict[str, bytes] = {}
            listener = asyncio.ensure_future(listen(device.broker.url, pictures))
            device.start_agent()
            try:
                await with_a_man_at_the_railing(device, pictures)
            finally:
                listener.cancel()
                with suppress(asyncio.CancelledError):
                    await listener
            assert device.end_agent() == 0

    async def with_a_man_at_the_railing(device: Rig, pictures: dict[str, bytes]) -> None:
        await device.until(lambda: bool(device.alerts("rail")), 180, "the man")
        alerts = [body["alert"] for topic, body in device.heard if topic == "alert"]
        alert = next(one for one in alerts if one["rule"] == "rail")
        alert_id = alert["alert_id"]
        assert alert["media"] == [f"media/{alert_id}/1"]
        await device.until(lambda: alert["media"][0] in pictures, what="his picture")
        assert alert["point"]["how"] == "ground_plane"
        assert abs(alert["point"]["lat"] - 32.1) < 40 / 111_000
        assert 0.1 < alert["point"]["error_m"] < 20
        snapshot = pictures[alert["media"][0]]
        assert len(snapshot) <= 64_000
        assert read_label(snapshot)["people"]
        assert await asyncio.to_thread(covered, snapshot)
        assert inside(pixels(snapshot), (0.0, 0.0, 0.2, 0.3)).max() == 0

        await device.until(lambda: "egress" in str(device.last("telemetry/egress")), what="its entry")
        (entry,) = device.last("telemetry/egress")["values"]
        logged = [one.fields for one in read_entries(tmp_path / "data" / "audit") if one.kind == "picture"]
        assert [one["sha256"] for one in logged] == [entry["sha256"]]
        assert (logged[0]["why"], logged[0]["to"]) == ("alert rail", [device.broker.url])

        await device.until(lambda: bool(clip(tmp_path / "data", alert_id)), what="the whole clip")
        kept = len(clip(tmp_path / "data", alert_id))
        assert kept >= 2  # a machine that is not busy keeps twelve
        desk = ["--broker", device.broker.url]
        code, out, err = await ringpost(
            "fetch", "rig-1", alert_id, "--to", str(tmp_path / "clip"), "--pictures", "6", *desk
        )
        assert code == 0, err
        files = [Path(line) for line in out.split()]
        assert len(files) == min(6, kept)
        for file in files:
            assert await asyncio.to_thread(covered, file.read_bytes())
            assert inside(pixels(file.read_bytes()), (0.0, 0.0, 0.2, 0.3)).max() == 0
        code, _, err = await ringpost("fetch", "rig-1", "no-such-alert", *desk)
        assert (code, "no clip of alert" in err) == (1, True)

        (tmp_path / "wrong.key").write_text(KEY[::-1])
        asked = [
            "rescue",
            "rig-1",
            "--role",
            "watch-officer",
            "--reason",
            "man at the railing",
            "--for",
            "90s",
        ]
        code, _, err = await ringpost(*asked, "--key", str(tmp_path / "wrong.key"), *desk)
        assert (code, "not match these fields and this device's rescue key" in err) == (77, True)
        code, out, err = await ringpost(*asked, "--key", str(tmp_path / "rescue.key"), *desk)
        assert (code, "are unmasked until" in out) == (0, True), err
        await device.until(
            lambda: "people of every camera are shown" in str(device.last("status").get("reasons")),
            what="the flag in status",
        )
        before = set(pictures)
        device.write_config(device.config.read_text().replace("dwell: 3s", "dwell: 4s"))
        await again(device, pictures, before)

    async def again(device: Rig, pictures: dict[str, bytes], before: set[str]) -> None:
        """After a restart of the agent the flag still holds: a new alert shows the man, and its log says why."""
        device.end_agent()
        (tmp_path / "data" / "evidence").rename(tmp_path / "old")
        device.write_config(device.config.read_text().replace("  rail: {kind", "  rail-2: {kind"))
        device.start_agent()
        await device.until(
            lambda: set(pictures) > before and bool(device.alerts("rail-2")), 180, "a picture under the flag"
        )
        topic = f"media/{device.alerts('rail-2')[0][0]}/1"
        await device.until(lambda: topic in pictures, what="the picture under the flag")
        shown = pictures[topic]
        assert not read_label(shown)["covered"]
        assert person_boxes(detector(REDACTION_MIN_SCORE)(np.ascontiguousarray(pixels(shown))))
        assert inside(pixels(shown), (0.0, 0.0, 0.2, 0.3)).max() == 0
        entry = [one.fields for one in read_entries(tmp_path / "data" / "audit") if one.kind == "picture"][-1]
        assert entry["flag"]["reason"] == "man at the railing"
        assert entry["shown"] >= 1

    asyncio.run(asyncio.wait_for(scene(), 400))
