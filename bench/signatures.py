"""What signatures cost: time to open a push, a command and a receipt, to sign one, and memory."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from agent.domain.message import new_id
from agent.trust.order import Kind, sign_order
from agent.trust.roles import small_team_roles
from agent.trust.signing_key import SigningKey
from agent.trust.trust import Trust

ROUNDS = 1000
MEMORY = """
import resource, sys
import agent.domain.message, agent.runtime.atomic_files, agent.runtime.sanitize, pydantic, structlog
before = int(open("/proc/self/statm").read().split()[1])
import agent.trust.trust
print((int(open("/proc/self/statm").read().split()[1]) - before) * resource.getpagesize())
"""


def timed_ms(calls: Sequence[Callable[[], object]]) -> float:
    """The mean time of a call, in ms."""
    began_s = time.perf_counter()
    for call in calls:
        call()
    return round((time.perf_counter() - began_s) * 1000 / len(calls), 3)


def _sign(orders: list[bytes], kind: Kind, body: dict[str, Any], key: SigningKey, number: int) -> None:
    orders.append(sign_order(kind, "bench-1", body, [key], counters={key.key_id: number}))


def main() -> int:
    """Prints the results as JSON."""
    key, centre = SigningKey.generate(), SigningKey.generate()
    trust = Trust("bench-1", roles=small_team_roles(key, centre))
    bodies: dict[Kind, dict[str, Any]] = {
        "push": {"revision": 1, "sha256": "0" * 64, "body": "x" * 8000},
        "command": {"command": "output", "id": "1", "source": "board", "output": "siren"},
        "receipt": {"ids": [new_id() for _ in range(50)]},
    }
    results: dict[str, Any] = {}
    for kind, body in bodies.items():
        signer = centre if kind == "receipt" else key
        orders: list[bytes] = []
        results[f"sign_{kind}_ms"] = timed_ms(
            [partial(_sign, orders, kind, body, signer, number) for number in range(1, ROUNDS + 1)]
        )
        results[f"open_{kind}_ms"] = timed_ms([partial(trust.open, kind, order) for order in orders])
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    results["memory_mb"] = round(int(done.stdout) / 1e6, 1)
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
