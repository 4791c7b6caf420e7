"""``hello`` and ``now``: the device, and how it is at this instant."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from agent.domain.message import SIMULATED_ROOT, stamp
from agent.host.clock import monotonic_s, read_clocks, utc_now
from agent.local_api.parts import AgentParts, Answer, Call
from agent.local_api.rule_progress import progress_fields
from agent.outbox.alert_records import StoredCounts, stored_counts
from agent.reporting.birth import software_version

LEAST_EVERY_S, MOST_EVERY_S = 0.5, 60.0
SHARED_S = 0.25
"""A state is shared by all who ask within this time."""
NOT_COUNTED = {"raised": None, "committed": None, "confirmed": None, "owed": None, "lost": None}


class DeviceView:
    """Answers from the running parts; makes nothing that is sent."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._started_at = stamp(utc_now())
        self._in_turn = asyncio.Lock()
        self._newest: tuple[float, dict[str, Any]] = (float("-inf"), {})
        self._counts: dict[str, Any] = dict(NOT_COUNTED)

    async def hello(self, _: Call) -> Answer:
        """The device and its agent; see `console.agent_views.Hello`."""
        parts, config = self._parts, self._parts.running()
        roles = parts.inbound.trust.roles
        return Answer(
            {
                "device": config.device,
                "kind": config.kind,
                "place": config.place.model_dump(exclude_none=True),
                "root": parts.root,
                "version": software_version(),
                "pid": os.getpid(),
                "session": parts.pipeline.messages.session,
                "simulated": parts.root == SIMULATED_ROOT,
                "data": str(parts.folder),
                "config_file": str(parts.deployment.local_file),
                "device_key": parts.device_key,
                "roles_version": roles.version if roles else None,
                "cameras": list(config.cameras()),
                "sources": {name: source.kind for name, source in config.sources.items()},
                "started_at": self._started_at,
            }
        )

    async def now(self, call: Call) -> AsyncGenerator[Answer, None]:
        """The state of the device, again and again."""
        every_s = call.number("every_s", 1.0, LEAST_EVERY_S, MOST_EVERY_S)
        while True:
            began_s = monotonic_s()
            async with self._in_turn:
                made_s, state = self._newest
                if began_s - made_s > SHARED_S:
                    state = await self._state()
                    self._newest = monotonic_s(), state
            yield Answer(state)
            await asyncio.sleep(max(0.05, began_s + every_s - monotonic_s()))

    async def _state(self) -> dict[str, Any]:
        parts, pipeline = self._parts, self._parts.pipeline
        counts = await self._count()
        parts.refresh()
        at, now_s = read_clocks()
        reporter = pipeline.reporter
        reasons = reporter.reasons(now_s)
        return {
            "at": stamp(at),
            "status": {"state": "degraded" if reasons else "online", "reasons": reasons},
            "health": {"at": stamp(at), **reporter.health_fields(now_s)},
            "counts": counts,
            "latency": pipeline.latency.figures(),
            "active": dict(Counter(alert.severity for alert in pipeline.book.active())),
            "deployment": parts.deployment.reported(),
            "rescue_mode": parts.rescue_mode().get("rescue_mode"),
            "progress": progress_fields(pipeline.rules.progress(None, at, now_s)),
        }

    async def _count(self) -> dict[str, Any]:
        """The counts of alerts; those before while the disk hangs, which ``stale`` says."""
        pipeline, outbox = self._parts.pipeline, self._parts.outbox
        found = await outbox.look_at_alerts(lambda: pipeline.tally, stored_counts)
        if found is None:
            return {**self._counts, "stale": True}
        tally, unwritten, stored = found
        waiting = {**outbox.known_depth, "alert": stored.on_disk + stored.in_memory + len(unwritten)}
        self._counts = {
            **counts(tally.raised, len(unwritten), stored),
            "alerts": tally.alerts,
            "since": tally.since,
            "waiting_by_lane": {lane: count for lane, count in waiting.items() if count},
            "stale": False,
        }
        return self._counts


def counts(raised: int, unwritten: int, stored: StoredCounts) -> dict[str, Any]:
    """What became of ``raised`` messages about alerts. Pure.

    ``committed``: on disk, or confirmed by the centre already; ``confirmed``: by the centre.
    """
    owed, lost = stored.on_disk + stored.in_memory + unwritten, stored.lost.count
    return {
        "raised": raised,
        "committed": max(0, raised - stored.in_memory - unwritten - lost),
        "confirmed": max(0, raised - owed - lost),
        "owed": owed,
        "lost": lost,
        "lost_more": stored.lost.more,
    }
