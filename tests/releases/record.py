"""Records what the Joulebook of today writes, for those of tomorrow to read: run once for each release, as docs say in README.md.

python tests/releases/record.py VERSION
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from binascii import crc32
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from helpers.machines import Machine, lay_out  # noqa: E402 - the folder of the tests is no package
from helpers.recorded import figures  # noqa: E402

JOB = """
import sys, time, joulebook
with joulebook.track(model=sys.argv[1], task="recorded", team="vision") as run:
    run.log(accuracy=0.5)
    run.count(requests=3, tokens_out=7)
    until = time.monotonic() + float(sys.argv[2])
    print("ready", flush=True)
    while time.monotonic() < until:
        sum(range(10_000))
        time.sleep(0.01)
"""
BOOK = """
import sys, contextlib
from joulebook_collectors.delivery.recovery import recover_and_deliver
from joulebook_collectors.delivery.dropbox import ingest_dropbox
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.settings import load_settings
with contextlib.closing(LocalLedger(sys.argv[1])) as ledger:
    if len(sys.argv) > 2:
        ingest_dropbox(sys.argv[2], ledger)
    else:
        recover_and_deliver(load_settings(), ledger)
    ledger.book()
"""
UNTIL_KILLED_SECONDS = 1.6
MOST_SECONDS = 60


def main(version: str) -> None:
    """Record a spool with a finished and a killed run, a drop-box, and the figures that this release makes of both."""
    target = HERE / version
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        machine = lay_out("two_xeons", place / "machine")
        for name in ("spool", "box"):
            url = f"file://{place}/left" if name == "box" else ""
            environment = surroundings(place / name, machine, url)
            work(machine, environment, "finished", "1.2")
            if name == "spool":
                work(machine, environment, "killed", str(MOST_SECONDS))
        (boot,) = (place / "spool" / "spool").glob("*/*/*/")
        words = names_in(boot)
        copy(boot, target / "boot", words)
        reword(place / "left", target / "batches", words)
        for name, arguments in (("spool", []), ("batches", [str(place / "left")])):
            book = place / f"{name}.sqlite"
            environment = surroundings(place / "spool", machine, "")
            subprocess.run([sys.executable, "-c", BOOK, f"sqlite:///{book}", *arguments], env=environment, check=True)
            (target / f"{name}.json").write_text(json.dumps(figures(book), indent=1, sort_keys=True) + "\n")


def surroundings(place: Path, machine: Machine, ledger: str) -> dict[str, str]:
    """Return the variables of the jobs of one spool, on a machine whose name says nothing of this one."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("JOULEBOOK_")},
        "JOULEBOOK_HOME": str(place / "home"), "JOULEBOOK_SPOOL": str(place / "spool"), "JOULEBOOK_QUIET": "1",
        "JOULEBOOK_SYSFS_ROOT": machine.sysfs_root, "JOULEBOOK_LEDGER": ledger, "JOULEBOOK_MACHINE": "recorded",
        "JOULEBOOK_SAMPLE_SECONDS": "0.1",
    }  # fmt: skip


def work(machine: Machine, environment: dict[str, str], model: str, seconds: str) -> None:
    """Run one job while the machine's counters count; the one that would run for too long is killed."""
    began = time.monotonic()
    count(machine, 0)
    job = subprocess.Popen([sys.executable, "-c", JOB, model, seconds], env=environment, stdout=subprocess.PIPE)
    assert job.stdout is not None
    job.stdout.readline()
    while job.poll() is None:
        count(machine, time.monotonic() - began)
        time.sleep(0.02)
        if seconds == str(MOST_SECONDS) and time.monotonic() - began > UNTIL_KILLED_SECONDS:
            job.send_signal(signal.SIGKILL)
    job.wait()


def count(machine: Machine, seconds: float) -> None:
    """Let both processors have drawn 90 W for so long."""
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        machine.counts(zone, 1_000_000 + int(seconds * 90_000_000))


def names_in(boot: Path) -> dict[str, str]:
    """Return the names of this machine in a spool, and what to write in their place."""
    reader = json.loads((boot / "reader").read_bytes()[9:])
    return {reader["boot"]: "00000000-1111-2222-3333-444444444444", reader["host"]: "recorded-host"}


def copy(boot: Path, target: Path, words: dict[str, str]) -> None:
    """Copy a spool's files, each line with the names replaced and its check made anew."""
    for path in sorted(path for path in boot.rglob("*") if path.is_file() and path.stat().st_size):
        lines = [line for line in path.read_bytes().split(b"\n") if line[8:9] == b" "]
        if path.name.startswith(("checkpoint", "delivery")):
            lines = lines[:1]
        written = []
        for line in lines:
            body = line[9:].decode()
            for word, instead in words.items():
                body = body.replace(word, instead)
            written.append(b"%08x %s\n" % (crc32(body.encode()), body.encode()))
        place = target / path.relative_to(boot)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"".join(written))


def reword(box: Path, target: Path, words: dict[str, str]) -> None:
    """Copy a drop-box with the names replaced; a file's name carries its digest."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(box.iterdir()):
        text = path.read_text()
        for word, instead in words.items():
            text = text.replace(f'"{word}', f'"{instead}')
        stem = path.name.rpartition("_")[0]
        (target / f"{stem}_{sha256(text.encode()).hexdigest()[:16]}.batch").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
