"""What happened in a run, with the time of each: messages, the truth, events. Three files and their hash."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Fields = dict[str, Any]
KINDS = ("messages", "truth", "events")


@dataclass(slots=True)
class RunRecord:
    """Lists in order of time. Each entry is a JSON object with ``t``, seconds since the start of the run.

    ``messages``: all that the broker took from devices: ``t, device, topic`` (below the device's) ``, body``;
    a picture has ``size`` instead of a body.
    ``truth``: where everything is: ``t, device, lat, lon, speed_mps, course_deg`` each second of a device
    that moves; ``t, object, kind, lat, lon`` of people, vessels and drones; ``t, event, …`` of events of the
    world, such as ``person_beyond_railing``.
    ``events``: ``t, device`` (absent for the broker and the centre) ``, event, …``:
    ``began`` with ``at``, the true instant of second 0;
    ``fault_began|fault_effect|fault_ended`` with ``fault`` (number in the timeline), ``kind``, and the
    ``source`` that it hits; ``pressed`` with ``press`` (``SOURCE.BUTTON``); ``pushed``;
    ``accepted`` (an alert message is on the device's disk: ``id, alert_id, phase, rule``);
    ``committed`` (at the centre: ``id``), ``receipt`` (``ids`` given by the centre);
    ``started|killed|stopped|died``, with ``part``: device, hardware, broker or centre;
    ``on_disk`` and ``at_centre`` with ``messages``, at the end (`simulators.checker.disks.note_disks`).
    A last will is a message on ``status``; one outside the topics of simulated devices has the device "".
    """

    now_s: Callable[[], float]
    messages: list[Fields] = field(default_factory=list)
    truth: list[Fields] = field(default_factory=list)
    events: list[Fields] = field(default_factory=list)

    def message(self, device: str, topic: str, body: Fields) -> None:
        self.messages.append({"t": self._t(), "device": device, "topic": topic, "body": body})

    def fact(self, **fields: Any) -> None:
        """Adds to the truth."""
        self.truth.append({"t": self._t(), **fields})

    def event(self, event: str, device: str | None = None, **fields: Any) -> None:
        whose = {} if device is None else {"device": device}
        self.events.append({"t": self._t(), **whose, "event": event, **fields})

    def save(self, folder: Path) -> None:
        """Writes messages.ndjson, truth.ndjson and events.ndjson."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            with (folder / f"{kind}.ndjson").open("w") as file:
                file.writelines(line + "\n" for line in self._lines(kind))

    def sha256(self) -> str:
        """The hash of all three files: equal for equal runs."""
        digest = hashlib.sha256()
        for kind in KINDS:
            for line in self._lines(kind):
                digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    @classmethod
    def load(cls, folder: Path) -> "RunRecord":
        """A saved record. OSError or ValueError where it is missing or damaged."""
        lists = [
            [json.loads(line) for line in (folder / f"{kind}.ndjson").read_text().splitlines()]
            for kind in KINDS
        ]
        return cls(lambda: 0.0, *lists)

    def _lines(self, kind: str) -> Iterator[str]:
        entries: list[Fields] = getattr(self, kind)
        return (json.dumps(one, ensure_ascii=False, separators=(",", ":"), default=str) for one in entries)

    def _t(self) -> float:
        return round(self.now_s(), 6)
