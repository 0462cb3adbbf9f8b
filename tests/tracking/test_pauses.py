"""A ledger that is away is left alone: longer each time, as long as it asks, and by each at another instant."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.tracked import Place

from joulebook_collectors.delivery.pauses import LONGEST_ASKED_SECONDS, LONGEST_SECONDS, pause_seconds
from joulebook_collectors.delivery.uploader import INTERVAL_SECONDS, Uploader


def test_the_wait_grows_with_each_failure_up_to_a_bound() -> None:
    """Also after a year of failures; then one success brings it back."""
    waits = [pause_seconds(60, failures, chance=1.0) for failures in [*range(1, 10), 100_000]]
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert (waits[0] > 60, waits[-1]) == (True, LONGEST_SECONDS)
    assert pause_seconds(60, 0, chance=0.5) == 60


@pytest.mark.parametrize("failures", [0, 1, 5])
def test_no_two_wait_alike(failures: int) -> None:
    """Chance spreads them over a good part of the wait."""
    least, most = (pause_seconds(60, failures, chance=chance) for chance in (0.0, 1.0))
    assert least > 0
    assert most - least >= 0.2 * 60 - 1e-9


@pytest.mark.parametrize(("asked", "kept"), [(30.0, 30.0), (1_800.0, 1_800.0), (1e9, LONGEST_ASKED_SECONDS)])
def test_what_the_ledger_asks_for_is_kept(asked: float, kept: float) -> None:
    """Within reason."""
    assert all(pause_seconds(1, 1, asked_seconds=asked, chance=chance) >= kept for chance in (0.0, 0.5, 1.0))
    assert pause_seconds(1, 1, asked_seconds=asked, chance=1.0) <= kept * 1.1 + 1


class Busy(BaseHTTPRequestHandler):
    """A service that asks to be left alone for a while."""

    def do_POST(self) -> None:
        """Ask."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503)
        self.send_header("Retry-After", "1000")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.processes
def test_who_delivers_in_the_background_keeps_to_it(tmp_path: Path) -> None:
    """Retry-After is heard through the client; until something failed, a minute is the rule."""
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        place = Place(tmp_path, f"http://127.0.0.1:{server.server_address[1]}")
        place.environment |= {"JOULEBOOK_API_KEY": "a-token", "JOULEBOOK_FLUSH_SECONDS": "0"}
        place.run("import joulebook\nwith joulebook.track(model='m'): pass")
        uploader = Uploader(place.settings, lambda: True)
        assert uploader.pause_seconds() <= INTERVAL_SECONDS * 1.1
        uploader.begin()
        uploader.flush(60)
        assert uploader.pause_seconds() >= 1_000
        server.shutdown()
