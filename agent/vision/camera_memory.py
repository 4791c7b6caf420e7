"""How much memory cameras take at most. Pure; measured by ``python -m bench.streams``."""

BYTES_PER_PIXEL = 3
DECODER_PICTURES = 6
"""Pictures that a decoder of H.264 or H.265 holds, of 1.5 bytes a pixel."""
HELD_FRAMES = 4
"""One that is decoded, one that waits for a detector, the newest for evidence, one that is recorded."""
AGENT_BYTES = 200_000_000
"""The agent with the default detector and a small camera."""


def camera_bytes(pixels: int, cores: int) -> int:
    """Of a camera whose pictures have so many pixels; each core may hold one of its frames for inference."""
    return round(pixels * (BYTES_PER_PIXEL * (HELD_FRAMES + cores) + 1.5 * DECODER_PICTURES))


def evidence_bytes(pixels: int) -> int:
    """Of a picture of an evidence stream while it is made: one at a time."""
    return round(pixels * (BYTES_PER_PIXEL + 1.5 * DECODER_PICTURES))


RING_BYTES = 24 * 1024 * 1024
"""What an evidence stream keeps encoded, at most."""
