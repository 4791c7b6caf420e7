"""A serial line behind a serial server: ``tcp://host:port``, raw bytes both ways."""

import asyncio
import errno
import socket
from urllib.parse import SplitResult, urlsplit

CONNECT_S = 5.0
MAX_RETRY_WAIT_S = 30.0
"""The longest wait between two attempts: unlike a check for a device file, each attempt contacts another
host."""
OPTIONS = {
    socket.SO_KEEPALIVE: (socket.SOL_SOCKET, 1),
    socket.TCP_KEEPIDLE: (socket.IPPROTO_TCP, 10),
    socket.TCP_KEEPINTVL: (socket.IPPROTO_TCP, 5),
    socket.TCP_KEEPCNT: (socket.IPPROTO_TCP, 3),
    socket.TCP_USER_TIMEOUT: (socket.IPPROTO_TCP, 25_000),
    socket.TCP_NODELAY: (socket.IPPROTO_TCP, 1),
}
"""A server that vanished silently is detected within half a minute."""


def split_address(address: str, port: int | None = None) -> tuple[str, int]:
    """Host and port of ``scheme://host[:port]``. ValueError with a valid example."""
    try:
        parts = urlsplit(address)
        number = parts.port or port
    except ValueError:
        parts, number = SplitResult("", "", "", "", ""), None
    if not parts.hostname or number is None or parts.path.strip("/") or parts.username:
        example = f"{address.partition('://')[0]}://192.168.1.20:{port or 4001}"
        raise ValueError(f"{address!r} is not a host and port; write for example {example}")
    return parts.hostname, number


async def connect(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket. OSError with a reason in one line."""
    try:
        async with asyncio.timeout(CONNECT_S):
            return await _first(host, port)
    except TimeoutError as error:
        raise TimeoutError(f"{host}:{port} does not answer within {CONNECT_S:g} s") from error
    except socket.gaierror as error:
        raise OSError(errno.EHOSTUNREACH, f"unknown host {host}: {error.strerror}") from error
    except ConnectionRefusedError as error:
        raise ConnectionRefusedError(
            error.errno, f"{host}:{port} refused the connection: nothing listens there"
        ) from error
    except OSError as error:
        raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from error


async def _first(host: str, port: int) -> socket.socket:
    """The first of the host's addresses that answers."""
    loop = asyncio.get_running_loop()
    failed: OSError = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        line = socket.socket(family, kind, protocol)
        try:
            line.setblocking(False)
            for option, (level, value) in OPTIONS.items():
                line.setsockopt(level, option, value)
            await loop.sock_connect(line, address)
        except OSError as error:
            failed = error
            line.close()
        except BaseException:
            line.close()
            raise
        else:
            return line
    raise failed
