"""Whatever goes wrong in measuring, the job hears one line and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tracked import Place

from joulebook_collectors.host.guard import harmless


@harmless("fallback")
def broken(error: BaseException) -> str:
    """Raise."""
    raise error


@pytest.mark.parametrize(
    "error", ["ValueError('odd')", "OSError(28, 'full')", "MemoryError()", "RecursionError()", "AssertionError()"]
)
def test_a_fault_of_ours_is_said_once_and_the_fallback_returned(error: str) -> None:
    """In one line; the second time in none."""
    program = f"""
from joulebook_collectors.host.guard import harmless
@harmless("fallback")
def broken(): raise {error}
print(broken(), broken())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert (done.stdout, line.startswith(f"joulebook: {error.partition('(')[0]}")) == ("fallback fallback\n", True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_the_users_passes(error: type[BaseException]) -> None:
    """Ctrl-C and sys.exit are theirs."""
    with pytest.raises(error):
        broken(error())


def test_nobody_is_told_more_than_a_few_things() -> None:
    """A loop that logs nonsense does not fill a terminal, or memory; a closed stderr is no trouble."""
    program = "from joulebook_collectors.host.guard import say_once\nfor n in range(1_000): say_once(str(n))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(done.stderr.splitlines()) == 30
    closed = f"import os\nos.close(2)\n{program}"
    assert subprocess.run([sys.executable, "-c", closed], capture_output=True, check=False).returncode == 0


@pytest.mark.processes
def test_a_broken_installation_does_not_harm_the_job(tmp_path: Path) -> None:
    """A module of ours that cannot be used: the job runs as it would without us."""
    program = """
    import joulebook, joulebook_collectors.tracking.session as session
    del session.Watcher
    with joulebook.track(model="m") as run:
        run.log(accuracy=1)
    print(run.footprint.energy_kwh, joulebook.current())
    """
    done = Place(tmp_path).run(program)
    assert (done.returncode, done.stdout) == (0, "None None\n")
    assert all(line.startswith("joulebook: ") for line in done.stderr.splitlines())
