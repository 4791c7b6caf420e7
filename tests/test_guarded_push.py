"""Signed pushes against the guards: one key, two keys, a privacy officer, and what none of them may do."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.config.deployment import Deployment
from agent.config.loader import digest
from agent.config.trial import TrialSteps
from agent.trust.order import sign_order
from agent.trust.signing_key import SigningKey
from tests.pushed_configurations import LOCAL_FILE, NEW, add, swap
from tests.test_trust import ALICE, BOB, DEVICE, OFFICER, counted, trust

TURNED = swap(("rotate: 180", "rotate: 90"))
MOVED = swap(("mqtts://broker.example", "mqtts://new.example"), (", username: u, password: {file: pw}", ""))
CASES: list[tuple[str, str, list[SigningKey], str]] = [
    ("one key, a threshold", swap(("source: gnss}", "source: gnss, severity: critical}")), [ALICE], ""),
    ("one key, a guarded rule", swap(("name: panic_button", "name: other")), [ALICE], "rules.panic.name"),
    ("two keys, a guarded rule", swap(("name: panic_button", "name: other")), [ALICE, BOB], ""),
    ("one key, a rule less", swap(("  quiet:", "  # quiet:")), [ALICE], "rules.quiet"),
    ("the same key twice", swap(("  quiet:", "  # quiet:")), [ALICE, ALICE], "rules.quiet"),
    ("two keys, a turned picture", TURNED, [ALICE, BOB], "sources.cam1.rotate"),
    ("with a privacy officer", TURNED, [ALICE, OFFICER], ""),
    ("a privacy officer alone", TURNED, [OFFICER], "sources.cam1.rotate"),
    ("one key, a new camera", add(NEW + 'rtsp://192.0.2.77/1"}'), [ALICE], "sources.new"),
    ("one key, a certificate", swap(("cert: cert.pem", "cert: 2027.pem")), [ALICE], "broker.cert"),
    ("two keys, a certificate", swap(("cert: cert.pem", "cert: 2027.pem")), [ALICE, BOB], ""),
    ("all keys, no TLS", swap(("{url:", "{insecure: true, url:")), [ALICE, BOB, OFFICER], "broker.insecure"),
    (
        "all keys, no receipts",
        swap(("{url:", "{delivery: puback, url:")),
        [ALICE, BOB, OFFICER],
        "broker.delivery",
    ),
    ("all keys, no login", MOVED, [ALICE, BOB, OFFICER], "broker.username"),
    ("all keys, privacy", swap(("{file: rescue}", "{file: mine}")), [ALICE, BOB, OFFICER], "privacy"),
]


async def _nothing(*_: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("body", "keys", "path"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_signatures_reach(tmp_path: Path, body: str, keys: list[SigningKey], path: str) -> None:
    local = tmp_path / "agent.yaml"
    local.write_text(LOCAL_FILE)
    deployment, ours = Deployment.boot(local, tmp_path / "data"), trust()
    pushed = {"revision": 1, "sha256": digest(body), "body": body, "confirm_within_s": 20}
    order = ours.open("push", sign_order("push", DEVICE, pushed, keys, counters=counted(*keys)))
    handled = deployment.handle(
        json.dumps(order.body).encode(),
        TrialSteps(_nothing, _nothing, _nothing),
        key_ids=order.key_ids,
        authorize=partial(ours.require_paths, order),
    )
    asyncio.run(handled)
    answer = deployment.reported()
    assert (answer["state"], [error["path"] for error in answer.get("errors", [])][:1]) == (
        ("rejected", [path]) if path else ("applied", [])
    )
