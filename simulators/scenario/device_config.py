"""The configuration of a device as its stage runs it: with broker, lines and cameras filled in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.config.merge_patch import merged, plain
from agent.config.simulated_sources import MARK

ROLES = "roles.json"
LINES = Path("/dev/sim")
"""Lines in virtual time have no files; equal names keep the hash of the configuration equal."""


def completed_config(
    device: str,
    config: Mapping[str, Any],
    *,
    broker_url: str,
    folder: Path,
    cameras: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The whole configuration. Each serial line is ``folder/ringpost-sim/SOURCE``; ``cameras`` gives the URL
    by source, which is marked likewise: a device in the field refuses both.

    So a scenario opens no real device and no real camera, whatever its configuration names. Placeholders
    ``{broker}`` and ``{folder}`` are filled in wherever they stand.
    """
    filled: dict[str, Any] = _fill(plain(config), {"{broker}": broker_url, "{folder}": str(folder)})
    sources = {
        name: _simulated(name, source, folder, cameras or {})
        for name, source in (filled.get("sources") or {}).items()
    }
    own = {"schema_version": 1, "device": device, "data": {"max_mb": 64}, "roles": ROLES}
    whole: dict[str, Any] = merged(own, filled)
    whole["broker"] = merged(whole.get("broker"), {"url": broker_url})
    return {**whole, "sources": sources}


def _simulated(name: str, source: Any, folder: Path, cameras: Mapping[str, str]) -> Any:
    if not isinstance(source, dict):
        return source
    if source.get("kind") == "camera":
        url = urlsplit(cameras.get(name, f"http://127.0.0.1:9/{name}.mjpg"))
        return {**source, "url": url._replace(path=f"/{MARK}{url.path}").geturl()}
    return {**source, **({"port": str(folder / MARK / name)} if "port" in source else {})}


def _fill(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [_fill(one, words) for one in value]
    if isinstance(value, str):
        for word, filling in words.items():
            value = value.replace(word, filling)
    return value
