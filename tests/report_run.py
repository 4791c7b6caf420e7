"""Makes the folder of a run without a run: a rescue at a bridge, as `ringpost simulate --report` writes it."""

import json
import math
from pathlib import Path
from typing import Any

from simulators.run_record import RunRecord

BRIDGE = (32.1162, 118.7404)
M_PER_DEG = 111_000.0
FALLS, ABOARD, DURATION = 20.0, 430.0, 460.0


def place(east: float, north: float) -> dict[str, float]:
    lon = BRIDGE[1] + east / (M_PER_DEG * math.cos(math.radians(BRIDGE[0])))
    return {"lat": round(BRIDGE[0] + north / M_PER_DEG, 7), "lon": round(lon, 7)}


def between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    share = min(1.0, max(0.0, share))
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


class Making:
    """A record whose clock is set by hand."""

    def __init__(self) -> None:
        self.t = 0.0
        self.record = RunRecord(lambda: self.t)
        self.seq = 0

    def alert(
        self, device: str, alert_id: str, phase: str, rule: str, text: str, severity: str, **more: Any
    ) -> None:
        self.seq += 1
        identity = f"id-{self.seq}"
        t = self.t
        self.record.event("accepted", device, id=identity, alert_id=alert_id, phase=phase, rule=rule)
        self.t = t + 0.012
        fields = {
            "alert_id": alert_id,
            "phase": phase,
            "rule": rule,
            "severity": severity,
            "text": text,
            "kind": rule,
        } | more
        steps = {"detection_to_finding": 10.0, "finding_to_outbox": 4.0 + self.seq, "outbox_to_sent": 9.0}
        self.record.message(
            device, "alert", {"id": identity, "device": device, "alert": fields, "latency_ms": steps}
        )
        self.t = t + 0.030 + 0.01 * self.seq
        self.record.event("committed", id=identity)
        self.record.event("receipt", device, ids=[identity])
        self.t = t


