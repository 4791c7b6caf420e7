import platform
import re
import subprocess
import sys

import pytest

THREADS = """
import ctypes, sys, threading
from agent.arenas import few_arenas

if sys.argv[1] == "few":
    few_arenas()
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_many_threads_share_two_arenas() -> None:
    def arenas(how: str) -> int:
        command = [sys.executable, "-c", THREADS, how]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        return len(re.findall("<heap nr=", told))

    assert arenas("default") > 2  # otherwise this test proves nothing
    assert arenas("few") == 2
