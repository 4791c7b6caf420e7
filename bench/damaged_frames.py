"""How many damaged sensor-board frames are accepted: 100,000 frames, damaged in five ways, in one stream.

``python -m bench.damaged_frames [FRAMES]`` prints one line; exit code 1 if a value was accepted that was
not sent.
"""

import json
import random
import sys
from collections.abc import Callable
from typing import Any

from firmware_bridge.sensors.board_frames import EVENT, REPORT, encode, parse
from firmware_bridge.serial.sniffer import Sniffer

Hurt = Callable[[bytes, random.Random], bytes]


def flips(share: float) -> Hurt:
    """Flips each bit with the probability ``share``."""

    def hurt(frame: bytes, chance: random.Random) -> bytes:
        said = bytearray(frame)
        at = int(chance.expovariate(share))
        while at < len(said) * 8:
            said[at // 8] ^= 1 << at % 8
            at += 1 + int(chance.expovariate(share))
        return bytes(said)

    return hurt


def drops(frame: bytes, chance: random.Random) -> bytes:
    """Drops a few bytes."""
    return bytes(byte for byte in frame if chance.random() >= 0.02)


def burst(frame: bytes, chance: random.Random) -> bytes:
    """Overwrites a stretch of the frame with noise, with as many zeros as on a line with hum."""
    at, size = chance.randrange(len(frame)), chance.randint(1, 24)
    noise = bytes(0 if chance.random() < 0.1 else chance.randrange(256) for _ in range(size))
    return frame[:at] + noise + frame[at + size * chance.randrange(2) :]


def edits(frame: bytes, chance: random.Random) -> bytes:
    """Flips, drops or inserts one to four bytes."""
    said = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(said))
        match chance.randrange(3):
            case 0:
                said[at] ^= 1 << chance.randrange(8)
            case 1:
                del said[at]
            case _:
                said.insert(at, chance.randrange(256))
    return bytes(said)


WAYS: dict[str, Hurt] = {
    "flips_1e-3": flips(1e-3),
    "flips_5e-3": flips(5e-3),
    "drops": drops,
    "bursts": burst,
    "edits": edits,
}


def campaign(frames: int, seed: int = 1) -> dict[str, int]:
    """Sends until ``frames`` were damaged, in equal shares; counts accepted and wrong values."""
    chance = random.Random(seed)
    found = dict.fromkeys(("frames", "damaged", "believed", "wrong"), 0)
    for hurt in WAYS.values():
        sniffer = Sniffer(("cobs",))
        said: set[str] = set()
        enough = found["damaged"] + -(-frames // len(WAYS))
        number = 0
        while found["damaged"] < enough:
            number += 1
            content: dict[Any, Any] = {"seq": number, "boot": 1}
            content |= {0: chance.randrange(-2000, 4000), 2: chance.randrange(9000, 15000), 4: 0, 7: 0}
            if number % 5 == 0:
                content = {"id": number, "boot": 1, chance.choice((4, 6, 7)): chance.randrange(2)}
            frame = encode(EVENT if "id" in content else REPORT, content, number)
            said.add(repr(content))
            sent = hurt(frame, chance)
            found["frames"] += 1
            found["damaged"] += sent != frame
            for packet in sniffer.feed(sent):
                message = parse(packet.data)
                if message is not None:
                    found["believed"] += 1
                    found["wrong"] += repr(message.content) not in said
    return found


def main() -> int:
    """Prints one line; exit code 1 if a wrong value was accepted."""
    found = campaign(int(sys.argv[1]) if sys.argv[1:] else 100_000)
    print(json.dumps(found))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
