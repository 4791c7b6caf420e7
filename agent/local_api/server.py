"""The local socket itself: made in the data folder, accepting clients of the same user or of root.

Entry point: `LocalServer.run`, a task of the agent that never fails: where the socket can't be made, the log
says why, and it is tried again.
"""

import asyncio
import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

import structlog

from agent.local_api.address import socket_address
from agent.local_api.connection import Connection, Methods
from agent.local_api.frames import SOCKET, encode_frame
from agent.local_api.pace import Pace
from agent.local_api.parts import Peer
from agent.runtime.error_text import describe_error

log = structlog.get_logger()

MAX_CLIENTS = 8
BACKLOG = 16
RETRY_S = 60.0
EVENTS_PER_S, EVENTS_BURST = 300.0, 800.0
"""Of the streams of all clients: an event takes the agent less than half a millisecond."""
REFUSED_EVERY_S = 0.02
"""After a client that was refused, the next waits so long: a flood of connections costs little."""


class LocalServer:
    """Serves ``methods`` at ``console.sock`` in ``folder``."""

    def __init__(self, folder: Path, methods: Methods) -> None:
        self._folder, self._methods = folder, methods
        self._pace = Pace(EVENTS_PER_S, EVENTS_BURST)
        self._clients: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Runs until cancelled, and removes the socket then."""
        said = ""
        while True:
            try:
                listener = listen(self._folder)
            except OSError as error:
                if (reason := describe_error(error)) != said:
                    log.warning("local_socket_failed", path=str(self._folder / SOCKET), error=reason)
                    said = reason
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await self._accept(listener)
            except Exception:  # a bug here must end no agent
                log.exception("local_socket_failed")
                await asyncio.sleep(1.0)
            finally:
                listener.close()
                with suppress(OSError):
                    (self._folder / SOCKET).unlink()
                for client in list(self._clients):
                    client.cancel()
                await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
                peer = peer_of(client)
            except OSError as error:  # no descriptors are left, say
                log.warning("local_socket_failed", error=describe_error(error))
                await asyncio.sleep(1.0)
                continue
            refusal = None
            if peer.uid not in (0, os.geteuid()):
                refusal = "only the agent's own user and root are served"
            elif len(self._clients) >= MAX_CLIENTS:
                refusal = f"{MAX_CLIENTS} clients are connected already"
            if refusal is not None:
                with suppress(OSError):
                    client.send(encode_frame({"id": None, "error": refusal}))
                client.close()
                await asyncio.sleep(REFUSED_EVERY_S)
                continue
            task = loop.create_task(self._serve(client, peer))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _serve(self, client: socket.socket, peer: Peer) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=client)
            await Connection(reader, writer, peer, self._methods, self._pace).serve()
        except Exception:
            log.exception("local_client_failed")
        finally:
            client.close()


def listen(folder: Path) -> socket.socket:
    """A listening socket at ``console.sock`` in ``folder``, in place of one that a killed agent has left.

    OSError where it can't be made; one line says what is in the way.
    """
    path = folder / SOCKET
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(f"{path}: it is in the way of the local socket; remove it")
        path.unlink()  # the folder is locked for this agent: nobody else listens there
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with socket_address(folder) as address:
            listener.bind(address)
        path.chmod(0o600)  # before it listens, so that nobody else can connect
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def peer_of(client: socket.socket) -> Peer:
    """The process at the other end, as the kernel knows it."""
    form = struct.Struct("3i")
    pid, uid, _ = form.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return Peer(pid, uid)
