"""The receipts in which the centre has countersigned checkpoints of this device's audit log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.audit.verify import Witness
from agent.domain.message import encode
from agent.runtime.atomic_files import write_durably
from agent.trust import dsse
from agent.trust.roles import Roles

FILE = "countersigned.jsonl"
KEPT = 32
"""The newest ones that are kept."""


@dataclass(frozen=True, slots=True)
class Countersigned:
    """One countersigned checkpoint, and the receipt as it came."""

    witness: Witness
    receipt: bytes

    def key_ids(self, roles: Roles) -> list[str]:
        """The keys of ``roles`` whose signatures match; empty where the receipt is unsigned or forged."""
        try:
            signed = dsse.parse(self.receipt)
        except ValueError:
            return []
        body = json.loads(signed.payload).get("body", {}).get("checkpoint", {})
        named = (body.get("log"), body.get("n"), body.get("hash"))
        return list(roles.signers(signed)) if named == self._names() else []

    def _names(self) -> tuple[str, int, str]:
        return self.witness.log, self.witness.n, self.witness.hash


def keep_countersigned(folder: Path, receipt: bytes, checkpoint: Mapping[str, Any]) -> None:
    """Adds the receipt that countersigns ``checkpoint``. Blocking. OSError, or ValueError: no checkpoint."""
    try:
        log, n, digest = checkpoint["log"], checkpoint["n"], checkpoint["hash"]
        at = str(checkpoint.get("received_at", ""))[:64]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"checkpoint: {error} is missing") from error
    if not isinstance(log, str) or not isinstance(n, int) or not isinstance(digest, str):
        raise ValueError("checkpoint: log and hash must be texts, n a number")
    line = encode({"log": log, "n": n, "hash": digest, "at": at, "receipt": receipt.decode()})
    path = folder / FILE
    kept = [*_lines(path)[1 - KEPT :], line]
    write_durably(path, b"".join(one + b"\n" for one in kept))


def read_countersigned(folder: Path) -> list[Countersigned]:
    """The kept ones, oldest first; damaged lines are left out."""
    found = []
    for line in _lines(folder / FILE):
        try:
            body = json.loads(line)
            witness = Witness(str(body["log"]), int(body["n"]), str(body["hash"]), str(body["at"]))
            found.append(Countersigned(witness, str(body["receipt"]).encode()))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
