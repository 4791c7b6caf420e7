"""``ringpost try``: one camera or clip of the reader's own, and an agent in a temporary folder."""

from pathlib import Path
from typing import Any

from agent.vision.camera_url import source_kind

CAMERA = "cam1"


def try_config(source: str) -> dict[str, Any]:
    """The configuration of an agent with the one camera ``source``: a number, a device, a file or a URL.

    OSError where it is a file that is missing; ValueError: no camera's address.
    """
    kind = source_kind(source)
    if kind == "file":
        source = str(Path(source).resolve(strict=True))
    camera = {
        "kind": "camera",
        "url": source,
        "purpose": "trying ringpost on this machine",
        "fps": 10,
        "detector": {"model": "default"},
        **({"loop": True} if kind == "file" else {}),
    }
    return {
        "schema_version": 1,
        "device": "try",
        "kind": "checkpoint_camera",
        "place": {"ring": "inner_city", "domain": "ground", "site": "try", "post": "this-machine"},
        "data": {"max_mb": 64},
        "reporting": {"health_every": "10s"},
        "sources": {CAMERA: camera},
    }
