"""What the picture of a camera shows, as plain data for `console.web.widgets.picture`. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from console.agent_views import CameraMeta, SeenObject
from console.camera_feeds import CameraFeed

Translate: TypeAlias = Callable[..., str]
"""`console.web.session.Session.t`."""
STALE_AFTER_S = 3.0
"""A frame older than this is not live. A camera with fewer inferences gets three of its intervals."""
ALIGNED_S = 2.0
"""Up to this lag the boxes are those of the frame that the picture shows."""
TRAIL = 25
"""Foot points of an object that are drawn."""
LATE_AFTER_S = 4.0
"""A picture that lags more says so."""


def live_view(feed: CameraFeed | None, now_s: float, agent_away: str | None, t: Translate) -> dict[str, Any]:
    """``live`` of the picture element. ``agent_away``: why the agent is not reached, or None.

    ``stale``: nothing of it is live; ``missing``: there is no picture; ``late``: the picture is old, the
    boxes are new. In each case ``notice`` says why.
    """
    name = "" if feed is None else feed.name
    meta = None if feed is None else feed.meta
    notice = notice_of(feed, now_s, agent_away, t)
    view: dict[str, Any] = {"camera": name, "notice": notice.text, notice.kind: True}
    if feed is None or meta is None:
        return view
    shown = feed.shown or meta
    if picture_lag_s(meta) > ALIGNED_S:
        shown = meta  # boxes of long ago would be taken for those of now
    view |= {
        "width": meta["width"] or 16,
        "height": meta["height"] or 9,
        "objects": []
        if notice.kind == "stale"
        else [_object(one, _trail(feed, shown, one["track"])) for one in shown["objects"]],
        "blind": {one["zone"]: blind_text(one["why"], one["for_s"], t) for one in meta["blind"]},
    }
    if feed.number and feed.pictures and notice.kind != "missing":
        view["url"] = f"/frame/{quote(name, safe='')}?n={feed.number}"
        if feed.shown is not None and feed.shown["at"] is not None:
            view["at_ms"] = round(datetime.fromisoformat(feed.shown["at"]).timestamp() * 1000)
    return view


@dataclass(frozen=True, slots=True)
class Notice:
    """Why a picture is not live, and in which way it is not."""

    text: str = ""
    kind: Literal["live", "stale", "missing", "late"] = "live"


def notice_of(feed: CameraFeed | None, now_s: float, agent_away: str | None, t: Translate) -> Notice:
    """What is said on the picture."""
    if agent_away is not None:
        return Notice(t("The agent does not answer: {why}", why=agent_away), "stale")
    if feed is None or (feed.meta is None and feed.error is None):
        return Notice(t("Waiting for the camera …"), "missing")
    if feed.error is not None or feed.meta is None:
        return Notice(t("No picture: {why}", why=feed.error or ""), "missing")
    meta = feed.meta
    age_s = frame_age_s(meta, feed, now_s)
    if age_s is not None and age_s > stale_after_s(meta):
        why = next((one["why"] for one in meta["blind"]), None)
        text = t("No new frame for {seconds} s", seconds=f"{age_s:.0f}")
        return Notice(f"{text}: {why}" if why else text, "stale")
    if meta["no_picture"]:
        return Notice(t("No picture: {why}", why=t(meta["no_picture"])), "missing")
    if age_s is None:
        return Notice(t("No frame from the camera yet"), "missing")
    if not feed.pictures:
        return Notice(t("The first picture is being redacted …"), "missing")
    if (lag_s := picture_lag_s(meta)) > LATE_AFTER_S:
        return Notice(t("Picture {seconds} s old: redaction is slow here", seconds=f"{lag_s:.0f}"), "late")
    return Notice()


def picture_lag_s(meta: CameraMeta) -> float:
    """How much older the picture is than the newest frame."""
    if meta["picture_age_s"] is None or meta["age_s"] is None:
        return 0.0
    return max(0.0, meta["picture_age_s"] - meta["age_s"])


def stale_after_s(meta: CameraMeta) -> float:
    """The age after which a frame is stale."""
    fps = meta["load"]["configured_fps"]
    return max(STALE_AFTER_S, 3.0 / fps if fps else 0.0)


def frame_age_s(meta: CameraMeta, feed: CameraFeed, now_s: float) -> float | None:
    """Age of the newest frame now; None before the first."""
    if meta["age_s"] is None:
        return None
    return meta["age_s"] + max(0.0, now_s - feed.heard_s)


def blind_text(why: str, for_s: float, t: Translate) -> str:
    """The reason on a blind zone."""
    return t("blind: {why} for {seconds} s", why=t(why), seconds=f"{for_s:.0f}")


def facts(feed: CameraFeed, now_s: float, t: Translate) -> list[str]:
    """The line below a picture: rate, age, what is redacted."""
    meta = feed.meta
    if meta is None:
        return []
    texts = []
    if (rate := feed.picture_rate(now_s)) is not None:
        texts.append(t("{rate} pictures/s", rate=f"{rate:.1f}"))
    if (age_s := frame_age_s(meta, feed, now_s)) is not None:
        texts.append(t("frame {seconds} s old", seconds=f"{age_s:.1f}"))
    if meta["picture_age_s"] is not None:
        picture_s = meta["picture_age_s"] + max(0.0, now_s - feed.heard_s)
        texts.append(t("picture {seconds} s old", seconds=f"{picture_s:.1f}"))
    if (text := redaction_text(meta, t)) is not None:
        texts.append(text)
    if meta["camera_moves"]:
        texts.append(t("the camera moves"))
    return texts


def redaction_text(meta: CameraMeta, t: Translate) -> str | None:
    """What is redacted in the picture, in words; None without a picture."""
    redacted = meta["redacted"]
    if redacted is None:
        return None
    if redacted["whole"]:
        return t("fully redacted")
    people, covered = redacted["people"], redacted["covered"]
    if people and covered < people:
        return t("people found: {people}, redacted: {covered} (rescue)", people=people, covered=covered)
    return t("redacted: {covered} places", covered=covered)


def load_facts(meta: CameraMeta, t: Translate) -> list[tuple[str, str]]:
    """The detector's work on a camera: name and figure of each row."""
    load = meta["load"]
    asked = load["configured_fps"]
    rows = [
        (t("inferences per second, asked"), t("each frame") if asked is None else f"{asked:g}"),
        (
            t("inferences per second, granted"),
            "–" if load["inferences_per_s"] is None else f"{load['inferences_per_s']:.1f}",
        ),
        (t("frames per second from the camera"), "–" if load["fps"] is None else f"{load['fps']:.1f}"),
        (t("time per inference"), "–" if load["detect_ms"] is None else f"{load['detect_ms']:.0f} ms"),
        (t("cores used"), "–" if load["cores_used"] is None else f"{load['cores_used']:.2f}"),
    ]
    looked, skipped = load["looked"], load["skipped"]
    if looked is not None and skipped is not None and looked + skipped:
        rows.append((t("frames skipped"), f"{skipped} / {looked + skipped}"))
    return rows


