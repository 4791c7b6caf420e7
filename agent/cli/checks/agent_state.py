"""The running agent: its process, its state and what it says of itself; and the versions in use."""

from collections.abc import Iterator

from agent.cli.checks.finding import Finding, failed, ok, skipped, warning
from agent.cli.checks.queue import describe_age
from agent.cli.checks.target import HEALTH_FRESH_S, Target
from agent.runtime.sanitize import as_dict, as_list
from agent.runtime.versions import versions

LOG = "journalctl -u ringpost -n 50"
MOST_REASONS = 8


def check_agent(target: Target) -> Iterator[Finding]:
    """Whether an agent runs, its link, and its reasons for being degraded."""
    if target.agent is None:
        text = f"no agent runs with the data in {target.folder}"
        if target.health_age_s is not None:
            text += f"; its last report is {describe_age(target.health_age_s)} old"
        yield warning(text, f"sudo systemctl start ringpost; if it ends again: {LOG}")
        return
    if not target.fresh_health:
        age = "" if target.health_age_s is None else f" since {describe_age(target.health_age_s)}"
        remedy = f"sudo -u ringpost ringpost doctor {target.file}; or look at its log: {LOG}"
        found = warning if target.health_age_s is not None else skipped
        yield found(
            f"runs: {target.agent}; no report of it{age} (every {HEALTH_FRESH_S:g} s is usual)", remedy
        )
        return
    reasons = [str(reason) for reason in as_list(target.fresh_health.get("reasons"))]
    link = as_dict(target.fresh_health.get("link"))
    yield ok(f"runs: {target.agent}, {'degraded' if reasons else 'online'}")
    if link.get("broker"):
        took = f", acknowledges in {link['acknowledged_ms']} ms" if "acknowledged_ms" in link else ""
        yield ok(f"connected to {link['broker']}{took}")
    else:
        yield failed("it is not connected to a broker", "see the check of the broker")
    for reason in reasons[:MOST_REASONS]:
        part = "the temperature" if reason.startswith("machine:") else "that part"
        yield warning(f"it says: {reason}", f"see the check of {part}")


def check_versions(target: Target) -> Iterator[Finding]:
    """The software here, and the extras that the configuration needs."""
    found = versions()
    yield ok(f"ringpost {found.pop('ringpost', '?')}, Python {found.pop('python')}, {found.pop('system')}")
    yield ok(", ".join(f"{name} {version}" for name, version in found.items()))
    config = target.config
    if config is None:
        return
    kinds = {source.kind for source in config.sources.values()}
    needs = {
        "onnxruntime": "camera",
        "opencv-python-headless": "camera",
        "pyais": "ais",
        "pymodbus": "modbus",
    }
    for package, kind in needs.items():
        if kind in kinds and package not in found:
            extra = "vision" if kind == "camera" else "radio"
            yield failed(f"{package} is missing: sources of kind {kind}", f"pip install 'ringpost[{extra}]'")
