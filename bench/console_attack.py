"""Hostile clients of the local socket, until killed: ``python -m bench.console_attack DATA``.

Threads that send noise, huge lengths and half frames, that connect without end, that open streams and never
read, and that open and cancel streams as fast as they can.
"""

import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.local_api.address import socket_address
from agent.local_api.frames import encode_frame

STREAMS = ("now", "sources", "results", "log", "camera", "raw")


def connected(data: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(1.0)
    with socket_address(data) as address:
        one.connect(address)
    return one


def noise(data: Path, chance: random.Random) -> None:
    with connected(data) as one:
        frame = encode_frame({"id": 1, "method": "hello"})
        kinds = (chance.randbytes(200), b"\x7f\xff\xff\xff", frame[: chance.randrange(len(frame))])
        one.sendall(chance.choice(kinds))
        one.recv(1000)


def connects(data: Path, _: random.Random) -> None:
    with connected(data):
        pass


def never_reads(data: Path, _: random.Random) -> None:
    with connected(data) as one:
        for number, method in enumerate(STREAMS):
            params = {"camera": "cam1", "source": "gnss", "fps": 10, "every_s": 0.5}
            one.sendall(encode_frame({"id": number, "method": method, "params": params}))
        time.sleep(20)


def cancels(data: Path, chance: random.Random) -> None:
    with connected(data) as one:
        for number in range(10_000):
            method = chance.choice(STREAMS)
            params = {"camera": chance.choice(("cam1", "cam2")), "source": "board"}
            one.sendall(encode_frame({"id": number, "method": method, "params": params}))
            one.sendall(encode_frame({"id": number, "method": "cancel"}))


def for_ever(attack: Callable[[Path, random.Random], None], data: Path, seed: int) -> None:
    chance = random.Random(seed)
    while True:
        with suppress(OSError):
            attack(data, chance)
        time.sleep(0.001)


def main() -> None:
    data = Path(sys.argv[1])
    attacks = (noise, noise, connects, connects, never_reads, never_reads, cancels, cancels)
    for seed, attack in enumerate(attacks):
        threading.Thread(target=for_ever, args=(attack, data, seed), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
