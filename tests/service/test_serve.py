"""The service is to be had on this machine only, and says so before anything is opened."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from joulebook_api.serve import listening, loopback_address, serve, url_of
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.settings import Settings


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "", "10.0.0.7", "192.168.1.1", "example.org", "localhost.example.org", "*", "::ffff:10.0.0.1"],  # noqa: S104 - refused here
)  # fmt: skip
def test_no_address_but_this_machines_is_served(tmp_path: Path, host: str) -> None:
    """The text names two ways that are safe; neither a token nor a book is made."""
    settings = Settings(ledger=f"sqlite:///{tmp_path}/book.sqlite", home=str(tmp_path))
    with pytest.raises(BadInput, match=r"no keys yet.*127\.0\.0\.1.*ssh -L.*drop-box"):
        serve(settings, host=host)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "address"),
    [("localhost", "127.0.0.1"), ("LocalHost", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::1", "::1")],
)
def test_a_name_of_this_machine_is_its_address(host: str, address: str) -> None:
    """What a name means elsewhere is not asked."""
    assert loopback_address(host) == address


@pytest.mark.parametrize("ledger", ["http://ann:hunter2@127.0.0.1:8420", "file:///shared/folder"])
def test_only_a_book_can_be_served(tmp_path: Path, ledger: str) -> None:
    """A service of a service, or of a drop-box, is none."""
    with pytest.raises(BadInput, match="JOULEBOOK_LEDGER") as refusal:
        serve(Settings(ledger=ledger, home=str(tmp_path)))
    assert "hunter2" not in str(refusal.value)


def test_a_port_that_is_taken_is_named() -> None:
    """With the option that takes another."""
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port}.*--port"), listening("127.0.0.1", port):
            pass


@pytest.mark.parametrize("port", [-1, 65_536, 10**30])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """No error of the socket library."""
    with pytest.raises(BadInput, match="--port"), listening("127.0.0.1", port):
        pass


def test_small_answers_do_not_wait() -> None:
    """Asyncio sends at once only on sockets that name their protocol; each request took 40 ms more without."""
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_address_of_version_six_stands_in_brackets() -> None:
    """Where a machine has it."""
    try:
        with listening("::1", 0) as listener:
            assert url_of(listener).startswith("http://[::1]:")
    except BadInput:
        pytest.skip("this machine has no ::1")
