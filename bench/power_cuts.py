"""Power cuts: disk states that are possible after a trace of the outbox's writes and fsyncs, each reopened.

    python -m bench.power_cuts [STATES] [SEED] [STEPS]

A child stores, sends and completes messages under strace. A power cut keeps all data fsynced before it, and
any part of later writes: whole, nothing, or some sectors of 512 bytes. Directory changes are kept in order up
to a point, as by a journalling file system. In each state every alert that was acknowledged to its source
must still be stored, or be among those that the centre has; no number may be used for a second message; and
the store must accept new alerts.
"""

import asyncio
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.message import LANES, Lane, Message, encode, new_id

SECTOR = 512


def main(states: int = 200, seed: int = 1, steps: int = 120) -> int:
    """Prints a line of figures; 1 where something was lost or doubled."""
    if shutil.which("strace") is None:
        print("power cuts: strace is not installed; nothing was tried", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        trace = Path(name) / "trace"
        calls = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,rename"
        child = [sys.executable, "-m", "bench.power_cuts", "child", str(folder), str(seed), str(steps)]
        command = ["strace", "-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={calls}", "-o", str(trace)]
        subprocess.run([*command, *child], check=True, stdout=subprocess.DEVNULL)
        events = [event for event in _events(trace, folder) if event is not None]
        chance = random.Random(seed)
        marks = [at for at, event in enumerate(events) if event[0] == "mark"]
        lost = doubled = refused = 0
        for number in range(states):
            at = chance.randrange(marks[0], len(events))
            state = Path(name) / f"state-{number}"
            state.mkdir()
            rebuild(events[:at], state, chance)
            reports = [event[1] for event in events[:at] if event[0] == "mark"]
            missing, twice, broken = asyncio.run(verify(state, reports))
            lost, doubled, refused = lost + len(missing), doubled + len(twice), refused + broken
            for one in (*missing, *twice):
                print(f"state {number} (after event {at}): {one}", file=sys.stderr)
            shutil.rmtree(state)
    writes = sum(1 for event in events if event[0] == "write")
    syncs = sum(1 for event in events if event[0] == "sync")
    print(
        f"power cuts: {states} states of a trace of {writes} writes and {syncs} fsyncs (seed {seed}):"
        f" {lost} alerts lost, {doubled} numbers given twice, {refused} stores that took nothing more"
    )
    return 1 if lost or doubled or refused else 0


async def child(folder: Path, seed: int, steps: int) -> None:
    """A short device life; each acknowledgement is printed as soon as it is given."""
    from agent.outbox.outbox import Outbox

    chance = random.Random(seed)
    outbox = Outbox.open(folder)

    def report(*words: object) -> None:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()

    for _ in range(steps):
        match chance.choice(
            ["alert", "alert", "alerts", "telemetry", "telemetry", "hand out", "receipt", "session"]
        ):
            case "alert":
                message = _message("alert")
                await outbox.put(message)
                report("kept", message.id)
            case "alerts":
                messages = [_message("alert") for _ in range(chance.randint(2, 5))]
                await asyncio.gather(*(outbox.put(message) for message in messages))
                report(*("kept", *(message.id for message in messages)))
            case "telemetry":
                await outbox.put(*(_message("telemetry", 900) for _ in range(chance.randint(1, 60))))
            case "hand out":
                rows = await outbox.due(20)
                for row in rows:
                    report("handed", row.epoch, row.lane, row.seq, row.id)
                outbox.mark_delivered([row for row in rows if row.lane not in ("alert", "result")])
                if chance.random() < 0.3:
                    outbox.rewind()
            case "receipt":
                rows = [row for row in await outbox.due(5, ["alert"]) if chance.random() < 0.8]
                for row in rows:
                    report("handed", row.epoch, row.lane, row.seq, row.id)
                    report("received", row.id)
                    await outbox.record_receipts([row.id])
            case "session":
                report("session", await outbox.next_session())
    outbox.close()


def _message(lane: Lane, size: int = 400) -> Message:
    identity = new_id()
    body = encode({"schema": f"{lane}/1", "id": identity, "filling": "x" * size})
    return Message(lane=lane, topic=lane, id=identity, body=body)


Event = tuple[str, str, int, bytes]
"""write (path, place, bytes), truncate (path, size), sync (path), unlink (path), mark (words)."""

_CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+=\s+(-?\d+)")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def _events(trace: Path, folder: Path) -> Iterator[Event | None]:
    unfinished: dict[str, str] = {}
    for text in trace.read_text(errors="replace").splitlines():
        line, pid = text, text.split(maxsplit=1)[0]
        if line.endswith("<unfinished ...>"):
            unfinished[pid] = line.removesuffix("<unfinished ...>")
            continue
        if "resumed>" in line:
            line = unfinished.pop(pid, "") + line.split("resumed>", 1)[1]
        found = _CALL.match(line)
        if found is None or int(found[3]) < 0:
            continue
        yield _event(found[1], found[2], str(folder))


def _event(call: str, arguments: str, folder: str) -> Event | None:
    named = re.match(r"\d+<((?:\\x[0-9a-f]{2}|[^>])*)>", arguments)
    path = _plain(named[1]) if named else ""
    strings = [_unhex(one) for one in _BYTES.findall(arguments)]
    if call == "write" and arguments.startswith("1<"):
        return "mark", strings[0].decode().strip(), 0, b""
    if call == "unlink":
        path = strings[0].decode()
    if not path.startswith(folder) or path.endswith("-shm"):
        return None
    name = path.removeprefix(folder).removeprefix("/")
    match call:
        case "pwrite64":
            return "write", name, int(arguments.rsplit(",", 1)[1]), strings[0]
        case "fsync" | "fdatasync":
            return "sync", name, 0, b""
        case "ftruncate":
            return "truncate", name, int(arguments.rsplit(",", 1)[1]), b""
        case "unlink":
            return "unlink", name, 0, b""
        case "write":
            raise ValueError(f"a write without a place to {name}: this trace can't be read")
    return None


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _plain(text: str) -> str:
    return _unhex(text).decode() if text.startswith("\\x") else text


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)
    named: bool = False

    def after(self, chance: random.Random | None) -> bytearray:
        """The content after all pending changes, or with ``chance`` after any part of them."""
        content = bytearray(self.durable)
        for kind, _, place, data in self.pending:
            if kind == "truncate":
                if chance is None or chance.random() < 0.5:
                    del content[place:]
                    content.extend(bytes(place - len(content)))
                continue
            fate = 1.0 if chance is None else chance.random()
            for at in range(0, len(data), SECTOR):
                if fate > 0.6 or (fate > 0.3 and chance is not None and chance.random() < 0.5):
                    part = data[at : at + SECTOR]
                    content.extend(bytes(max(0, place + at + len(part) - len(content))))
                    content[place + at : place + at + len(part)] = part
        return content


