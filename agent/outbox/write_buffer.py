"""Messages that are not on disk yet. They leave only once they are written: a failing write loses none."""

import asyncio
from collections.abc import Mapping

from agent.domain.message import Message
from agent.outbox.outbox import Outbox


class WriteBuffer:
    """Filled by the parts of the agent on the event loop, and written by one job."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._messages: list[Message] = []
        self._amended: list[Message] = []
        self._filled = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written: asyncio.Future[None] | None = None

    def add(self, *messages: Message) -> None:
        """These messages are written soon."""
        self._messages += messages
        if messages:
            self._outbox.expect(messages)
            self._filled.set()

    def amend(self, message: Message) -> None:
        """``message``, which the outbox holds, has another body, which is written soon."""
        self._messages = [message if one.id == message.id else one for one in self._messages]
        self._amended.append(message)
        self._outbox.amend(message)
        self._filled.set()

    def __bool__(self) -> bool:
        return bool(self._messages or self._amended)

    def wake(self) -> None:
        """The job shall write although no message waits, for values beside them."""
        self._filled.set()

    def written(self) -> asyncio.Future[None] | None:
        """Done once all present messages are on disk; None where none waits."""
        if not self._messages:
            return None
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
        return self._written

    async def wait(self) -> None:
        """Returns once there is something to write."""
        await self._filled.wait()
        self._filled.clear()

    async def write(self, remember: Mapping[str, bytes]) -> list[Message]:
        """Writes all messages in one commit with ``remember``; the messages.

        Where that fails, whatever the reason, all of them stay, and the job is woken again.
        """
        async with self._writing:  # at the end two callers write: the second must not write the same again
            return await self._write(remember)

    async def _write(self, remember: Mapping[str, bytes]) -> list[Message]:
        batch, amended = list(self._messages), list(self._amended)
        written, self._written = self._written, None
        try:
            await self._outbox.put(*batch, remember=remember, amended=amended)
        except BaseException:
            self._filled.set()
            self._wait_longer(written)
            raise
        del self._messages[: len(batch)], self._amended[: len(amended)]
        _done(written)
        if not self._messages:
            _done(self._written)
            self._written = None
        return batch

    def _wait_longer(self, written: asyncio.Future[None] | None) -> None:
        """Callers that wait for the failed write wait for the next one."""
        if written is not None and self._written is not None:
            self._written.add_done_callback(lambda _: _done(written))
        elif written is not None:
            self._written = written


def _done(written: asyncio.Future[None] | None) -> None:
    if written is not None and not written.done():  # the caller may have stopped waiting
        written.set_result(None)
