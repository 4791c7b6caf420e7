"""The process of ``probe``: looks at one target, and answers with what it finds, step by step.

``python -m agent.control.probe_process``. A driver that hangs, a decoder that crashes, a model that takes all
memory: it happens here, and the parent ends it.
"""

import asyncio
import socket

from agent.config.hosts import is_this_machine
from agent.control.probe_request import MAX_S, STEP_S, ProbeRequest
from agent.runtime.child_process import answer, begin, end_after
from agent.runtime.error_text import describe_error
from agent.runtime.native_calls import end_if_hung
from firmware_bridge.serial.tcp import split_address

BOUND = ("udp://", "rtp://")
"""Schemes whose address is bound here; nothing is connected to."""


async def look(request: ProbeRequest) -> None:
    """Looks at the target of a request. OSError or ValueError: why it does not work."""
    if request.camera is not None:
        from agent.control.probe_camera import probe_camera

        server, url = request.camera.server(), request.camera.url.lower()
        if server is not None and not url.startswith(BOUND):
            await _check_host(server.host, request)
        await probe_camera(request.camera)
    elif request.port is not None:
        from agent.control.probe_port import probe_port

        if request.port.startswith("tcp://"):
            await _check_host(split_address(request.port)[0], request)
        await probe_port(request.port)
    elif request.broker is not None:
        from agent.control.probe_broker import probe_broker

        await _check_host(request.broker.address[0], request)
        await probe_broker(request.broker, request.device, log_in=request.log_in)
    elif request.model is not None:
        from agent.control.probe_model import probe_model

        probe_model(request.model)


async def _check_host(host: str, request: ProbeRequest) -> None:
    """ValueError where a name stands for this machine, whose services only the file may name."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with asyncio.timeout(STEP_S):
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise OSError(f"the name {host} is not found") from error
    addresses = sorted({str(address[4][0]) for address in found})
    if not request.this_machine and any(is_this_machine(address) for address in addresses):
        raise ValueError(f"not allowed: {host} is this machine")
    if addresses != [host]:
        answer({"addresses": addresses[:4], "name_ms": round((loop.time() - began_s) * 1000)})


def main() -> None:
    """Reads the request, and answers."""
    request = ProbeRequest.model_validate_json(begin(MAX_S))
    end_after(request.within_s)
    try:
        asyncio.run(look(request))
    except ImportError as error:
        answer({"error": f"{error}; install ringpost[vision]"})
    except TimeoutError as error:
        answer({"error": str(error) or "no answer in time"})
    except (OSError, ValueError) as error:
        answer({"error": describe_error(error)[:500]})
    end_if_hung(0)


if __name__ == "__main__":
    main()
