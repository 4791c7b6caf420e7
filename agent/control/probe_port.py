"""A serial port, in the process of a probe: who holds it, its speed, its protocols, packets a second."""

import asyncio
from collections import Counter
from pathlib import Path

from agent.control.any_protocol import AnyProtocolLine
from agent.control.probe_request import COUNT_S, PORT_S
from agent.runtime.child_process import answer
from firmware_bridge.catalogue import kinds
from firmware_bridge.serial.devices import is_serial
from firmware_bridge.serial.holders import held_by
from firmware_bridge.serial.port import open_port
from firmware_bridge.serial.rates import RateFinder


async def probe_port(port: str) -> None:
    """Answers with what comes in on a port; nothing is sent. OSError: why it can't be read."""
    answer({"kind": "port", "port": port})
    if not port.startswith("tcp://"):
        try:
            device = Path(port).stat()
        except FileNotFoundError:
            answer({"exists": False})
            raise OSError(f"{port} not found: unplugged or renamed") from None
        answer({"exists": True, "serial_device": is_serial(device)})
        if not is_serial(device):
            raise OSError(f"{port} is not a serial device")
        if holders := held_by(port):
            answer({"held_by": holders[:5]})
            raise OSError(f"{port} is in use by {', '.join(holders[:5])}")
    await _listen(port)


async def _listen(port: str) -> None:
    names = tuple(sorted(kinds()))
    decoder = AnyProtocolLine(kind="anything", port=port, names=names).line_decoder()
    loop = asyncio.get_running_loop()
    values: Counter[str] = Counter()
    before: Counter[str] = Counter()
    heard, known_s = 0, float("inf")
    async with open_port(port) as stream:
        finder = RateFinder(port, stream.speed) if stream.speed else None

        def on_data(data: bytes) -> None:
            nonlocal heard, known_s
            heard += len(data)
            found = decoder.feed(data)
            if known_s < float("inf"):
                values.update(value.kind for value in found)
                return
            if finder is not None:
                finder.on_data(loop.time(), decoder.good, len(data))
                if not finder.found:
                    if finder.rate != stream.speed:
                        stream.set_speed(finder.rate)
                    return
            if decoder.good:
                known_s = loop.time()
                before.update(decoder.state().good)

        stream.listen(on_data)
        began_s = loop.time()
        while loop.time() - began_s < PORT_S and loop.time() - known_s < COUNT_S:
            await stream.wait_lost(0.25)
        values.update(value.kind for value in decoder.pause())
        state, span_s = decoder.state(stream.speed), max(0.1, loop.time() - known_s)
        answer({"bytes": heard, "unrecognised_bytes": state.skipped_bytes, "bad_packets": state.bad})
        if known_s == float("inf"):
            raise TimeoutError(_unrecognised(port, heard, finder))
        rates = {name: round((count - before[name]) / span_s, 1) for name, count in state.good.items()}
        answer({"baud": state.baud, "packets_per_s": rates, "values": dict(values)})


def _unrecognised(port: str, heard: int, finder: RateFinder | None) -> str:
    if not heard:
        return f"{port}: silent, no byte in {PORT_S:.0f} s"
    tried = f" at {finder.tried + 1} speeds" if finder is not None else ""
    return f"{port}: {heard} bytes in {PORT_S:.0f} s{tried}, but no valid packet of a known protocol"
