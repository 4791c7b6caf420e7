"""``alerts``: the active alerts and the latest messages about alerts, with what became of them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from agent.alerts.alert import Alert
from agent.domain.message import Message, stamp
from agent.local_api.parts import AgentParts, Answer, Call, RequestError
from agent.outbox.alert_records import StoredAlert, latest_alerts

MOST = 500
REST_S = 0.05


class AlertView:
    """Reads the alert book and the outbox."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._in_turn = asyncio.Lock()

    async def alerts(self, call: Call) -> Answer:
        """See `console.agent_views.Alerts`. The disk is for alerts first: one reads at a time, with rests."""
        async with self._in_turn:
            answer = await self._alerts(call)
            await asyncio.sleep(REST_S)
            return answer

    async def _alerts(self, call: Call) -> Answer:
        limit = int(call.number("limit", 100, 0, MOST))
        book = self._parts.pipeline.book
        found = await self._parts.outbox.look_at_alerts(
            book.active, lambda alerts: latest_alerts(alerts, limit)
        )
        if found is None:
            raise RequestError("the disk hangs: the alerts on it can't be read now")
        active, unwritten, stored = found
        messages = await asyncio.to_thread(parsed, unwritten, stored, limit)
        newest = {message["alert_id"]: message for message in reversed(messages)}
        for message in messages:
            message["told"] = self._told(message)
        return Answer(
            {"active": [_active(alert, newest.get(alert.alert_id)) for alert in active], "recent": messages}
        )

    def _told(self, message: dict[str, Any]) -> dict[str, list[str]]:
        """The brokers that have the message or got a copy, and the outputs that its rule switches on."""
        config, link = self._parts.running(), self._parts.link
        rule = config.rules.get(message["alert"].get("rule", ""))
        escalate = None if rule is None else rule.escalation()
        brokers = [link.connected_url or config.broker.url] if message["confirmed"] else []
        outputs = []
        if escalate is not None and message["escalation"]:
            brokers += [url for url in config.broker.fallbacks if escalate.fallbacks and url not in brokers]
            if escalate.output is not None:
                outputs = [f"{escalate.output.source}/{escalate.output.name}"]
        return {"brokers": brokers, "outputs": outputs}


def parsed(unwritten: Sequence[Message], stored: Sequence[StoredAlert], limit: int) -> list[dict[str, Any]]:
    """The messages, the newest first; damaged ones are left out. Pure."""
    known = {one.id for one in stored}
    waiting = [StoredAlert(one.id, one.body) for one in reversed(unwritten) if one.id not in known]
    found = []
    for one in [*waiting, *stored][:limit]:
        try:
            body = json.loads(one.body)
            alert = dict(body["alert"])
            found.append(
                {
                    "message_id": one.id,
                    "alert_id": alert["alert_id"],
                    "phase": alert["phase"],
                    "at": body["at"],
                    "alert": alert,
                    "steps_ms": body.get("latency_ms", {}),
                    "confirmed": one.receipt_at is not None,
                    "receipt_at": None if one.receipt_at is None else stamp(one.receipt_at),
                    "acknowledged": alert.get("acknowledged"),
                    "escalation": alert.get("escalation", 0),
                }
            )
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _active(alert: Alert, message: dict[str, Any] | None) -> dict[str, Any]:
    """An active alert, with the ledger of its newest message."""
    fields = {**alert.fields(), "at": alert.at}
    if message is None:
        return fields
    ledger = {key: message[key] for key in ("message_id", "steps_ms", "receipt_at")}
    return {**fields, **ledger, "place": message["alert"].get("place")}
