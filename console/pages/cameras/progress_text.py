"""The reasons of rules in the language of the page: the agent gives them in English, with a code. Pure."""

import re
from collections.abc import Callable
from typing import TypeAlias

Translate: TypeAlias = Callable[..., str]

_PATTERNS = (
    "met",
    "zone blind: {why}",
    "camera moves",
    "has not crossed the line",
    "no {what} in view",
    "foot point outside {zone}",
    "score {have} < {need}",
    "score {have} is below the camera's threshold",
    "too small: {have} < {need}",
    "too large: {have} > {need}",
    "seen in {have} of {need} frames",
    "seen in {have} of the time, {need} needed",
    "dwell {have} of {need} s",
    "in the water {have} of {need} s",
    "standing still {have} of {need} s",
    "silent for {have} of {need} s",
)
UNSEEN = "{reason}; not detected for {seconds} s"


def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(pattern)))


_MATCHERS = tuple((_matcher(pattern), pattern) for pattern in _PATTERNS)
_UNSEEN = _matcher(UNSEEN)


def progress_text(text: str, t: Translate) -> str:
    """The reason ``text`` of the agent in the language of ``t``; as it is where no translation is known."""
    if (unseen := _UNSEEN.fullmatch(text)) is not None:
        return t(UNSEEN, reason=progress_text(unseen["reason"], t), seconds=unseen["seconds"])
    first, _, rest = text.partition("; ")
    if rest:
        return f"{progress_text(first, t)}; {progress_text(rest, t)}"
    for matcher, pattern in _MATCHERS:
        if (found := matcher.fullmatch(text)) is not None:
            return t(pattern, **found.groupdict()) if found.groupdict() else t(pattern)
    return text
