"""Entries a second into the audit log, waited for one by one and together.

python -m bench.audit_log [FOLDER]
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from agent.audit.audit_log import AuditLog
from agent.audit.chain_files import ChainFiles
from agent.audit.verify import verify_folder

ONE_BY_ONE, TOGETHER = 300, 900


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        folder = Path(name) / "audit"
        audit = AuditLog(ChainFiles(folder))
        began_s = time.perf_counter()
        took_ms = []
        for number in range(ONE_BY_ONE):
            since_s = time.perf_counter()
            audit.append_durably("picture", topic=f"media/a/{number}", sha256="0" * 64)
            took_ms.append((time.perf_counter() - since_s) * 1000)
        rate = ONE_BY_ONE / (time.perf_counter() - began_s)
        took_ms.sort()
        print(f"one by one: {rate:.0f}/s, p50 {took_ms[len(took_ms) // 2]:.1f} ms, p99 {took_ms[-4]:.1f} ms")
        began_s = time.perf_counter()
        for number in range(TOGETHER):
            audit.append("picture_left", who=["0123456789abcdef"], revision=number)
        appended_s = time.perf_counter() - began_s
        asyncio.run(audit.written())
        print(
            f"together: {TOGETHER / (time.perf_counter() - began_s):.0f}/s; append returns in"
            f" {appended_s / TOGETHER * 1e6:.0f} us"
        )
        audit.close()
        began_s = time.perf_counter()
        report = verify_folder(folder)
        took_s = time.perf_counter() - began_s
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(
            f"verify: {report.entries} entries in {took_s:.2f} s, intact {report.intact};"
            f" {size / report.entries:.0f} bytes an entry"
        )


if __name__ == "__main__":
    main()
