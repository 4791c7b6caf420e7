import platform
import re
import subprocess
import sys

import pytest

THREADS = """
import ctypes, sys, threading
from agent.runtime.malloc import limit_arenas

if sys.argv[1] == "few":
    limit_arenas()
all_there = threading.Barrier(9)

def take():
    ctypes.CDLL(None).malloc(5000)
    all_there.wait()
    all_there.wait()

for _ in range(8):
    threading.Thread(target=take).start()
all_there.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
out = libc.fdopen(1, b"w")
libc.malloc_info(0, out)
libc.fflush(ctypes.c_void_p(out))
all_there.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc: musl has no arenas")
def test_many_threads_share_two_arenas() -> None:
    def arenas(how: str) -> int:
        command = [sys.executable, "-c", THREADS, how]
        told = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
        return len(re.findall("<heap nr=", told))

    assert arenas("default") > 2  # otherwise this test proves nothing
    assert arenas("few") == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc: musl has no arenas")
def test_what_is_free_between_what_is_not_goes_back() -> None:
    code = """
import ctypes
from agent.runtime.malloc import trim_heap

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
large = []
for _ in range(600):
    large.append(libc.malloc(100_000))
    ctypes.memset(large[-1], 1, 100_000)
    libc.malloc(100)
for one in large:
    libc.free(one)
before = resident_mb()
trim_heap()
print(before - resident_mb())
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True
    )
    assert float(told.stdout) > 40
