"""Child process of `cameras`: opens a camera and counts its frames. JSON in on stdin, out on stdout."""

import asyncio
import json
import sys
from typing import Any

from agent.runtime.error_text import describe_error
from agent.runtime.native_calls import end_if_hung
from agent.vision.camera import Camera

COUNT_S = 1.5
"""Frames are counted for this long."""


async def look(camera: Camera) -> dict[str, Any]:
    """Size, rate, format and the time to the first frame; or the error in one line."""
    try:
        probe = await camera.probe(COUNT_S)
    except ImportError as error:
        return {"error": f"{error}; install ringpost[vision]"}
    except (OSError, ValueError) as error:
        return {"error": describe_error(error)}
    return {
        "size": f"{probe.width}x{probe.height}",
        "rate": f"{probe.fps or 0:.1f}",
        "codec": probe.format,
        "first_s": round(probe.first_s, 2),
    }


def main() -> None:
    camera = Camera.model_validate(json.load(sys.stdin)["camera"])
    print(json.dumps(asyncio.run(look(camera))), flush=True)
    end_if_hung(0)


if __name__ == "__main__":
    main()
