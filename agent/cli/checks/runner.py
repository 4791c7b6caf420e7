"""Runs the numbered checks: each within its time limit, those of one group concurrently."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent.cli.checks.finding import Finding, State, failed, skipped, worst
from agent.cli.checks.target import Target
from agent.host.clock import monotonic_s
from agent.runtime.native_calls import within

Run: TypeAlias = Callable[[Target], Iterable[Finding] | AsyncIterator[Finding]]


@dataclass(frozen=True)
class Check:
    """``group``: checks of one group run concurrently. ``needs_config``: skipped without a valid one."""

    name: str
    run: Run
    limit_s: float = 10.0
    group: int = 0
    needs_config: bool = True


@dataclass(frozen=True)
class CheckResult:
    """The findings of one check; ``number`` counts from 1."""

    number: int
    name: str
    findings: tuple[Finding, ...]
    took_s: float

    @property
    def state(self) -> State:
        return worst(self.findings)


async def run_checks(
    checks: Sequence[Check], target: Target, on_running: Callable[[list[str]], None] = lambda _: None
) -> AsyncIterator[CheckResult]:
    """The results in the order of ``checks``. ``on_running`` gets the names of those that run now."""
    running: list[str] = []

    async def run(number: int, check: Check) -> CheckResult:
        running.append(check.name)
        on_running(running)
        began_s = monotonic_s()
        findings = await _findings(check, target)
        running.remove(check.name)
        on_running(running)
        return CheckResult(number, check.name, findings, monotonic_s() - began_s)

    numbered = list(enumerate(checks, 1))
    for group in sorted({check.group for check in checks}):
        tasks = [asyncio.create_task(run(*one)) for one in numbered if one[1].group == group]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _findings(check: Check, target: Target) -> tuple[Finding, ...]:
    """A check that raises or hangs is a finding, too: the others go on."""
    if check.needs_config and target.config is None:
        return (skipped("needs a valid configuration"),)
    found: list[Finding] = []
    try:
        result = check.run(target)
        if isinstance(result, AsyncIterator):
            async with asyncio.timeout(check.limit_s):
                async for finding in result:
                    found.append(finding)  # noqa: PERF401  those found before a time-out count
        else:
            await within(check.limit_s, lambda: found.extend(result), check.name)
    except TimeoutError:
        text = f"no answer within {check.limit_s:g} s: it hangs"
        found.append(failed(text, "power the hardware of this check off and on, then run doctor again"))
    except Exception as error:  # whatever it is, the other checks go on
        text = f"the check itself failed: {type(error).__name__}: {error}"
        found.append(failed(text, "report it with the file of: ringpost doctor --bundle FILE.zip"))
    return tuple(found)
