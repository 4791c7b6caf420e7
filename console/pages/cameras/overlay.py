"""What the picture of a camera shows, as plain data for `console.web.widgets.picture`. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import quote

from console.agent_views import CameraMeta, SeenObject
from console.camera_feeds import CameraFeed

Translate: TypeAlias = Callable[..., str]
"""`console.web.session.Session.t`."""
STALE_AFTER_S = 3.0
"""A frame older than this is not live. A camera with fewer inferences gets three of its intervals."""
WHOLE_PICTURE = ""
"""The zone name of a `console.agent_views.Blind` about the whole picture."""


def live_view(feed: CameraFeed | None, now_s: float, agent_away: str | None, t: Translate) -> dict[str, Any]:
    """``live`` of the picture element. ``agent_away``: why the agent is not reached, or None."""
    name = "" if feed is None else feed.name
    meta = None if feed is None else feed.meta
    notice, missing = notice_of(feed, now_s, agent_away, t)
    view: dict[str, Any] = {"camera": name, "notice": notice or "", "missing": missing, "stale": bool(notice)}
    if feed is None or meta is None:
        return view
    shown = feed.shown or meta
    view |= {
        "width": meta["width"] or 16,
        "height": meta["height"] or 9,
        "objects": [] if notice and not meta["no_picture"] else [_object(one) for one in shown["objects"]],
        "blind": {one["zone"]: blind_text(one["why"], one["for_s"], t) for one in meta["blind"]},
    }
    if feed.number and feed.pictures and not missing:
        view["url"] = f"/frame/{quote(name, safe='')}?n={feed.number}"
        if shown["at"] is not None:
            view["at_ms"] = round(datetime.fromisoformat(shown["at"]).timestamp() * 1000)
    return view


def notice_of(
    feed: CameraFeed | None, now_s: float, agent_away: str | None, t: Translate
) -> tuple[str | None, bool]:
    """Why the picture is not live, or None; and whether the last one has to go."""
    if agent_away is not None:
        return t("The agent does not answer: {why}", why=agent_away), False
    if feed is None or (feed.meta is None and feed.error is None):
        return t("Waiting for the camera …"), True
    if feed.error is not None or feed.meta is None:
        return t("No picture: {why}", why=feed.error or ""), True
    meta = feed.meta
    if meta["no_picture"]:
        return t("No picture: {why}", why=meta["no_picture"]), True
    age_s = frame_age_s(meta, feed, now_s)
    if age_s is None:
        return t("No frame from the camera yet"), True
    if age_s > stale_after_s(meta):
        why = next((one["why"] for one in meta["blind"]), None)
        text = t("No new frame for {seconds} s", seconds=f"{age_s:.0f}")
        return (f"{text}: {why}" if why else text), False
    if not feed.pictures:
        return t("The first picture is being redacted …"), True
    return None, False


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
    return t("blind: {why} for {seconds} s", why=why, seconds=f"{for_s:.0f}")


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
        texts.append(t("picture {seconds} s old", seconds=f"{meta['picture_age_s']:.1f}"))
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
    return t("people redacted: {covered}", covered=covered)


def load_facts(meta: CameraMeta, t: Translate) -> list[tuple[str, str]]:
    """The detector's work on a camera: name and figure of each row."""
    load = meta["load"]
    asked = load["configured_fps"]
    rows = [
        (t("inferences per second, asked"), t("each frame") if asked is None else f"{asked:g}"),
        (t("inferences per second, granted"), "–" if load["fps"] is None else f"{load['fps']:.1f}"),
        (t("time per inference"), "–" if load["detect_ms"] is None else f"{load['detect_ms']:.0f} ms"),
        (t("cores used"), "–" if load["cores_used"] is None else f"{load['cores_used']:.2f}"),
    ]
    looked, skipped = load["looked"], load["skipped"]
    if looked is not None and skipped is not None and looked + skipped:
        rows.append((t("frames skipped"), f"{skipped} / {looked + skipped}"))
    return rows


def starves(meta: CameraMeta) -> bool:
    """Whether the camera gets clearly fewer inferences than its configuration asks for."""
    asked, granted = meta["load"]["configured_fps"], meta["load"]["fps"]
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


def _object(seen: SeenObject) -> dict[str, Any]:
    return {
        "track": seen["track"],
        "sure": seen["sure"],
        "box": list(seen["box"]),
        "text": f"{seen['label']} {seen['score']:.2f} #{seen['track']}",
    }
