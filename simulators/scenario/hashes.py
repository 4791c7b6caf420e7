"""The expected hashes of runs in virtual time, in ``tests/scenarios/hashes.json`` of the source tree."""

import json
from pathlib import Path

HASHES = Path(__file__).parents[2] / "tests" / "scenarios" / "hashes.json"


def expected_hashes() -> dict[str, str]:
    """By ``NAME/SEED``."""
    return dict(json.loads(HASHES.read_text())) if HASHES.exists() else {}


def note_hash(name: str, seed: int, sha256: str) -> None:
    """Replaces the expected hash. FileNotFoundError where this is no source tree."""
    if not HASHES.parent.parent.is_dir():
        raise FileNotFoundError(f"{HASHES.parent.parent}: no source tree with tests; --update needs one")
    HASHES.parent.mkdir(exist_ok=True)
    hashes = expected_hashes() | {f"{name}/{seed}": sha256}
    HASHES.write_text(json.dumps(hashes, indent=1, sort_keys=True) + "\n")
