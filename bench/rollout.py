"""A staged roll-out over many devices: one canary fails, so it stops there; then kill -9 in the middle.

Light stand-ins for devices with the agent's own checks of pushes and signatures, a real broker, and the
command line in processes of its own. ``python -m bench.rollout [DEVICES]`` fails loudly where anything is not
as it should be.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from agent.cli.rollout_board import RolloutBoard
from agent.cli.rollout_plan import load_rollout
from simulators.broker import LocalBroker

HERE = Path(__file__).resolve().parents[1]
PATCH = '{"rules": {"quiet": {"after": "20s"}}}'
BAD_CANARY = "boat-002"


class Desk:
    """The command line of a technician, in a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | {
            "RINGPOST_BROKER": url,
            "RINGPOST_SIGNING_KEY": str(folder / "keys" / "root.pem"),
            "PYTHONPATH": str(HERE),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agent", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, *arguments: str, code: int = 0) -> tuple[str, float]:
        """Standard output and seconds; ends the benchmark where the exit code is another."""
        began_s = time.monotonic()
        process = self.start(*arguments)
        said, complained = process.communicate(timeout=900)
        assert process.returncode == code, (arguments, process.returncode, said[-2000:], complained[-2000:])
        print(complained, file=sys.stderr, end="")
        return said, time.monotonic() - began_s

    def revisions(self) -> dict[str, int | None]:
        """By device: the revision in force, as the device reports it."""
        said, _ = self.run("config", "get", "--all", "--json")
        reports = [json.loads(line) for line in said.splitlines()]
        return {report["device"]: report["active"].get("revision") for report in reports}


def main() -> int:
    """Prints the table of each stage, and a JSON object with the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name, LocalBroker("mosquitto") as broker:
        folder = Path(name)
        desk = Desk(broker.url, folder)
        desk.run("keys", "init", "keys")
        roles = folder / "keys" / "roles.json"
        arguments = ["--broker", broker.url, "--roles", str(roles), "--folder", str(folder / "fleet")]
        arguments += ["--count", str(count), "--fault", f"{BAD_CANARY}=rolls_back"]
        fleet = subprocess.Popen(
            [sys.executable, "-m", "simulators.fleet", *arguments],
            cwd=HERE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert fleet.stdout is not None
            assert json.loads(fleet.stdout.readline()) == {"devices": count}
            figures = play(desk, folder, count)
        finally:
            fleet.send_signal(signal.SIGTERM)
            fleet.wait(60)
    print(json.dumps(figures))
    return 0


def play(desk: Desk, folder: Path, count: int) -> dict[str, Any]:
    """The stages; each is checked by what the devices report, not by what the desk says."""
    state = folder / "state.json"
    push = ["config", "push", "--group", "kind.patrol_boat", "--patch", PATCH, "--state", str(state)]
    _, stopped_s = desk.run(
        *push, "--canary", "3", "--waves", "10%,50%,100%", "--pause", "2s", "--confirm-within", "20s", code=1
    )
    show(state)
    after_canary = desk.revisions()
    assert len(after_canary) == count
    touched = sorted(device for device, revision in after_canary.items() if revision)
    assert touched == ["boat-001", "boat-003"], touched
    assert highest_revisions(folder, count).count(1) == 3, "only the canaries were sent to"

    resumed = desk.start("config", "push", "--resume", str(state), "--skip-failed")
    killed_at = count // 3
    wait_until(lambda: len(load_rollout(state).with_step("done")) >= killed_at, resumed)
    resumed.send_signal(signal.SIGKILL)
    resumed.communicate()
    at_kill = load_rollout(state)
    show(state)
    _, rest_s = desk.run("config", "push", "--resume", str(state), "--skip-failed")
    show(state)
    revisions = desk.revisions()
    assert sorted(device for device, revision in revisions.items() if revision != 1) == [BAD_CANARY]
    assert highest_revisions(folder, count) == [1] * count, "no device was sent a second revision"
    _, back_s = desk.run("config", "rollback", "--rollout", str(state))
    assert not any(desk.revisions().values()), "every device is back at its local file"
    return {
        "devices": count,
        "canaries": 3,
        "sent_before_it_stopped": 3,
        "untouched_when_it_stopped": count - 3,
        "seconds_until_it_stopped": round(stopped_s, 1),
        "done_at_kill_9": len(at_kill.with_step("done")),
        "on_trial_at_kill_9": len(at_kill.with_step("sent")),
        "seconds_for_the_rest": round(rest_s, 1),
        "seconds_to_take_it_back": round(back_s, 1),
        "done_at_the_end": sum(revision == 1 for revision in revisions.values()),
    }


def wait_until(true: Any, process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + 600
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def highest_revisions(folder: Path, count: int) -> list[int]:
    """The highest revision in the ledger of each device."""
    ledgers = sorted((folder / "fleet").glob("*/config/config.json"))
    assert len(ledgers) == count
    return [json.loads(ledger.read_text())["highest_revision"] for ledger in ledgers]


def show(state: Path) -> None:
    Console(stderr=True, width=110).print(RolloutBoard(load_rollout(state), as_json=False).table())


if __name__ == "__main__":
    raise SystemExit(main())
