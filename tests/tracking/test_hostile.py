"""Whatever the network and the ledger do, and whoever is killed on the way: 100.000 % of the energy arrives, exactly once.

The service is a real one, in a process of its own. Truth is what was spooled, added up before anything was sent.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.hostile import MOODS, hostile
from helpers.running import Service

from joulebook_collectors.delivery.deliver import ASIDE, deliver_spool, stand_of
from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.folders import READER, write_once
from joulebook_collectors.spool.segments import Segment, create_segment, decode_frames
from joulebook_ledger.client import HttpLedger
from joulebook_ledger.core.records import meter_id
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.local import LocalLedger

pytestmark = pytest.mark.processes

START_MS = 1_760_000_400_000
MINUTE_MS = 60_000
METER = {
    "device": "gpu-1",
    "domain": "gpu",
    "component": "gpu",
    "boundary": "device",
    "role": "counted",
    "max_power_mw": 700_000,
    "label": "",
}
METER_ID = meter_id("gpu-1", "gpu", "gpu", "device", "counted", 700_000, "")
TIMEOUT_SECONDS = 0.15
MOST_ATTEMPTS = 2_000
# Forks a child that delivers the spool and ends, says its pid, waits for a word, and then says how it ended.
DELIVERER = """
import os, sys
from joulebook_collectors.delivery.deliver import deliver_spool
from joulebook_ledger.client import HttpLedger
from joulebook_ledger.core.refusals import Unavailable
import httpx2, tenacity, ssl, joulebook_ledger.transport.answers
folder, url, token, timeout = sys.argv[1:]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        ledger = HttpLedger(url, token, timeout_seconds=float(timeout), patience_seconds=0)
        print("delivering", flush=True)
        try:
            deliver_spool(folder, ledger, int(line))
        except Unavailable:
            pass
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Truth:
    """A spool that is written in passing, and what it holds in all.

    Attributes:
        energy_mj: Account -> energy.
        windows: How many.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        """Begin a spool."""
        self.folder = str(folder)
        self.dice = random.Random(seed)
        self.energy_mj: Counter[str] = Counter()
        self.windows = 0
        self._segments = 0
        folder.mkdir()
        write_once(
            str(folder / READER), {"reader": f"{seed:032x}", "machine": "m", "boot": "b", "host": "h", "rank": 1}
        )
        self._live = self._begin()

    @property
    def now_ms(self) -> int:
        """The end of the last window."""
        return START_MS + self.windows * MINUTE_MS

    def work(self, windows: int) -> None:
        """Spool windows of a minute, with one or two runs in each; now and then in a new segment."""
        for _ in range(windows):
            start_ms = self.now_ms
            energy = self.dice.randrange(1_000, 700_000 * 60)
            runs = self.dice.sample(["a" * 32, "b" * 32, "c" * 32], self.dice.choice([1, 2]))
            shares = [energy // 3, energy // 7][: len(runs)]
            uses = [self._use(run, start_ms, share) for run, share in zip(runs, shares, strict=True)]
            reading = {
                "meter": METER_ID,
                "start_ms": start_ms,
                "end_ms": start_ms + MINUTE_MS,
                "energy_mj": energy,
                "method": "counter",
            }
            self._live.append({"readings": [reading], "uses": uses})
            self.energy_mj.update(dict(zip(runs, shares, strict=True)))
            self.energy_mj["idle"] += energy - sum(shares)
            self.windows += 1
        if self.dice.random() < 0.3:
            self.finish()
            self._live = self._begin()

    def finish(self) -> None:
        """End the segment that is being written."""
        move_to_done(self._live.path)
        self._live.close()

    def _begin(self) -> Segment:
        self._segments += 1
        segment = create_segment(self.folder, f"s{self._segments}")
        segment.append({"meters": [METER]})
        return segment

    def _use(self, run: str, start_ms: int, share: int) -> dict[str, Any]:
        return {
            "meter": METER_ID, "start_ms": start_ms, "run": run, "energy_mj": share, "time_ms": 30_000, "active_ms": 1_000,
            "method": "gpu_utilisation",
        }  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the book that the service of this module serves."""
    return tmp_path_factory.mktemp("book") / "book.sqlite"


