"""Models of the cameras: the card and the hash of the network, and how fast it runs here."""

import hashlib
from collections.abc import AsyncIterator, Iterator

from agent.cli.checks.child import run_child
from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.target import Target
from agent.config.model import Config
from agent.runtime.error_text import describe_error

LOAD_S = 30.0
RUNS = 5
PULL = "ringpost models pull"
SCRIPT = "agent.cli.checks.model_child"


def check_model_files(config: Config) -> Iterator[Finding]:
    """The card and the SHA-256 of each model in use."""
    checked: set[str] = set()
    used = [
        (f"sources.{name}.detector.{key}", settings)
        for name, source in config.cameras().items()
        for key, settings in (("model", source.detector), ("verify_model", source.detector.verifying()))
    ]
    for place, settings in used:
        if settings.model in checked:
            continue
        checked.add(settings.model)
        try:
            card = settings.card()
            with card.weights_file().open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            text = describe_error(error)
            yield failed(text, "" if PULL in text else "`ringpost models list` lists the models", place)
            continue
        if sha256 != card.sha256:
            yield failed(
                f"the SHA-256 of {card.weights_file()} differs from that in its card",
                "download it again",
                place,
            )


async def check_models(target: Target) -> AsyncIterator[Finding]:
    """Loads and runs each model in a child process: it may hang or crash, and needs memory."""
    config = target.config
    assert config is not None  # noqa: S101  the runner skips it otherwise
    wrong = list(check_model_files(config))
    for finding in wrong:
        yield finding
    if not config.cameras():
        yield skipped("the configuration has no camera")
        return
    bad = {finding.place for finding in wrong}
    measured: set[str] = set()
    for name, source in config.cameras().items():
        model, place = source.detector.model, f"sources.{name}.detector.model"
        if model in measured or place in bad:
            continue
        measured.add(model)
        answer, error = await run_child(
            SCRIPT, {"model": model, "providers": list(source.detector.providers), "runs": RUNS}, LOAD_S
        )
        if answer is None:
            yield failed(f"{model}: {error}", f"ringpost models verify {model}", place)
            continue
        ms, where = float(answer["ms"]), answer["runs_on"]
        text = f"{model}: loaded in {answer['load_s']:.1f} s, {ms:.0f} ms per inference on {where}"
        text += f", {answer['rss_mb']:.0f} MB"
        busy = sum(camera.fps for camera in config.cameras().values()) * ms / 1000
        if answer["note"]:
            yield warning(f"{text}; {answer['note']}", place=place)
        elif busy > answer["cores"]:
            yield warning(
                f"{text}; the cameras ask for more than {answer['cores']} cores can do",
                "lower fps of the cameras",
                place,
            )
        else:
            yield ok(text, place)
