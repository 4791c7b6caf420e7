"""What the agent is made of runs under the system calls and the memory rules of the unit, without systemd.

A child process gives itself the seccomp filters that systemd would, made from systemd's own lists.
"""

import ctypes.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_systemd import ROOT, UNIT, allowed_calls

FILTERED = """
import ctypes, errno, json, os, socket, sys

allowed, families = json.loads(sys.argv[1])
libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL(sys.argv[2])
seccomp.seccomp_init.restype = ctypes.c_void_p
ALLOW, REFUSE = ctypes.c_uint32(0x7FFF0000), ctypes.c_uint32(0x00050000 | errno.EPERM)
EQUAL, MASKED = 4, 7

class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]

def refuse(context, name, *compare):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    rules = (Compare * len(compare))(*compare)
    assert seccomp.seccomp_rule_add_array(context, REFUSE, number, len(compare), rules) == 0, name

assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
context = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
refuse(context, "mmap", Compare(2, MASKED, 6, 6))  # PROT_WRITE and PROT_EXEC
for name in ("mprotect", "pkey_mprotect"):
    refuse(context, name, Compare(2, MASKED, 4, 4))
refuse(context, "shmat", Compare(2, MASKED, 0o100000, 0o100000))
for family in range(46):
    if family not in families:
        refuse(context, "socket", Compare(0, EQUAL, family, 0))
assert seccomp.seccomp_load(context) == 0
context = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
for name in allowed:
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        seccomp.seccomp_rule_add_array(context, ALLOW, number, 0, None)
assert seccomp.seccomp_load(context) == 0
"""
TRIED = """
import mmap, os, sqlite3, subprocess, time
from pathlib import Path

def refused(call):
    try:
        call()
    except PermissionError:
        return True
    return False

assert refused(lambda: mmap.mmap(-1, 4096, prot=7))
assert refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
assert refused(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
assert refused(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
assert refused(lambda: os.chown("x", 0, 0))
assert refused(lambda: os.nice(1))

import cv2, numpy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from agent.host import clock
from agent.host.clock import _libc, _Timex, kernel_boot_id
import models

assert _libc().adjtimex(ctypes.byref(_Timex())) < 0
clock.STATE = Path("state")
assert clock.kernel_clock() == (False, None)
clock.STATE.write_text(json.dumps({"synchronised": True, "error_ms": 2.5, "since_boot_s": clock.since_boot_s()}))
assert clock.kernel_clock() == (True, 2.5)
assert kernel_boot_id()
assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda one: one + 1)(1) == 2
assert len(Ed25519PrivateKey.generate().sign(b"x")) == 64
assert cv2.resize(numpy.zeros((900, 900, 3), numpy.uint8), (300, 300)).shape == (300, 300, 3)
assert sqlite3.connect("x.db").execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
assert socket.getaddrinfo("localhost", 1883)
assert subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, check=True).stdout
main, follower = os.openpty()
import tty
tty.setraw(follower)
models.find("default").load()  # proves itself on its picture
print("all tried")
"""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_agents_libraries_run_under_the_settings_of_the_unit(tmp_path: Path) -> None:
    library = ctypes.util.find_library("seccomp")
    if library is None:
        pytest.skip("needs libseccomp: apt-get install libseccomp2")
    lines = UNIT.read_text().splitlines()
    assert "MemoryDenyWriteExecute=yes" in lines
    names = next(line for line in lines if line.startswith("RestrictAddressFamilies=")).partition("=")[2]
    families = [int(getattr(socket, name)) for name in names.split()]
    done = subprocess.run(
        [sys.executable, "-c", FILTERED + TRIED, json.dumps([sorted(allowed_calls()), families]), library],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.stdout.endswith("all tried\n"), done.stderr[-2000:]
