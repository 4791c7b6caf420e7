"""Why a rule on pictures holds back for each object in view, in the order in which it decides. Pure."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace

from agent.domain.observations import SeenObject
from agent.domain.progress import Progress, not_met
from agent.rules.occupancy import FRAME_S, OccupancyTracker
from agent.rules.presence import SEEN_SHARE, Presence

UNDETECTED_S = 0.5
"""A presence that was not detected for longer is named with that time."""


def object_progress(
    labels: tuple[str, ...],
    tracker: OccupancyTracker,
    why_not: Callable[[SeenObject], Progress | None],
    of_presence: Callable[[Presence, float], Progress],
    now_s: float,
) -> Iterator[Progress]:
    """The progress for each object of ``labels``. ``why_not`` tells why an object is outside of what the rule
    is about; ``of_presence`` how far the rule is with one that is certain."""
    if tracker.camera_moves:
        yield Progress(state="blind", code="moves", text="camera moves")
        return
    in_view = {seen.track: seen for seen in tracker.objects if seen.label in labels}
    away = tracker.away(now_s)
    for track, seen in in_view.items():
        presence = tracker.present.get(track)
        reason = why_not(seen)
        if reason is None:
            reason = _uncertain(presence, tracker) if presence is not None else None
        if reason is None:
            reason = of_presence(presence, now_s) if presence is not None else _frames(0.0, tracker)
        elif track in away:
            reason = replace(reason, text=f"{reason.text}; {of_presence(away[track], now_s).text}")
        yield replace(reason, track=track)
    unseen = [(track, one) for track, one in tracker.present.items() if track not in in_view and one.sure]
    for track, presence in unseen:
        progress, unseen_s = of_presence(presence, now_s), now_s - presence.last_s
        if unseen_s > UNDETECTED_S:
            progress = replace(progress, text=f"{progress.text}; not detected for {unseen_s:.1f} s")
        yield replace(progress, track=track if track > 0 else None)
    hidden = [(track, presence) for track, presence in away.items() if track not in in_view]
    for track, presence in hidden:
        progress, unseen_s = of_presence(presence, now_s), now_s - presence.last_s
        text = f"{progress.text}; not detected for {unseen_s:.1f} s"
        yield replace(progress, state="not_met", text=text, track=track if track > 0 else None)
    if not in_view and not unseen and not hidden:
        yield not_met("none", f"no {' or '.join(labels[:3])} in view")


def size_reason(seen: SeenObject, least: float, most: float) -> Progress | None:
    """Why an object of this height does not count; None where it does."""
    height = seen.box[3] - seen.box[1]
    if height < least:
        return not_met("size", f"too small: {height:.2f} < {least:.2f}", round(height, 3), least)
    if height > most:
        return not_met("size", f"too large: {height:.2f} > {most:.2f}", round(height, 3), most)
    return None


def _uncertain(presence: Presence, tracker: OccupancyTracker) -> Progress | None:
    """Why a presence is not certain; None where it is."""
    if presence.sure:
        return None
    scores = [score for _, score in presence.scores] or [presence.seen.score]
    score = statistics.median_high(scores)
    if score < tracker.min_score:
        text = f"score {score:.2f} < {tracker.min_score:.2f}"
        return not_met("score", text, round(score, 3), tracker.min_score)
    if not presence.scores:
        return not_met("score", f"score {score:.2f} is below the camera's threshold", round(score, 3))
    if presence.share < SEEN_SHARE:
        text = f"seen in {presence.share:.0%} of the time, {SEEN_SHARE:.0%} needed"
        return not_met("share", text, round(presence.share, 2), SEEN_SHARE)
    return _frames(presence.evidence_s, tracker)


def _frames(evidence_s: float, tracker: OccupancyTracker) -> Progress:
    need = tracker.frames
    have = max(0, min(need, int(evidence_s / FRAME_S + 0.5)))
    text = f"seen in {have} of {need} frames"
    return Progress(state="holding", code="frames", text=text, have=have, need=need, unit="frames")
