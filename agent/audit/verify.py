"""Verifies an audit log: each entry, its order, both ends, and what others have seen of it.

An entry is right where the key that the entry before names has signed it. The newest entry is right where the
key file continues it, so that a cut tail shows on the device itself. Who takes the whole device can cut the
tail and the key together, or put back an older copy: against that stand the entries that the centre has seen
(`Witness`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.audit.chain_state import ChainState, read_state, segments
from agent.audit.entry import ANCHORS, Entry, next_seed, parse, public_key
from agent.audit.findings import CHANGED, MISSING, OTHER_KEY, REPEATED, REPLACED, UNCHECKED, Report

KEY_LAG = 200
"""Entries by which the key file may be behind without a remark: the last commit before a crash."""


@dataclass(frozen=True, slots=True)
class Witness:
    """An entry that somebody else holds: ``holder`` such as "the centre", ``at`` when the device wrote it."""

    log: str
    n: int
    hash: str
    at: str = ""
    holder: str = "the centre"


def verify_folder(
    folder: Path, *, device_key: str | None = None, witnesses: Sequence[Witness] = ()
) -> Report:
    """Verifies the log in ``folder``, also that of a running agent. OSError where it can't be read.

    ``device_key``: the public key (hex) that must have signed each start, checkpoint and stop.
    """
    report = Report()
    state = read_state(folder)  # before the entries: a running agent writes them first
    lines = list(_lines(folder))
    _check_entries(report, lines, device_key)
    _check_end(report, [entry for _, _, entry in lines if entry is not None], state)
    _check_witnesses(report, lines, witnesses)
    if not lines and state is None and not report.problems:
        report.add(f"there is no audit log in {folder}: deleted, or no agent ran here")
    return report


Line = tuple[str, bytes, Entry | None]
"""Where a line stands, its bytes with the line feed, and its entry."""


def read_entries(folder: Path) -> Iterator[Entry]:
    """The entries that can be read, oldest first; their signatures are not checked."""
    return (entry for _, _, entry in _lines(folder) if entry is not None)


def _lines(folder: Path) -> Iterator[Line]:
    for path in segments(folder):
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # a running agent has removed it meanwhile
            continue
        for number, line in enumerate(data.splitlines(keepends=True), 1):
            try:
                entry = parse(line.rstrip(b"\n"))
            except ValueError:
                entry = None
            yield f"line {number} of {path.name}", line, entry


def _check_entries(report: Report, lines: Sequence[Line], device_key: str | None) -> None:
    """Each entry against the one before it."""
    found = [entry for _, _, entry in lines if entry is not None]
    expected_n, before, key = _beginning(report, found)
    good_at: str | None = None
    for place, line, entry in lines:
        if entry is None:
            if line is lines[-1][1] and not line.endswith(b"\n"):
                report.notes.append(f"{place}: an unfinished entry, as a crash leaves it")
            else:
                report.add(f"{place} is no entry", since=good_at)
            continue
        report.entries += 1
        if entry.n < expected_n:
            report.add(REPEATED, entry.n, since=good_at)
            continue
        if entry.n > expected_n:
            report.add(MISSING, expected_n, entry.n - 1, since=good_at)
            key = None
        elif entry.before != before and not _is_named(report, entry.n - 1):
            report.add(REPLACED, entry.n - 1, since=good_at)
        if _check_signature(report, entry, key, good_at):
            good_at = entry.at
        _check_device(report, entry, device_key)
        expected_n, before, key = entry.n + 1, entry.hash, entry.next
        report.last, report.head = entry.n, entry.hash
    report.first = found[0].n if found else 0


def _beginning(report: Report, found: Sequence[Entry]) -> tuple[int, str, str | None]:
    """Number, previous hash and key that the first entry should have."""
    if not found or found[0].n == 1:
        return 1, "", found[0].own_key if found else None
    first = found[0]
    removals = [entry.fields for entry in found if entry.kind == "rotated"]
    for fields in removals:
        if fields.get("until") == first.n - 1:
            report.notes.append(f"entries before {first.n} were removed to keep the log within its size")
            return first.n, str(fields.get("hash")), str(fields.get("key"))
    return 1, "", None


def _check_signature(report: Report, entry: Entry, key: str | None, since: str | None) -> bool:
    if key is not None and entry.signed_by(key):
        return True
    own = entry.own_key
    if own is not None and entry.signed_by(own):
        if key is None:
            return True
        report.add(OTHER_KEY, entry.n, since=since)
    else:
        report.add(CHANGED if key is not None else UNCHECKED, entry.n, since=since)
    return False


def _check_device(report: Report, entry: Entry, device_key: str | None) -> None:
    if entry.kind not in ANCHORS:
        return
    log = str(entry.fields.get("log"))
    if log not in report.logs:
        report.logs.append(log)
    if device_key is not None and not entry.anchored_by(device_key):
        report.add("is not signed with the key of this device", entry.n)


def _is_named(report: Report, n: int) -> bool:
    return any(one.first <= n <= one.last for one in report.problems)


def _check_end(report: Report, found: Sequence[Entry], state: ChainState | None) -> None:
    """The newest entry against the key file."""
    if state is None:
        if found:
            report.add("the key file is missing or damaged", since=found[-1].at)
        return
    last = found[-1] if found else None
    if state.n > report.last + 1:
        report.add(f"{MISSING} at the end", report.last + 1, state.n - 1, last.at if last else None)
        return
    seed = state.seed
    by_number = {entry.n: entry for entry in found}
    before = by_number.get(state.n - 1)
    belongs = state.n == 1 or (before is not None and before.hash == state.before)
    for n in range(state.n, report.last + 1):
        entry = by_number.get(n)
        belongs = belongs and (entry is None or entry.signed_by(public_key(seed)))
        seed = next_seed(seed)
    if state.n > 1 and before is not None:
        belongs = belongs and before.next == public_key(state.seed)
    if not belongs and not report.problems:
        report.add("the key file does not continue this log: one of them was replaced")
    elif report.last + 1 - state.n > KEY_LAG:
        report.notes.append(f"the key file is older than the log: it stands at entry {state.n}")


def _check_witnesses(report: Report, lines: Sequence[Line], witnesses: Iterable[Witness]) -> None:
    """The entries that others hold against those that are here."""
    hashes: dict[int, set[str]] = {}
    ends: list[Witness] = []
    for _, _, entry in lines:
        if entry is not None:
            hashes.setdefault(entry.n, set()).add(entry.hash)
    for one in sorted(witnesses, key=lambda one: one.n):
        if one.n < report.first:
            continue
        if one.n > report.last or not report.entries:
            ends.append(one)
        elif one.hash not in hashes.get(one.n, set()):
            other = one.log not in report.logs
            why = f"{one.holder} knows another log of this device" if other else "the log was rewritten"
            report.add(f"differs from what {one.holder} holds: {why}", one.n)
    if ends:
        newest = ends[-1]
        report.add(
            f"{newest.holder} holds entry {newest.n} of {newest.at}, and this log ends at {report.last}:"
            " its tail was cut, it was deleted, or an older copy was put back"
        )
