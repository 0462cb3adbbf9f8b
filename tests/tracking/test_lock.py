"""One process holds a lock, and it is free the moment that process is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from joulebook_collectors.host.lock import adopt, forget, is_held, open_once, read_file

HOLD = """
import os, sys, time
from joulebook_collectors.host.lock import open_once
lock = open_once(sys.argv[1])
print(lock.try_take(), flush=True)
if len(sys.argv) > 2 and os.fork() == 0:
    time.sleep(60)
time.sleep(60)
"""


def holder(path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that holds the lock; with an argument it has a child that lives on."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """End a process and its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_lock_that_another_process_holds_is_not_taken(tmp_path: Path) -> None:
    """Its holder lives; so it is seen to be held, and cannot be taken."""
    process = holder(tmp_path / "lock")
    lock = open_once(str(tmp_path / "lock"))
    assert (lock.try_take(), lock.held, is_held(str(tmp_path / "lock"))) == (False, False, True)
    end(process)
    assert is_held(str(tmp_path / "lock")) is False


@pytest.mark.processes
@pytest.mark.parametrize("forked", [[], ["forked"]], ids=["alone", "with a child that lives on"])
def test_a_waiter_has_the_lock_as_soon_as_its_holder_is_killed(tmp_path: Path, forked: list[str]) -> None:
    """Also where forked children of the dead holder live on. The time is printed and never asserted."""
    process = holder(tmp_path / "lock", *forked)
    lock = open_once(str(tmp_path / "lock"))
    taken = threading.Event()
    thread = threading.Thread(target=lambda: (lock.take(), taken.set()), daemon=True)
    thread.start()
    time.sleep(0.1)
    assert not taken.is_set()
    os.kill(process.pid, signal.SIGKILL)
    began = time.monotonic()
    assert taken.wait(30)
    print(f"hand-over after {1000 * (time.monotonic() - began):.2f} ms")
    lock.give()
    end(process)


def test_two_parts_of_one_process_do_not_hold_a_lock_together(tmp_path: Path) -> None:
    """To the kernel they are one; here they are two."""
    first, second = open_once(str(tmp_path / "lock")), open_once(str(tmp_path / "lock"))
    assert first is second
    assert (first.try_take(), second.try_take()) == (True, False)
    first.give()
    assert second.try_take()
    second.give()


def test_reading_a_file_that_we_lock_does_not_drop_the_lock(tmp_path: Path) -> None:
    """A second descriptor, closed, would drop it: so it is read through the first."""
    path = tmp_path / "file"
    path.write_text("hello")
    file = adopt(os.open(path, os.O_RDWR))
    assert file.try_take()
    assert (read_file(str(path)), read_file(str(path), 2), is_held(str(path))) == (b"hello", b"llo", True)
    probe = f"from joulebook_collectors.host.lock import is_held; print(is_held({str(path)!r}))"
    seen = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert seen.stdout == "True\n"
    forget(file)
    assert is_held(str(path)) is False


def test_a_forked_child_does_not_hold_what_its_parent_holds(tmp_path: Path) -> None:
    """It can neither take it, nor drop it by what it does."""
    lock = open_once(str(tmp_path / "lock"))
    assert lock.try_take()
    pid = os.fork()
    if pid == 0:
        wrong = lock.held or open_once(str(tmp_path / "lock")).try_take()
        lock.give()
        os._exit(int(wrong))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert lock.held
    assert is_held(str(tmp_path / "lock"))
    lock.give()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """A lock or segment that somebody put a link for is refused, not opened."""
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"):
        open_once(str(tmp_path / "lock"))
    with pytest.raises(OSError, match="lock"):
        read_file(str(tmp_path / "lock"))


@pytest.mark.processes
def test_two_processes_that_each_read_one_spool_and_wait_for_the_other_do_not_deadlock(tmp_path: Path) -> None:
    """The kernel sees a deadlock between processes whose threads wait for each other's locks; we ask again and again."""
    program = """
import sys, threading, time
from joulebook_collectors.host.lock import open_once
mine, other = open_once(sys.argv[1]), open_once(sys.argv[2])
print(mine.try_take(), flush=True)
sys.stdin.readline()
got = threading.Event()
threading.Thread(target=lambda: (other.take(), got.set()), daemon=True).start()
time.sleep(0.3)
mine.give()
print(got.wait(30), flush=True)
other.give()
"""
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *order], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for order in (paths, paths[::-1])
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in processes] == ["True\n", "True\n"]
