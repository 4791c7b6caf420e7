"""What the page *Now* says of a `Now` message: the worst first, in plain words. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.runtime.sanitize import as_dict, as_list
from console.agent_views import Now
from console.pages.remedies import FoundRemedy, remedy_of
from console.pages.words import NONE, Kind, Translate, age_text, as_number, ms_text, number_text

NO_PACKET_S = 20.0
"""After so long without another packet the rate of a line is 0."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A state with its word."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A reason for ``degraded`` and one remedy."""

    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PartRow:
    """A source, the link or a job with its three answers."""

    name: str
    running: Mark
    sending: Mark
    valid: Mark
    age: str
    rate: str
    trouble: str = ""

    @property
    def rank(self) -> int:
        """0 for the worst."""
        kinds = {self.running.kind, self.sending.kind, self.valid.kind}
        return 0 if "bad" in kinds else 1 if self.trouble or "doubt" in kinds else 2


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of the machine: name, value and state."""

    name: str
    value: str
    mark: Kind


class Rates:
    """Packets a second of each part, from the counts of its reports. A line reports every few seconds: the
    rate is that between two changes of its count."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, float, float | None]] = {}

    def of(self, part: dict[str, object], at_s: float) -> float | None:
        """The rate of ``part``; frames a second of a camera. None until it is known."""
        if (fps := as_number(part.get("fps"))) is not None:
            return fps
        count, name = as_number(part.get("good")), str(part.get("part"))
        if count is None:
            return None
        before_s, before, rate = self._before.get(name, (at_s, count, None))
        if name not in self._before or count < before:
            self._before[name] = at_s, count, None
            return None
        if count > before and at_s > before_s:
            rate = (count - before) / (at_s - before_s)
            self._before[name] = at_s, count, rate
        return 0.0 if at_s - before_s > NO_PACKET_S and count == before else rate


def part_rows(now: Now, rates: Rates, at_s: float, t: Translate) -> list[PartRow]:
    """All parts, the worst first."""
    reasons = [str(reason) for reason in as_list(now["status"].get("reasons"))]
    rows = [_row(as_dict(part), rates, at_s, reasons, t) for part in as_list(now["health"].get("parts"))]
    return sorted(rows, key=lambda row: (row.rank, row.name))


def _row(part: dict[str, object], rates: Rates, at_s: float, reasons: Sequence[str], t: Translate) -> PartRow:
    name = str(part.get("part"))
    running = {
        "running": Mark("good", t("running")),
        "waiting": Mark("bad", t("waits to start again")),
        "ended": Mark("idle", t("ended")),
    }.get(str(part.get("running")), Mark("idle", NONE))
    speaking, valid = part.get("speaking"), part.get("valid")
    rate = rates.of(part, at_s)
    return PartRow(
        name,
        running,
        _answer(speaking, t("sending"), t("silent")),
        _answer(valid, t("valid"), t("not valid")),
        age_text(part.get("age_s")),
        NONE if rate is None else f"{rate:.1f} /s",
        "; ".join(one.partition(": ")[2] for one in reasons if one.startswith(f"{name}: ")),
    )


def _answer(value: object, yes: str, no: str) -> Mark:
    return Mark("good", yes) if value is True else Mark("bad", no) if value is False else Mark("idle", NONE)


def troubles(now: Now, found: Iterable[FoundRemedy], t: Translate) -> list[Trouble]:
    """Each reason for ``degraded`` with its remedy."""
    reasons = [str(reason) for reason in as_list(now["status"].get("reasons"))]
    known = list(found)
    return [Trouble(reason, remedy_of(reason, known, t)) for reason in reasons]


def link_mark(now: Now, t: Translate) -> Mark:
    """The link in one sentence."""
    link = as_dict(now["health"].get("link"))
    if not link.get("broker"):
        return Mark("bad", t("No broker is connected: alerts wait on the disk."))
    ms = as_number(link.get("acknowledged_ms"))
    if ms is None:
        return Mark("good", t("Connected to {broker}.", broker=link["broker"]))
    text = t("Connected to {broker}, which acknowledges within {ms}.", broker=link["broker"], ms=ms_text(ms))
    return Mark("good", text)


def outbox_mark(now: Now, t: Translate) -> Mark:
    """The account of all alerts in one sentence."""
    counts = now["counts"]
    text = t(
        "raised {raised}, committed {committed}, owed {owed}, lost {lost}",
        raised=counts["raised"], committed=counts["committed"], owed=counts["owed"], lost=counts["lost"],
    )  # fmt: skip
    if counts.get("stale"):
        return Mark("bad", t("{counts}; these figures are old: the disk of the device hangs", counts=text))
    return Mark("bad" if counts["lost"] else "doubt" if counts["owed"] else "good", text)


def state_mark(now: Now, t: Translate) -> Mark:
    """The device in a word: well is one that has no trouble, a broker, and no alert that waits."""
    found = len(as_list(now["status"].get("reasons")))
    if found:
        words = t("degraded: one trouble") if found == 1 else t("degraded: {n} troubles", n=found)
        return Mark("doubt", words)
    if link_mark(now, t).kind != "good":
        return Mark("doubt", t("not connected"))
    if outbox_mark(now, t).kind != "good":
        return Mark("doubt", t("alerts wait or are lost: see below"))
    return Mark("good", t("all is well"))


def facts(now: Now, t: Translate) -> list[Fact]:
    """Temperature, disk, memory, load, clock and certificates; unknown ones are left out."""
    health = now["health"]
    host, clock = as_dict(health.get("machine")), as_dict(health.get("clock"))
    found: list[Fact] = []
    if (degrees := as_number(host.get("temperature_c"))) is not None:
        found.append(Fact(t("Temperature"), f"{degrees:.0f} °C", _above(degrees, 70, 80)))
    free, total = as_number(host.get("disk_free_mb")), as_number(host.get("disk_total_mb"))
    if free is not None:
        least = min(max(100, (total or 0) // 20), 1000)
        mark: Kind = "bad" if free < least else "doubt" if free < 3 * least else "good"
        found.append(Fact(t("Free disk"), _gigabytes(free, total, t), mark))
    memory, all_memory = as_number(host.get("memory_free_mb")), as_number(host.get("memory_total_mb"))
    if memory is not None:
        mark = "bad" if memory < min(max(48, (all_memory or 0) // 12), 300) else "good"
        used = as_number(host.get("process_mb"))
        own = "" if used is None else " · " + t("agent {mb} MB", mb=f"{used:.0f}")
        found.append(Fact(t("Free memory"), f"{memory / 1000:.1f} GB{own}", mark))
    if (load := as_number(host.get("load"))) is not None:
        found.append(Fact(t("Load for each core"), number_text(load), _above(load, 1.5, 4.0)))
    if clock:
        found.append(_clock(clock, t))
    days = {name: as_number(value) for name, value in as_dict(host.get("certificates_days")).items()}
    for name, left in sorted(days.items(), key=lambda one: one[1] or 0):
        if left is not None:
            mark = "bad" if left < 7 else "doubt" if left < 30 else "good"
            found.append(Fact(t("Certificate {name}", name=name), t("{days} days", days=f"{left:.0f}"), mark))
    return found


def _gigabytes(free_mb: float, total_mb: float | None, t: Translate) -> str:
    free = f"{free_mb / 1000:.1f} GB"
    return t("{free} of {total}", free=free, total=f"{total_mb / 1000:.1f} GB") if total_mb else free


def _clock(clock: dict[str, object], t: Translate) -> Fact:
    source, error = str(clock.get("source")), as_number(clock.get("error_ms"))
    trusted = source in ("ntp", "gnss")
    text = f"{source} ±{ms_text(error)}" if error is not None else source
    words = t("trusted") if trusted else t("not trusted")
    return Fact(t("Clock"), f"{text} · {words}", "good" if trusted else "doubt")


def _above(value: float, doubt: float, bad: float) -> Kind:
    return "bad" if value >= bad else "doubt" if value >= doubt else "good"