@pytest.fixture(scope="module")
def service(book: Path) -> Iterator[Service]:
    """Return a real service in a process of its own."""
    with Service({"JOULEBOOK_LEDGER": f"sqlite:///{book}", "JOULEBOOK_HOME": str(book.parent)}) as service:
        yield service


def token_of(book: Path) -> str:
    """Return the secret of the service."""
    return (book.parent / "token").read_text().strip()


def is_all_sent(truth: Truth) -> bool:
    """Say whether the spool has nothing left to send."""
    return not list(Path(truth.folder, "done").iterdir()) and stand_of(truth.folder)["unanswered"] is None


def assert_all_arrived(truth: Truth, book: Path, reader: str) -> None:
    """Compare the book with the truth, to the millijoule; and nothing was refused, or came in other words under one number."""
    with closing(LocalLedger(f"sqlite:///{book}")) as ledger:
        ledger.book()
        assert ledger.verify()["ok"]
    with closing(sqlite3.connect(book)) as rows:
        sent = "FROM meter_window WHERE reader = ?"
        ((number, energy),) = rows.execute(f"SELECT COUNT(*), SUM(energy_mj) {sent}", (reader,))
        uses = dict(rows.execute("SELECT run, SUM(energy_mj) FROM meter_use WHERE reader = ? GROUP BY run", (reader,)))
        assert rows.execute("SELECT * FROM refused_fact WHERE reader = ?", (reader,)).fetchall() == []
    assert (number, energy) == (truth.windows, truth.energy_mj.total())
    assert uses == {account: amount for account, amount in truth.energy_mj.items() if account != "idle"}
    assert not Path(truth.folder, ASIDE).exists()


def deliver_through(seed: int, folder: Path, service: Service, book: Path) -> Counter[str]:
    """Spool and deliver through a hostile network until all has arrived; return what the network did."""
    truth = Truth(folder, seed)
    with (
        hostile(service.url, seed) as (url, network),
        closing(HttpLedger(url, token_of(book), timeout_seconds=TIMEOUT_SECONDS, patience_seconds=0)) as ledger,
    ):
        for attempt in range(MOST_ATTEMPTS):
            if attempt < 25:
                truth.work(truth.dice.randrange(0, 40))
            elif attempt == 25:
                truth.finish()
            try:
                deliver_spool(truth.folder, ledger, truth.now_ms)
            except Unavailable:
                continue
            if attempt > 25 and is_all_sent(truth):
                break
        else:
            pytest.fail("it never arrived")
    assert_all_arrived(truth, book, f"{seed:032x}")
    return network.moods


def test_through_a_hostile_network_everything_arrives_once(tmp_path: Path, service: Service, book: Path) -> None:
    """Away, 500, late, dead before the answer, half a request, half an answer, twice, another page: seeded."""
    moods: Counter[str] = Counter()
    for seed in range(1, 3):
        moods += deliver_through(seed, tmp_path / str(seed), service, book)
    assert set(moods) == set(MOODS)


def test_bad_items_are_put_aside_and_hold_up_nothing(tmp_path: Path, service: Service, book: Path) -> None:
    """What no device can draw, what contradicts what is stored, what is no fact at all: each is kept with its reason."""
    truth = Truth(tmp_path / "spool", 2_000)
    truth.work(50)
    end_ms = truth.now_ms + MINUTE_MS
    impossible = {
        "meter": METER_ID,
        "start_ms": truth.now_ms,
        "end_ms": end_ms,
        "energy_mj": 10**15,
        "method": "counter",
    }
    contrary = {
        "meter": METER_ID,
        "start_ms": START_MS,
        "end_ms": START_MS + MINUTE_MS,
        "energy_mj": 1,
        "method": "counter",
    }
    bad = create_segment(truth.folder, "bad")
    bad.append(
        {"meters": [METER]},
        {"readings": [impossible]},
        {"readings": ["no object"]},
        {"scores": [{"run": "r", "colour": 1}]},
    )
    move_to_done(bad.path)
    bad.close()
    truth.finish()
    later = create_segment(truth.folder, "z-later")
    later.append({"readings": [contrary]})
    move_to_done(later.path)
    later.close()
    with closing(HttpLedger(service.url, token_of(book))) as ledger:
        deliver_spool(truth.folder, ledger, truth.now_ms)
    aside, _, _ = decode_frames(Path(truth.folder, ASIDE).read_bytes())
    reasons = [(told["kind"], told["reason"]) for told in aside]
    assert reasons == [
        ("readings", "implausible_power"), ("readings", "not_an_object"), ("readings", "other_content"), ("scores", "unknown_field"),
    ]  # fmt: skip
    assert aside[0]["item"] == impossible
    Path(truth.folder, ASIDE).unlink()
    with closing(sqlite3.connect(book)) as rows:
        ((number, energy),) = rows.execute(
            "SELECT COUNT(*), SUM(energy_mj) FROM meter_window WHERE reader = ?", (f"{2_000:032x}",)
        )
    assert (number, energy) == (truth.windows, truth.energy_mj.total())


