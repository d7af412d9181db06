"""A process that was forked off opens its own; what the parent has open stays the parent's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import os, sys, threading
from queueing.core.errors import StorageUnavailable
from queueing.core.models import Draft, QueueRef, request_token
from queueing.storage.registry import open_storage

Q = QueueRef("p", "q")

def post(storage, body):
    storage.messages.post(
        Q, [Draft(body, 60)], client_id="c", token=request_token(), version="", now=1.0
    )

def bodies(storage):
    return [message.body for message in storage.messages.page(
        Q, after=0, limit=100, hide_client=None, include_claimed=True, include_delayed=True, now=1.0
    )]

def in_child(run):
    child = os.fork()
    if child == 0:
        try:
            run()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child

def ended(child):
    assert os.waitpid(child, 0)[1] == 0
"""

USE = """
storage = open_storage(sys.argv[1], timeout_seconds=30)
post(storage, b"before")
bodies(storage)

def use():
    post(storage, b"child")
    assert bodies(storage) == [b"before", b"child"]
    storage.close()

ended(in_child(use))
post(storage, b"after")
assert bodies(storage) == [b"before", b"child", b"after"]
children = [in_child(lambda n=n: post(storage, b"%d" % n)) for n in range(4)]
for n in range(20):
    post(storage, b"parent")
for child in children:
    ended(child)
assert len(bodies(storage)) == 27
storage.close()
"""

MIDST = """
storage = open_storage(sys.argv[1], timeout_seconds=0.2)
post(storage, b"before")
begun, go_on = threading.Event(), threading.Event()

def long_step():
    with storage._connection.step() as db:
        begun.set()
        go_on.wait()

thread = threading.Thread(target=long_step)
thread.start()
begun.wait()

def try_to_post():
    try:
        post(storage, b"child")
    except StorageUnavailable:
        return
    raise AssertionError("the turn is the parent's")

ended(in_child(try_to_post))
go_on.set()
thread.join()
ended(in_child(lambda: post(storage, b"child")))
assert bodies(storage) == [b"before", b"child"]
storage.close()
"""

KILLED = """
first = os.fork()
if first == 0:
    storage = open_storage(sys.argv[1], timeout_seconds=30)
    post(storage, b"before")
    reader, writer = os.pipe()
    with storage._connection.step() as db:
        # A child of the holder, that lives on and uses nothing.
        if os.fork() == 0:
            os.write(writer, b"x")
            import time
            time.sleep(600)
            os._exit(0)
        os.read(reader, 1)
        os.kill(os.getpid(), 9)
os.waitpid(first, 0)
storage = open_storage(sys.argv[1], timeout_seconds=30)
post(storage, b"after")
assert bodies(storage) == [b"before", b"after"]
storage.close()
os.killpg(0, 15)
"""


def run(program: str, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + program, f"sqlite:///{file}"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        start_new_session=True,
        cwd=os.getcwd(),
    )


@pytest.mark.parametrize("program", [USE, MIDST], ids=["use", "in the midst of a step"])
def test_parent_and_children_write_to_the_same_file(program: str, file: Path) -> None:
    result = run(program, file)
    assert result.returncode == 0, result.stderr


def test_a_child_that_outlives_its_killed_parent_does_not_keep_its_turn(file: Path) -> None:
    result = run(KILLED, file)
    assert result.returncode == -15, result.stderr
