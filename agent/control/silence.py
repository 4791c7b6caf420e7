"""``command/silence_alert``: makes the repeats and outputs of one alert quiet for a while."""

import asyncio
from collections.abc import Mapping
from typing import Any

from agent.commands.commands import State
from agent.commands.requests import Command, SilenceAlert
from agent.domain.yaml_loader import alternatives
from agent.host.clock import monotonic_s, utc_now
from agent.pipeline import Pipeline


class AlertSilencer:
    """Carries out ``silence_alert``."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def command(self, command: Command, _: Mapping[str, Any]) -> State:
        """Returns once the silence is on disk with its alert. ValueError: no such alert is active."""
        wanted = SilenceAlert.model_validate(command.model_dump())
        book, now_s = self._pipeline.book, monotonic_s()
        alert = book.silence(wanted.alert_id, wanted.for_s, wanted.reason, utc_now(), now_s)
        if alert is None:
            known = [alert.alert_id for alert in book.active()][-10:]
            raise ValueError(f"no active alert {wanted.alert_id!r}; {alternatives(wanted.alert_id, known)}")
        self._pipeline.raise_alerts([alert], now_s)
        if written := self._pipeline.buffer.written():
            await asyncio.wait([written])
        return "succeeded"