def make_run(folder: Path, *, hostile: str = "", duration: float = DURATION, boats: int = 1) -> Path:
    """The folder of a passed run; ``hostile`` is put where names and texts are."""
    made = Making()
    record = made.record
    status = {"state": "online", "reasons": []}
    for device, kind in (
        ("bridge-1", "checkpoint_camera"),
        *((f"boat-{n}", "patrol_boat") for n in range(1, boats + 1)),
    ):
        record.message(
            device,
            "birth",
            {
                "id": f"b-{device}",
                "kind": kind,
                "capabilities": {"sources": {"gnss": "nmea", "cam1": "camera"}},
                **(place(0, 0) if device == "bridge-1" else {}),
            },
        )
        record.message(device, "status", status)
    fell = (60.0, -30.0)
    for second in range(int(duration) + 1):
        made.t = float(second)
        for n in range(1, boats + 1):
            drift = min(1.0, max(0.0, (second - FALLS) / 400))
            goal = between(fell, (150.0, -260.0), drift)
            x, y = between((-900.0 - 150 * n, -700.0), goal, (second - 30) / 85)
            x, y = x + 1.2 * math.sin(second / 3), y + 0.8 * math.cos(second / 4)
            record.fact(device=f"boat-{n}", **place(x, y), speed_mps=9.0, course_deg=50.0)
            if second % 5 == 0:
                off = 3 if not 150 <= second < 200 else 40
                record.message(
                    f"boat-{n}",
                    "position",
                    {
                        "id": f"p-{n}-{second}",
                        **place(x + off, y - 2),
                        "mode": "3d",
                        "trust": "good" if off == 3 else "low",
                        "age_s": 0.2,
                        "error_m": 5.0 if off == 3 else 55.0,
                    },
                )
        if second >= 5 and second <= ABOARD:
            x, y = (
                between((20.0, 0.0), fell, (second - 5) / 20)
                if second < FALLS + 10
                else between(fell, (150.0, -260.0), (second - FALLS) / 400)
            )
            record.fact(
                object="man" + hostile,
                kind="person",
                phase="drifting" if second > FALLS + 10 else "walking",
                **place(x, y),
            )
        for vessel in range(4):
            record.fact(
                object=f"vessel-{vessel}",
                kind="vessel",
                **place(-1400 + second * (3 + vessel), -300 - 120 * vessel),
            )
        if second == FALLS:
            record.fact(event="person_beyond_railing", object="man" + hostile)
            made.alert(
                "bridge-1",
                "a1",
                "new",
                "beyond" + hostile,
                "person beyond the east railing" + hostile,
                "critical",
                point={**place(*fell), "error_m": 18.0, "how": "ground_plane"},
                need_ack=True,
            )
        if second == 26:
            made.alert("bridge-1", "a2", "new", "panic", "panic button on", "critical")
        if second == 40:
            made.alert("bridge-1", "a2", "end", "panic", "panic button on", "critical", reason="cleared")
        if second == 90:
            record.event("fault_began", "boat-1", fault=1, kind="line.silent")
            record.event("fault_effect", "boat-1", fault=1, kind="line.silent")
        if second == 96:
            record.message(
                "boat-1", "status", {"state": "degraded", "reasons": ["gnss: silent for 5 s" + hostile]}
            )
            made.alert("boat-1", "a3", "new", "receiver-silent", "gnss silent for 5 s", "warning")
        if second == 130:
            record.event("fault_ended", "boat-1", fault=1, kind="line.silent")
        if second == 132:
            record.message("boat-1", "status", status)
            made.alert("boat-1", "a3", "end", "receiver-silent", "gnss silent for 40 s", "warning")
        if second == 115:
            record.fact(event="track_ends", device="boat-1")
        if second == ABOARD:
            record.fact(event="person_aboard", object="man" + hostile)
            made.alert(
                "bridge-1",
                "a1",
                "end",
                "beyond" + hostile,
                "person beyond the east railing",
                "critical",
                reason="cleared",
            )
    record.save(folder)
    (folder / "scenario.yaml").write_text(
        "name: bridge_rescue\nseed: 7\ndevices:\n  bridge-1: {config: {kind: checkpoint_camera, sources: {gnss: {kind: nmea}, cam1: {kind: camera}}}}\n"
    )
    (folder / "run.json").write_text(json.dumps(verdict(record, hostile, duration), indent=1))
    return folder


def verdict(record: RunRecord, hostile: str, duration: float) -> dict[str, Any]:
    def met(name: str, deadline: float | None, actual: float | None) -> dict[str, Any]:
        margin = None if deadline is None or actual is None else round(deadline - actual, 3)
        return {
            "name": name,
            "text": name + " in time" + hostile,
            "met": True,
            "deadline_s": deadline,
            "actual_s": actual,
            "margin_s": margin,
            "detail": "",
        }

    return {
        "format": "ringpost-run/1", "scenario": "bridge_rescue", "seed": 7, "clock": "virtual",
        "began_at": "2022-11-28T19:40:00+08:00", "duration_s": duration, "wall_s": 2.9, "speed": 158.0, "verdict": "passed",
        "sha256": record.sha256(), "version": "0.1.0", "python": "3.11.7",
        "expectations": [
            met("seen beyond the railing" + hostile, 25.0, 20.012), met("panic raised", 30.0, 26.012),
            met("bridge post and boat there", 140.0, 115.0), met("person aboard", 440.0, 430.0),
            met("receiver-silent told", 100.0, 96.012),
        ],
        "never": [met("no board-silent", None, None)],
        "sometimes": [met("the line was silent", None, 90.0)],
        "invariants": [{"name": name, "met": True, "detail": ""} for name in ("each accepted alert at the centre or on disk", "one id each", "end after new", "sequence numbers explained")],
        "faults": [{"number": 1, "kind": "line.silent", "device": "boat-1", "began_s": 90.0, "ended_s": 130.0, "effect_s": 90.5, "detected_s": 96.0, "recovered_s": 132.0}],
        "incomplete": [], "losses": {}, "counts": {"raised": 6, "committed": 6, "owed": 0, "lost": 0}, "memory_mb": 61,
    }  # fmt: skip