@pytest.mark.long
def test_what_waited_for_days_arrives_in_many_batches(tmp_path: Path, service: Service, book: Path) -> None:
    """Three weeks of minutes, through the hostile network; the ledger is never asked for more than it takes at once."""
    truth = Truth(tmp_path / "spool", 3_000)
    truth.work(21 * 1_440)
    truth.finish()
    with (
        hostile(service.url, 3_000) as (url, network),
        closing(HttpLedger(url, token_of(book), timeout_seconds=20, patience_seconds=0)) as ledger,
    ):
        for _ in range(MOST_ATTEMPTS):
            try:
                deliver_spool(truth.folder, ledger, truth.now_ms)
            except Unavailable:
                continue
            if is_all_sent(truth):
                break
    assert network.moods.total() > 3
    assert_all_arrived(truth, book, f"{3_000:032x}")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 200))
def test_through_many_hostile_networks_everything_arrives_once(
    seed: int, tmp_path: Path, service: Service, book: Path
) -> None:
    """The same for many seeds."""
    deliver_through(seed, tmp_path / "spool", service, book)


def killed_deliveries(seed: int, folder: Path, service: Service, book: Path, kills: int) -> int:
    """Kill deliverers again and again through a hostile network, then let one end; return how many were killed at work."""
    truth = Truth(folder, seed)
    killed = 0
    with hostile(service.url, seed) as (url, _):
        command = [sys.executable, "-c", DELIVERER, truth.folder, url, token_of(book), str(TIMEOUT_SECONDS)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as deliverer:
            assert deliverer.stdin is not None
            assert deliverer.stdout is not None
            for _ in range(kills):
                truth.work(truth.dice.randrange(0, 40))
                deliverer.stdin.write(f"{truth.now_ms}\n")
                deliverer.stdin.flush()
                said = sorted([deliverer.stdout.readline(), deliverer.stdout.readline()])
                time.sleep(truth.dice.random() ** 3 * 0.05)
                os.kill(int(said[0]), signal.SIGKILL)  # a zombie until it is waited for: never somebody else's
                deliverer.stdin.write("\n")
                deliverer.stdin.flush()
                killed += int(deliverer.stdout.readline()) == -signal.SIGKILL
            deliverer.stdin.close()
    truth.finish()
    with closing(HttpLedger(service.url, token_of(book))) as ledger:
        deliver_spool(truth.folder, ledger, truth.now_ms)
    assert is_all_sent(truth)
    assert_all_arrived(truth, book, f"{seed:032x}")
    return killed


def test_a_deliverer_killed_again_and_again_sends_everything_once(tmp_path: Path, service: Service, book: Path) -> None:
    """SIGKILL at random points of the delivery: its notes are on the disk before anything is sent."""
    assert killed_deliveries(1_000, tmp_path / "spool", service, book, 15) > 3


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1_100, 1_120))
def test_many_deliverers_killed_send_everything_once(seed: int, tmp_path: Path, service: Service, book: Path) -> None:
    """The same for many seeds, and more often."""
    assert killed_deliveries(seed, tmp_path / "spool", service, book, 100) > 20
