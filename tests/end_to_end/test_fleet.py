"""A technician and a fleet of stand-ins, with signatures and a real broker: side by side, staged, in layers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.trust.roles import Role, Roles, default_role, open_roles, sign_roles
from agent.trust.signing_key import SigningKey
from simulators.broker import LocalBroker
from tests.end_to_end.rig import BROKER

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).resolve().parents[2]
COUNT = 5
PATCH = '{"rules": {"quiet": {"after": "20s"}}}'


class Fleet:
    """Five stand-ins, of which boat-003 takes back every push, and a desk."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._environment = os.environ | {
            "RINGPOST_BROKER": url,
            "RINGPOST_SIGNING_KEY": str(folder / "keys" / "root.pem"),
            "PYTHONPATH": str(ROOT),
        }

    def ringpost(self, *arguments: str, code: int = 0) -> str:
        """Standard output and error of a call."""
        done = subprocess.run(
            [sys.executable, "-m", "agent", *arguments], cwd=self.folder, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.returncode, done.stdout)
        return done.stdout

    def revisions(self) -> list[int | None]:
        said = self.ringpost("config", "get", "--all", "--json")
        reports = [json.loads(line) for line in said.splitlines()]
        return [report["active"].get("revision") for report in reports]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with LocalBroker(BROKER) as broker:
        made = Fleet(folder, broker.url)
        made.ringpost("keys", "init", "keys")
        arguments = ["-m", "simulators.fleet", "--broker", broker.url, "--count", str(COUNT)]
        arguments += ["--roles", str(folder / "keys" / "roles.json"), "--folder", str(folder / "boats")]
        process = subprocess.Popen(
            [sys.executable, *arguments, "--fault", "boat-003=rolls_back"],
            cwd=ROOT, env=made._environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == {"devices": COUNT}
            yield made
        finally:
            process.terminate()
            process.wait(60)


def test_two_technicians_work_side_by_side(fleet: Fleet) -> None:
    """Pushes to different devices at once, while two others look."""
    calls = [
        ["config", "push", "boat-001", "--patch", PATCH],
        ["config", "push", "boat-002", "--patch", PATCH],
        ["config", "get", "boat-004"],
        ["config", "get", "boat-004", "--text"],
        ["watch", "--for", "5s"],
    ]
    with ThreadPoolExecutor(len(calls)) as pool:
        said = list(pool.map(lambda call: fleet.ringpost(*call), calls))
    assert "boat-001: revision 1 applied" in said[0]
    assert "boat-002: revision 1 applied" in said[1]
    assert "boat-004: applied; active: the local file" in said[2]
    assert "device: boat-004" in said[3]
    assert "closed by the broker" not in said[4]
    for device in ("boat-001", "boat-002"):
        fleet.ringpost("config", "rollback", device)


def test_a_roll_out_stops_and_is_taken_back(fleet: Fleet) -> None:
    push = ["config", "push", "--group", "kind.patrol_boat", "--patch", PATCH, "--state", "state.json"]
    said = fleet.ringpost(*push, "--waves", "1,3,100%", "--pause", "0s", "--confirm-within", "20s", code=1)
    assert "stopped: boat-003: rolled back: board: sends nothing" in said
    assert [revision is not None for revision in fleet.revisions()] == [True, True, False, False, False]
    said = fleet.ringpost("config", "rollback", "--rollout", "state.json")
    assert "2 of 5 devices have this roll-out" in said
    assert fleet.revisions() == [None] * COUNT


def test_a_roll_out_confirms_what_is_healthy(fleet: Fleet) -> None:
    push = ["config", "push", "boat-004", "boat-005", "--patch", PATCH, "--confirm", "manual"]
    said = fleet.ringpost(*push, "--state", "manual.json", "--pause", "1s", "--confirm-within", "30s")
    assert "boat-004: done" in said
    assert [bool(revision) for revision in fleet.revisions()] == [False, False, False, True, True]
    fleet.ringpost("config", "rollback", "--rollout", "manual.json")


def test_a_layer_is_for_the_whole_group(fleet: Fleet) -> None:
    patch = '{"rules": {"quiet": {"after": "25s"}}}'
    said = fleet.ringpost(
        "config", "push", "--group", "kind.patrol_boat", "--patch", patch, "--layer", code=1
    )
    assert said.count("revision 1 applied") == COUNT - 1
    assert "layer group:kind.patrol_boat: revision 1" in said
    assert "after: 25s" in fleet.ringpost("config", "get", "boat-005", "--text")
    said = fleet.ringpost("config", "get", "boat-003")
    assert "revision 1 rolled_back" in said
    assert "layer group" not in said


def test_what_takes_two_signatures_is_signed_on_two_laptops(fleet: Fleet) -> None:
    root, second = SigningKey.load(fleet.folder / "keys" / "root.pem"), SigningKey.generate()
    second.save(fleet.folder / "second.pem")
    before = open_roles((fleet.folder / "keys" / "roles.json").read_bytes())
    roles = dict(before.roles)
    roles["configurer"] = default_role("configurer", [root.key_id, second.key_id])
    fields = before.model_dump() | {
        "version": 2,
        "guarded_signatures": 2,
        "keys": before.model_dump()["keys"] | {second.key_id: {"public": second.public.hex()}},
        "roles": {name: Role.model_validate(role).model_dump() for name, role in roles.items()},
    }
    (fleet.folder / "roles-2.json").write_bytes(sign_roles(Roles.model_validate(fields), [root]))
    said = fleet.ringpost("keys", "push", "roles-2.json", "boat-001", "boat-004")
    assert "boat-001: roles version 2 in force" in said
    fleet.ringpost("keys", "push", str(fleet.folder / "keys" / "roles.json"), "boat-001", code=77)

    patch = '{"rules": {"panic": null}}'  # to take a rule away takes two
    said = fleet.ringpost("config", "push", "boat-001", "--patch", patch, code=77)
    assert "needs the signatures of 2 keys" in said
    push = ["config", "push", "boat-001", "--patch", patch]
    fleet.ringpost(*push, "--prepare", "order.json", "--cosigner", second.key_id)
    assert "needs the signatures of 2 keys" in fleet.ringpost(
        "config", "push", "boat-001", "--signed", "order.json", code=77
    )
    fleet.ringpost(*push, "--prepare", "order.json", "--cosigner", second.key_id)
    fleet.ringpost("keys", "sign", "order.json", "--key", "second.pem")
    said = fleet.ringpost("config", "push", "boat-001", "--signed", "order.json")
    assert "applied" in said
    assert "was signed for boat-001" in fleet.ringpost(
        "config", "push", "boat-002", "--signed", "order.json", code=2
    )