def rebuild(events: list[Event], state: Path, chance: random.Random) -> None:
    """Writes a possible state of the disk after ``events`` and a power cut into the folder ``state``."""
    files: dict[str, _File] = {}
    unlinked: dict[str, _File] = {}  # since the journal was last written
    for event in events:
        kind, name, _, _ = event
        if kind == "sync":
            unlinked.clear()
            if name:  # else the folder itself
                file = files.setdefault(name, _File())
                file.durable, file.pending, file.named = file.after(None), [], True
        elif kind == "unlink":
            if name in files:
                unlinked[name] = files.pop(name)
        elif kind != "mark":
            files.setdefault(name, _File()).pending.append(event)
    if chance.random() < 0.5:
        files = unlinked | files
    for name, file in files.items():
        if not file.named and chance.random() < 0.3:
            continue  # its name has not reached the disk either
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(file.after(chance))


async def verify(state: Path, reports: list[str]) -> tuple[list[str], list[str], int]:
    """(lost alerts, duplicates, 1 if the store refuses new alerts)."""
    import agent.host.clock
    from agent.outbox.outbox import Outbox

    kept = {identity for words in reports if words.startswith("kept") for identity in words.split()[1:]}
    received = {words.split()[1] for words in reports if words.startswith("received")}
    handed = {tuple(words.split()[1:4]): words.split()[4] for words in reports if words.startswith("handed")}
    session = max((int(words.split()[1]) for words in reports if words.startswith("session")), default=0)
    agent.host.clock.boot_id = lambda: "after the power cut"  # type: ignore[assignment]
    outbox = Outbox.open(state)
    new = [_message(lane) for lane in ("alert", "telemetry", "alert")]
    await outbox.put(*new)
    rows = []
    while found := await outbox.due(500, LANES):
        rows += found
    stored = [row.id for row in rows]
    missing = [f"alert {identity} is lost" for identity in sorted(kept - received - set(stored))]
    twice = [
        f"{row.epoch} {row.lane} {row.seq} was {handed[key]}, now {row.id}"
        for row in rows
        if (key := (row.epoch, row.lane, str(row.seq))) in handed and handed[key] != row.id
    ]
    twice += [
        f"alert {identity} is stored twice" for identity in {one for one in stored if stored.count(one) > 1}
    ]
    if outbox.session < session:
        twice.append(f"session {outbox.session} after {session}")
    refused = int(not {message.id for message in new} <= set(stored))
    outbox.close()
    return missing, twice, refused


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        asyncio.run(child(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
    else:
        from agent.runtime.logging_setup import set_up_log

        set_up_log("critical")
        raise SystemExit(main(*map(int, sys.argv[1:4])))
