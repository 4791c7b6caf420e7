"""What was said and is not on disk yet. It leaves only when it is: a failing write loses nothing."""

import asyncio
from collections.abc import Mapping

from agent.domain.message import Message
from agent.outbox.outbox import Outbox


class WriteBuffer:
    """Filled on the loop by whoever has something to say, written by one job."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._messages: list[Message] = []
        self._filled = asyncio.Event()
        self._writing = asyncio.Lock()
        self._kept: asyncio.Future[None] | None = None

    def add(self, *messages: Message) -> None:
        """They are written soon."""
        self._messages += messages
        if messages:
            self._outbox.expect(messages)
            self._filled.set()

    def __bool__(self) -> bool:
        return bool(self._messages)

    def ring(self) -> None:
        """Something beside messages wants to be written."""
        self._filled.set()

    def kept(self) -> asyncio.Future[None] | None:
        """Done once all that is here now is on disk; None where nothing waits."""
        if not self._messages:
            return None
        if self._kept is None:
            self._kept = asyncio.get_running_loop().create_future()
        return self._kept

    async def filled(self) -> None:
        """Returns once there is something to write."""
        await self._filled.wait()
        self._filled.clear()

    async def write(self, remember: Mapping[str, bytes]) -> list[Message]:
        """Everything that is here, in one commit with ``remember``; what that was.

        Where nothing was written, whatever the reason, all of it stays, and the job is called again.
        """
        async with self._writing:  # at the end two write: what the first has, the second must not say again
            return await self._write(remember)

    async def _write(self, remember: Mapping[str, bytes]) -> list[Message]:
        batch = list(self._messages)
        kept, self._kept = self._kept, None
        try:
            await self._outbox.put(*batch, remember=remember)
        except BaseException:
            self._filled.set()
            self._wait_longer(kept)
            raise
        del self._messages[: len(batch)]
        _done(kept)
        if not self._messages:
            _done(self._kept)
            self._kept = None
        return batch

    def _wait_longer(self, kept: asyncio.Future[None] | None) -> None:
        """Whoever waits for what could not be written waits for the next try."""
        if kept is not None and self._kept is not None:
            self._kept.add_done_callback(lambda _: _done(kept))
        elif kept is not None:
            self._kept = kept


def _done(kept: asyncio.Future[None] | None) -> None:
    if kept is not None and not kept.done():  # whoever waited may have given up
        kept.set_result(None)
