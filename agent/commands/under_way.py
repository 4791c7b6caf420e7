"""Commands that were accepted and whose end is not reported yet, so that each has an end after a restart too.

They are remembered in one commit with their results.
"""

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

KEY = "commands/under_way"
"""Where the outbox remembers them."""
MOST = 64
"""Commands that are remembered; one more drops the oldest."""
CUT_OFF = "the agent was restarted before the command ended; it may have had an effect"
IDENTIFYING = ("command", "command_id", "answer_to", "keys")
ENDS = frozenset({"succeeded", "failed", "rejected", "expired"})


class UnderWay:
    """The commands by their ids. Not thread-safe."""

    def __init__(self) -> None:
        self._commands: dict[str, dict[str, Any]] = {}
        self._ended: deque[str] = deque(maxlen=MOST)
        self._used = False

    def note(self, result: Mapping[str, Any]) -> None:
        """Takes a result that is about to be written.

        One without the keys of the accepted command is the refusal of another order with its id, and no end.
        """
        command_id = result.get("command_id")
        if not isinstance(command_id, str):
            return
        if result["state"] == "accepted":
            if command_id not in self._ended:
                self._used = True
                self._commands[command_id] = {key: result[key] for key in IDENTIFYING if key in result}
                while len(self._commands) > MOST:
                    del self._commands[next(iter(self._commands))]
        elif result["state"] in ENDS:
            keys = result.get("keys")
            if self._commands.get(command_id, {}).get("keys", keys) == keys:
                self._commands.pop(command_id, None)
                self._ended.append(command_id)

    def remembered(self) -> dict[str, bytes]:
        """What to remember in the next commit; empty before the first accepted command."""
        return {KEY: json.dumps(list(self._commands.values())).encode()} if self._used else {}

    def restore(self, data: bytes | None) -> None:
        """Takes up the commands that a restart has cut off. ValueError where the data is damaged."""
        found = json.loads(data or b"[]")
        if not isinstance(found, list) or not all(
            isinstance(one, dict) and isinstance(one.get("command_id"), str) for one in found
        ):
            raise ValueError("commands under way: damaged")
        self._commands = {one["command_id"]: one for one in found}
        self._used = bool(found)

    def cut_off(self) -> list[dict[str, Any]]:
        """The results of the commands under way, after a restart."""
        return [{**one, "state": "failed", "reason": CUT_OFF} for one in self._commands.values()]
