"""A serial line behind a serial server: ``tcp://host:port``, raw bytes both ways."""

import asyncio
import errno
import socket
from urllib.parse import SplitResult, urlsplit

CONNECT_S = 5.0
MAX_RETRY_WAIT_S = 30.0
"""Between two tries at a server that refuses: unlike a look at a device file, each is an attempt at another
machine."""
OPTIONS = {
    socket.SO_KEEPALIVE: (socket.SOL_SOCKET, 1),
    socket.TCP_KEEPIDLE: (socket.IPPROTO_TCP, 10),
    socket.TCP_KEEPINTVL: (socket.IPPROTO_TCP, 5),
    socket.TCP_KEEPCNT: (socket.IPPROTO_TCP, 3),
    socket.TCP_USER_TIMEOUT: (socket.IPPROTO_TCP, 25_000),
    socket.TCP_NODELAY: (socket.IPPROTO_TCP, 1),
}
"""A server that vanished without a word is noticed within half a minute."""


def split_address(address: str, port: int | None = None) -> tuple[str, int]:
    """Host and port of ``scheme://host[:port]``. ValueError says what would be right."""
    try:
        parts = urlsplit(address)
        number = parts.port or port
    except ValueError:
        parts, number = SplitResult("", "", "", "", ""), None
    if not parts.hostname or number is None or parts.path.strip("/") or parts.username:
        example = f"{address.partition('://')[0]}://192.168.1.20:{port or 4001}"
        raise ValueError(f"{address!r} is no host and port, such as {example}")
    return parts.hostname, number


async def connect(host: str, port: int) -> socket.socket:
    """A connected socket that does not block. OSError says in one line why there is none."""
    try:
        async with asyncio.timeout(CONNECT_S):
            return await _first(host, port)
    except TimeoutError as error:
        raise TimeoutError(f"{host}:{port} does not answer within {CONNECT_S:g} s") from error
    except socket.gaierror as error:
        raise OSError(errno.EHOSTUNREACH, f"{host} is not known here: {error.strerror}") from error
    except ConnectionRefusedError as error:
        raise ConnectionRefusedError(error.errno, f"{host}:{port} refused: nothing listens there") from error
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
