"""Any order of pushes, patches, groups, confirmations, rollbacks, local edits and crashes at any step: the device
always has a configuration that runs, no counter falls, and what is reported is what is on disk."""

import asyncio
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import agent.config.deployment as deployment_module
import agent.config.ledger as ledger_module
from agent.config.deployment import Deployment
from agent.config.ledger import FILE, Ledger
from agent.config.loader import digest, parse
from agent.config.merge_patch import canonical
from agent.config.trial import TrialLimit, TrialSteps
from tests.memory import memory_folder
from tests.pushed_configurations import anyone
from tests.test_deployment import LOCAL

LEVELS = ["info", "warning", "critical"]
TARGETS = ["", "group:all", "group:ring.perimeter", "group:kind.watch_point", "group:group.north"]
FILE_TEXT = LOCAL + "groups: [north]\n"
BROKEN_PARTS = ["  more: {kind: nothing}\n", "  more: {kind: silence, source: gone}\n"]
GARBAGE = [b"", b"\xff\xfe", b"a: [", b"- 1\n", b"device: x\n"]


class Crash(BaseException):
    """The process ends here."""


class Pushes(RuleBasedStateMachine):
    """One device, with a countdown to its next crash."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = memory_folder()
        self.local = self.folder / "agent.yaml"
        self.local.write_text(FILE_TEXT)
        self.write = ledger_module.write_durably
        self.crash_in: int | None = None
        self.reachable = self.full = False
        self.reported: dict[str, Any] = {}
        self.revisions = dict.fromkeys(TARGETS, 0)
        self.counter = 0
        self.last: dict[str, int] = {}
        ledger_module.write_durably = self.stored  # type: ignore[assignment]
        deployment_module.TrialLimit = lambda within_s: TrialLimit(within_s / 50)  # type: ignore[assignment, misc]
        self.boot()

    def teardown(self) -> None:
        ledger_module.write_durably = self.write
        deployment_module.TrialLimit = TrialLimit  # type: ignore[misc]
        shutil.rmtree(self.folder)

    def step(self) -> None:
        """A moment at which the process may end."""
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                raise Crash

    def stored(self, path: Path, data: bytes) -> None:
        self.step()
        if self.full:
            raise OSError(28, "No space left on device")
        self.write(path, data)
        self.step()

    def steps(self) -> TrialSteps:
        async def apply(_: Any) -> None:
            self.step()

        async def prove() -> None:
            self.step()
            if not self.reachable:
                raise TimeoutError

        async def report() -> None:
            self.reported = self.deployment.reported()
            self.step()

        async def probe(_: float) -> list[str]:
            self.step()
            return []

        return TrialSteps(apply, prove, report, probe)

    def boot(self) -> None:
        self.crash_in, self.full = None, False
        self.deployment = Deployment.boot(self.local, self.folder / "data")
        self.reported = self.deployment.reported()

    def run(self, work: Any, crash_in: int | None, *, confirm: int | None = None) -> None:
        """Carries out one order, with a crash at its n-th step, and a restart after it."""
        self.crash_in = crash_in

        async def scene() -> None:
            task = asyncio.ensure_future(work)
            while not task.done():
                if confirm is not None and self.deployment.reported()["state"] == "unconfirmed":
                    with suppress(ValueError, OSError):
                        await self.deployment.confirm(confirm)
                await asyncio.sleep(0.002)
            await task

        try:
            asyncio.run(scene())
        except Crash:
            self.boot()
        self.crash_in = None

    @rule(
        level=st.sampled_from(LEVELS),
        to=st.sampled_from(TARGETS),
        step=st.sampled_from([1, 1, 1, 1, 1, 2, 0]),
        whole=st.booleans(),
        valid=st.sampled_from([True] * 6 + [False]),
        reachable=st.sampled_from([True] * 5 + [False]),
        manual=st.sampled_from(["no", "no", "no", "confirmed", "forgotten"]),
        validate_only=st.sampled_from([False] * 6 + [True]),
        crash_in=st.one_of(st.none(), st.none(), st.integers(0, 14)),
    )
    def push(
        self, level: str, to: str, step: int, whole: bool, valid: bool, reachable: bool, manual: str,
        validate_only: bool, crash_in: int | None,
    ) -> None:  # fmt: skip
        self.reachable, target = reachable, to
        revision = self.revisions[target] + step
        name = level if valid else "loud"
        fields: dict[str, Any] = {"revision": revision, "confirm_within_s": 2, "validate_only": validate_only}
        if whole and not target:
            text = FILE_TEXT.replace("severity: warning", f"severity: {name}")
            fields |= {"body": text, "sha256": digest(text)}
        else:
            fields["patch"] = {
                "rules": {"panic": {"severity": name}},
                "reporting": {"health_every": f"{revision + 1}s"},
            }
        fields["confirm"] = "auto" if manual == "no" else "manual"
        self.counter += 1
        work = self.deployment.handle(
            json.dumps(fields).encode(), self.steps(), authorize=anyone, target=target, key_ids=("k",), counters={f"k {target}": self.counter}
        )  # fmt: skip
        self.run(work, crash_in, confirm=revision if manual == "confirmed" else None)
        ledger = self.deployment.ledger
        self.revisions[target] = ledger.highest(target or None)
        if (
            self.deployment.reported()["state"] == "applied"
            and ledger.answer
            and ledger.answer.revision == revision
        ):
            assert valid or target or step != 1  # what the device sets itself hides a group's mistake

    @rule(
        revision=st.one_of(st.none(), st.integers(0, 6)),
        crash_in=st.one_of(st.none(), st.none(), st.integers(0, 12)),
    )
    def roll_back(self, revision: int | None, crash_in: int | None) -> None:
        self.reachable = True
        self.run(self.deployment.roll_back(revision, self.steps(), authorize=anyone), crash_in)

    @rule(content=st.one_of(st.sampled_from(LEVELS), st.sampled_from(BROKEN_PARTS), st.sampled_from(GARBAGE)))
    def edit(self, content: str | bytes) -> None:
        """Somebody edits the file at the device, and restarts the agent."""
        if isinstance(content, bytes):
            self.local.write_bytes(content)
        elif content in LEVELS:
            self.local.write_text(FILE_TEXT.replace("severity: warning", f"severity: {content}"))
        else:
            self.local.write_text(LOCAL + content)
        asyncio.run(self.deployment.check_drift())
        self.boot()

    @rule()
    def restart(self) -> None:
        self.boot()

    @rule(broken=st.sampled_from([b"", b"{", b"\x00"]))
    def damage(self, broken: bytes) -> None:
        """The ledger is damaged; its copy stands in."""
        (self.folder / "data" / FILE).write_bytes(broken)
        self.boot()

    @precondition(lambda self: not self.full)
    @rule(level=st.sampled_from(LEVELS))
    def push_on_a_full_disk(self, level: str) -> None:
        before = self.deployment.config
        self.full = True
        payload = {"revision": self.revisions[""] + 1, "patch": {"rules": {"panic": {"severity": level}}}}
        order = self.deployment.handle(json.dumps(payload).encode(), self.steps(), authorize=anyone)
        self.run(order, None)
        assert self.deployment.reported()["state"] == "rejected"
        assert self.deployment.config == before
        self.full = False
        self.boot()
        self.revisions[""] = self.deployment.ledger.highest_revision

    @invariant()
    def a_configuration_runs_and_nothing_fell(self) -> None:
        ledger = self.deployment.ledger
        assert "panic" in self.deployment.config.rules
        assert ledger.trial is None
        on_disk = Ledger.model_validate_json((self.folder / "data" / FILE).read_bytes())
        assert on_disk.active == ledger.active
        assert on_disk.counters == ledger.counters
        assert on_disk.answer == ledger.answer
        assert self.reported == self.deployment.reported()
        assert self.reported["active"]["sha256"] == on_disk.active.sha256
        assert digest(on_disk.active.text) == on_disk.active.sha256
        if not self.deployment.faults:
            assert parse(on_disk.active.text, name="", base=self.folder) == self.deployment.config
        now = {"device": ledger.highest_revision, **ledger.group_revisions, **ledger.counters}
        assert all(now.get(key, 0) >= value for key, value in self.last.items()), (self.last, now)
        self.last = now
        assert canonical(self.reported)
        assert len(ledger.history) <= ledger_module.KEPT_REVISIONS


@pytest.mark.slow
class TestPushes(Pushes.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(
        max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    )
