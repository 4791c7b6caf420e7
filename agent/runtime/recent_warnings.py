"""The last warnings and errors of the log, in memory, for ``command/diagnostics``."""

import json
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import Any

LEVELS = frozenset({"warning", "error", "critical"})
KEPT, MAX_CHARACTERS = 50, 500

RECENT: deque[str] = deque(maxlen=KEPT)
"""One JSON object each, the oldest first; cut off after `MAX_CHARACTERS`. Secrets are not removed yet."""


def keep_warning(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A processor of structlog: keeps a copy of each warning."""
    if event.get("level") in LEVELS:
        RECENT.append(json.dumps(dict(event), ensure_ascii=False, default=str)[:MAX_CHARACTERS])
    return event
