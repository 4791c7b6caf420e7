"""Notes on a valid configuration: what works, but probably not as its author expects."""

import re
from collections.abc import Iterator

from agent.config.model import Config
from agent.config.view_notes import view_notes
from agent.domain.contracts import RulePart
from agent.domain.schedule import Schedule
from agent.domain.yaml_loader import alternatives
from agent.vision.camera import Camera
from models.tiles import inference_count as inferences

SECRET_IN_QUERY = re.compile(
    r"(?i)[?&](?:[a-z]{0,20}_)?(?:pass|pwd|passwd|password|api_?key|token|secret|key)=[^&]"
)
QUERY_NOTE = (
    "its query holds a password or a key: config_get and each push show it to the broker; use username and"
    " password: {file: …} where the camera takes them"
)
SMALL_BOARD_PER_S = 5
"""Inferences per second of the default model on a Raspberry Pi 4, the smallest board that it is for."""


def config_notes(config: Config) -> Iterator[str]:
    """One line for each note, as ``ringpost check`` and the log show it."""
    for name, rule in config.rules.items():
        ref = rule.camera_reference()
        camera = config.sources.get(ref.camera) if ref else None
        if ref and isinstance(camera, Camera):
            if camera.motion.camera_moves and ref.moving_key is not None:
                yield f"{name}: it is suspended while its camera moves, unless {ref.moving_key} is true"
            threshold = camera.detector.score
            if ref.min_score is not None and ref.min_score[1] < threshold:
                key, asked = ref.min_score
                yield f"{name}: {key} {asked:g} has no effect: its camera reports nothing below {threshold:g}"
        yield from (f"{name}: {note}" for note in rule.notes())
    for name in config.guarded_rules:
        if name not in config.rules:
            yield f"guarded_rules: no rule {name!r}; {alternatives(name, config.rules)}"
    yield from _rate_notes(config)
    yield from view_notes(config)
    yield from _secret_notes(config)
    for name, source in config.cameras().items():
        cost = source.detector.remark()
        if cost:
            yield f"sources.{name}.detector: {cost}"
        if not source.can_redact():
            yield f"sources.{name}: its model detects no people to redact: no picture of it leaves"
        remark = source.ground.remark() if source.ground else None
        if remark:
            yield f"sources.{name}.{remark}"
    if "timezone" not in config.place.model_fields_set:
        read = ", ".join(name for name, rule in config.rules.items() if _needs_timezone(rule))
        if read:
            yield f"the hours of {read} are read in UTC; set place.timezone, such as Asia/Shanghai"


def _secret_notes(config: Config) -> Iterator[str]:
    """Cameras whose password is in their URL."""
    for name, camera in config.cameras().items():
        for key, url in (("url", camera.url), ("evidence_url", camera.evidence_url or "")):
            if SECRET_IN_QUERY.search(url):
                yield f"sources.{name}.{key}: {QUERY_NOTE}"


def _rate_notes(config: Config) -> Iterator[str]:
    """Cameras, or all together, whose inference rate is lower than the rules need."""
    cameras, total_per_s = config.cameras(), 0.0
    for name, needs in config.required_rates().items():
        if name not in cameras:
            continue
        most = max(needs, key=lambda need: need.per_s)
        if cameras[name].fps < most.per_s:
            yield (
                f"sources.{name}.fps: {cameras[name].fps:g} inferences per second are too few:"
                f" {most.rule} needs {most.per_s:g}, and will report blind"
            )
        total_per_s += min(most.per_s, cameras[name].fps) * inferences(cameras[name].detector.tiles)
    if total_per_s > SMALL_BOARD_PER_S:
        yield (
            f"the rules need {total_per_s:g} inferences per second in all; a Raspberry Pi 4 has about"
            f" {SMALL_BOARD_PER_S}: fewer cameras or tiles, or a faster machine"
        )


def _needs_timezone(rule: RulePart) -> bool:
    """Whether the schedule of the rule depends on the time zone."""
    return any(isinstance(value, Schedule) and value.needs_zone() for value in dict(rule).values())