def starves(meta: CameraMeta) -> bool:
    """Whether the camera gets clearly fewer inferences than its configuration asks for."""
    asked, granted = meta["load"]["configured_fps"], meta["load"]["inferences_per_s"]
    return asked is not None and granted is not None and granted < 0.7 * asked


def shapes_of(
    zones: Mapping[str, Sequence[Sequence[float]]], lines: Mapping[str, Sequence[Sequence[float]]]
) -> list[dict[str, Any]]:
    """Zones and lines in force as shapes without names, for a small picture."""
    return [
        {
            "id": f"{kind}:{name}", "name": name, "kind": kind, "closed": True, "changed": False,
            "selected": False, "problem": False, "label": "",
            "corners": [list(corner) for corner in corners],
        }
        for kind, named in (("zone", zones), ("line", lines))
        for name, corners in named.items()
    ]  # fmt: skip


def _trail(feed: CameraFeed, shown: CameraMeta, track: int) -> list[list[float]]:
    """Where the object stood in the last frames, up to the one that is shown."""
    frame = shown["frame"]
    feet = [
        [round((one["box"][0] + one["box"][2]) / 2, 4), one["box"][3]]
        for number, meta in feed.metas.items()
        if frame is None or number <= frame
        for one in meta["objects"]
        if one["track"] == track
    ]
    return feet[-TRAIL:]


def _object(seen: SeenObject, trail: list[list[float]]) -> dict[str, Any]:
    return {
        "track": seen["track"],
        "sure": seen["sure"],
        "box": list(seen["box"]),
        "text": f"{seen['label']} {seen['score']:.2f} #{seen['track']}",
        "trail": trail,
    }
