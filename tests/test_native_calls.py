"""A process that a native call would hold, or abort as Python is torn down, ends with its own exit code."""

import os
import subprocess
import sys

import pytest

from tests.test_architecture import ROOT

HEAD = """
import atexit, os, signal, sys, threading, time
import click
from agent.cli.command_group import CommandGroup
from agent.cli.options import finish
from agent.runtime import native_calls

def hang():
    thread = threading.Thread(target=time.sleep, args=(600,), daemon=True)
    thread.start()
    native_calls.abandon(thread)

def interrupt_in(seconds):
    def ends():
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=ends, daemon=True).start()

atexit.register(print, "Python's own end, which aborts a process whose thread is in OpenCV")

@click.group(cls=CommandGroup)
def cli(): pass

@cli.command()
def run():
"""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("hang(); finish(75)", 75),
        ("hang(); native_calls.LAST_WAIT_S = 60; interrupt_in(0.2); finish(75)", 75),
        ("hang(); native_calls.LAST_WAIT_S = 0.1; raise KeyboardInterrupt", 130),
        ("hang(); native_calls.LAST_WAIT_S = 60; interrupt_in(0.2); raise KeyboardInterrupt", 130),
    ],
    ids=["an end", "a second Ctrl-C at the end", "Ctrl-C", "Ctrl-C twice"],
)
def test_a_hanging_call_changes_no_exit_code(body: str, code: int) -> None:
    command = [sys.executable, "-c", f"{HEAD}    {body}\n\ncli(['run'])"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    assert "own end" not in done.stdout
