"""Sends one command to a device, and gives its results and pictures as they come."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.cli.fleet_link import FleetLink
from agent.cli.orders import OrderSigner, Unsigned, is_not_permitted, raise_counter
from agent.domain.message import new_id
from agent.runtime.exit_codes import EX_NOPERM
from agent.runtime.sanitize import json_object, printable
from agent.trust.trust import NEEDS_NONCE

FINAL_STATES = frozenset({"succeeded", "failed", "rejected", "expired", "duplicate"})
ANSWER_TIMEOUT_S = 20.0
PICTURE_TIMEOUT_S = 60.0
"""Pictures go in a lane of their own, behind the result that announces them."""
NO_SIGNATURE = frozenset({"ping", "rebirth", "resend", "challenge"})
"""Commands that a device takes without a signature."""
TOPICS = ("command/result", "media/+/+")


class NoAnswerError(Exception):
    """The device gives no answer; the text says so in one line."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a command, as ``media/<command_id>/<number>``."""

    number: str
    data: bytes


async def answers(
    link: FleetLink,
    signer: OrderSigner,
    device: str,
    name: str,
    fields: Mapping[str, Any],
    *,
    within_s: float = ANSWER_TIMEOUT_S,
    then_s: float | None = None,
) -> AsyncIterator[dict[str, Any] | Picture]:
    """Sends ``command/<name>``; yields results up to the final one, and pictures, as they come.

    Ends after ``within_s`` without an answer, ``then_s`` after the first. The caller sees from the last
    result whether it is final. `NoAnswerError` where the device gives no nonce; OSError as `FleetLink`.
    """
    nonce = await ask_nonce(link, device) if name in NEEDS_NONCE else None
    command_id = str(fields.get("id") or new_id())
    arrived: asyncio.Queue[dict[str, Any] | Picture] = asyncio.Queue()

    def observe(sender: str, topic: str, payload: bytes) -> None:
        if sender != device:
            return
        if topic == "command/result":
            result = json_object(payload) or {}
            if result.get("command_id") == command_id:
                arrived.put_nowait(result)
        elif topic.startswith(f"media/{command_id}/"):
            arrived.put_nowait(Picture(topic.rpartition("/")[2], payload))

    link.observers.append(observe)
    try:

        async def send() -> None:
            order = signer.command(device, name, {**fields, "id": command_id}, nonce)
            await link.publish(f"{link.root}/{device}/command/{name}", order)

        await send()
        repeats = 1
        limit_s, pictures, expected = within_s, 0, None
        while expected is None or pictures < expected:
            try:
                answer = await _next(link, arrived, limit_s)
            except TimeoutError:
                return
            reason = "" if isinstance(answer, Picture) else str(answer.get("reason"))
            if repeats and raise_counter(signer, reason):
                repeats = 0
                await send()
                continue
            yield answer
            if isinstance(answer, Picture):
                pictures += 1
            elif str(answer.get("state")) in FINAL_STATES:
                expected, limit_s = announced_pictures(answer, command_id), PICTURE_TIMEOUT_S
            else:
                limit_s = then_s or within_s
    finally:
        link.observers.remove(observe)


def announced_pictures(result: Mapping[str, Any], command_id: str) -> int:
    """The number of pictures that were sent for a command, by the topic that its final result names."""
    found = re.fullmatch(rf"(?:.*/)?media/{re.escape(command_id)}/([0-9]{{1,2}})", str(result.get("media")))
    return int(found[1]) if found else 0


async def _next(link: FleetLink, arrived: asyncio.Queue[Any], within_s: float) -> Any:
    """The next answer; TimeoutError after ``within_s``, OSError where the connection is lost."""

    def one() -> list[Any] | None:
        return [arrived.get_nowait()] if not arrived.empty() else None

    found = await link.until(one, within_s)
    if found is None:
        raise TimeoutError
    return found[0]


async def final_result(
    link: FleetLink,
    signer: OrderSigner,
    device: str,
    name: str,
    fields: Mapping[str, Any],
    *,
    within_s: float = ANSWER_TIMEOUT_S,
) -> dict[str, Any]:
    """The final result of a command, with the whole ``text`` where it came in parts.

    `NoAnswerError` where none comes; OSError as `FleetLink`.
    """
    parts: dict[int, str] = {}
    async for answer in answers(link, signer, device, name, fields, within_s=within_s):
        if not isinstance(answer, dict):
            continue
        if isinstance(answer.get("part"), int) and isinstance(answer.get("text"), str):
            parts[answer["part"]] = answer["text"]
        if str(answer.get("state")) in FINAL_STATES:
            if parts and len(parts) != answer.get("parts"):
                raise NoAnswerError(f"{device} sent {len(parts)} of {answer.get('parts')} parts; ask again")
            return {**answer, "text": "".join(parts[part] for part in sorted(parts))} if parts else answer
    raise NoAnswerError(f"no answer from {device}; check its name and its connection")


async def ask_nonce(link: FleetLink, device: str) -> str:
    """A nonce of the device's present session. `NoAnswerError` where it gives none."""
    result = await final_result(link, Unsigned(), device, "challenge", {})
    nonce = result.get("nonce")
    if not isinstance(nonce, str):
        raise NoAnswerError(f"{device} gives no nonce: {describe(result)}")
    return nonce


def describe(result: Mapping[str, Any]) -> str:
    """State and reason of a result, for people."""
    reason = result.get("reason")
    return printable(result.get("state")) + (f": {printable(reason)}" if reason else "")


def exit_code(result: Mapping[str, Any]) -> int:
    """0 for success, 77 where signature or role do not suffice, else 1."""
    if result.get("state") == "succeeded":
        return 0
    return EX_NOPERM if is_not_permitted(result.get("reason")) else 1
