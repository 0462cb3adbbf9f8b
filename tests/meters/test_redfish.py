"""Redfish, asked over real HTTPS: which power is the node's, and what becomes of every other answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bmc import PASSWORD, USER, Bmc, serving

from joulebook_collectors.meters.meter import NoData, PowerValue
from joulebook_collectors.meters.redfish import RedfishSource, read_credentials
from joulebook_ledger.core.refusals import BadInput

CONTROL = {"PowerControl": [{"Name": "Server Power Control", "PowerConsumedWatts": 344}, {"PowerConsumedWatts": 90}]}
METRICS = {"PowerWatts": {"Reading": 374.5, "DataSourceUri": "/redfish/v1/Chassis/1/Sensors/TotalPower"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bmc]:
    """Serve one controller for all tests of the file."""
    with serving(tmp_path_factory.mktemp("bmc")) as bmc:
        yield bmc


@pytest.fixture
def bmc(served: Bmc) -> Bmc:
    """Return the controller as if it had said nothing."""
    served.bodies.clear()
    served.status.clear()
    served.asked.clear()
    served.seconds = 0.0
    return served


def ask(bmc: Bmc, **changes: Any) -> PowerValue | NoData:
    """Ask once."""
    given: dict[str, Any] = {
        "user": USER,
        "password": PASSWORD,
        "ca_file": bmc.ca_file,
        "timeout_seconds": 5.0,
    } | changes
    source = RedfishSource(bmc.url, **given)
    try:
        return source.power()
    finally:
        source.close()


def test_the_older_resource_names_the_whole_first(bmc: Bmc) -> None:
    """Its further controls are parts of it."""
    bmc.has_chassis("1", power=CONTROL)
    assert ask(bmc) == PowerValue(344_000)


def test_the_newer_resource_is_taken_where_there_is_one(bmc: Bmc) -> None:
    """It reads with decimals."""
    bmc.has_chassis("1", power=CONTROL, metrics=METRICS)
    assert ask(bmc) == PowerValue(374_500)


def test_a_reading_that_is_left_out_is_asked_of_its_sensor(bmc: Bmc) -> None:
    """Some controllers give the excerpt without its number."""
    bmc.has_chassis("1", metrics={"PowerWatts": {**METRICS["PowerWatts"], "Reading": None}})
    bmc.say("/redfish/v1/Chassis/1/Sensors/TotalPower", {"Reading": 401})
    assert ask(bmc) == PowerValue(401_000)


def test_an_empty_newer_resource_falls_back_to_the_older(bmc: Bmc) -> None:
    """As while makers move from one to the other."""
    bmc.has_chassis("1", power=CONTROL, metrics={"TemperatureCelsius": {"Reading": 24}})
    assert ask(bmc) == PowerValue(344_000)


def test_of_several_chassis_the_one_that_holds_the_others_is_the_node(bmc: Bmc) -> None:
    """A board within it would be counted twice."""
    bmc.has_chassis("Self", power=CONTROL)
    bmc.has_chassis("GpuBoard", metrics=METRICS, within="Self")
    bmc.has_chassis("Empty")
    assert ask(bmc) == PowerValue(344_000)


def test_chassis_that_nobody_can_tell_apart_are_not_added(bmc: Bmc) -> None:
    """One has to be named."""
    bmc.has_chassis("A", power=CONTROL)
    bmc.has_chassis("B", metrics=METRICS)
    assert ask(bmc) == NoData("not_supported")
    assert ask(bmc, chassis="B") == PowerValue(374_500)
    assert ask(bmc, chassis="C") == NoData("not_found")


def test_a_chassis_is_looked_for_once(bmc: Bmc) -> None:
    """Then it is asked directly."""
    bmc.has_chassis("1", power=CONTROL)
    source = RedfishSource(bmc.url, user=USER, password=PASSWORD, ca_file=bmc.ca_file)
    assert source.power() == source.power() == PowerValue(344_000)
    assert bmc.asked.count("/redfish/v1/Chassis") == 1
    source.close()


def test_wrong_credentials_are_refused(bmc: Bmc) -> None:
    """401, and said to be so."""
    bmc.has_chassis("1", power=CONTROL)
    assert ask(bmc, password="wrong") == NoData("permission_denied")


def test_a_certificate_that_is_not_known_is_not_believed(bmc: Bmc) -> None:
    """The check is on unless a file of certificates says whom to trust; nothing was asked."""
    bmc.has_chassis("1", power=CONTROL)
    assert ask(bmc, ca_file="") == NoData("read_failed")
    assert bmc.asked == []


def test_a_slow_controller_is_a_failed_read(bmc: Bmc) -> None:
    """It has its time and no more."""
    bmc.has_chassis("1", power=CONTROL)
    bmc.seconds = 1.0
    assert ask(bmc, timeout_seconds=0.2) == NoData("read_failed")


@pytest.mark.parametrize("status", [301, 400, 403, 404, 429, 500, 503])
def test_other_statuses_have_reasons(bmc: Bmc, status: int) -> None:
    """A redirect is not followed either."""
    bmc.has_chassis("1", power=CONTROL)
    bmc.status["/redfish/v1/Chassis"] = status
    words = {403: "permission_denied", 404: "not_supported"}
    assert ask(bmc) == NoData(words.get(status, "read_failed"))
    assert bmc.asked == ["/redfish/v1/Chassis"]


@pytest.mark.parametrize("watts", [0, -5, True, "344", [], {}, 1e9, float("nan"), float("inf")], ids=str)
def test_what_is_no_power_is_a_failed_read(bmc: Bmc, watts: object) -> None:
    """A node that answers does not draw 0 W."""
    bmc.has_chassis("1", power={"PowerControl": [{"PowerConsumedWatts": watts}]})
    assert ask(bmc) == NoData("read_failed")


@pytest.mark.parametrize(
    "power",
    [{}, {"PowerControl": []}, {"PowerControl": [None]}, {"PowerControl": "x"}, {"PowerControl": [{}]}],
    ids=str,
)
def test_a_chassis_without_power_has_none(bmc: Bmc, power: object) -> None:
    """It says so, and is no 0."""
    bmc.has_chassis("1", power=power)
    assert ask(bmc) == NoData("not_supported")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"Members": ' + b" " * (1 << 20) + b"[]}"],
    ids=range(7),
)
def test_malformed_answers_are_failed_reads(bmc: Bmc, body: bytes) -> None:
    """Nor may an answer be as long as it likes."""
    bmc.say("/redfish/v1/Chassis", body or b" ")
    assert ask(bmc) == NoData("read_failed")


@pytest.mark.parametrize("path", ["https://elsewhere/redfish/v1", "//elsewhere/", "/other", "/redfish/../x", 5, None])
def test_a_path_that_leads_elsewhere_is_not_followed(bmc: Bmc, path: object) -> None:
    """The credentials go to the controller alone."""
    bmc.say("/redfish/v1/Chassis", {"Members": [{"@odata.id": path}]})
    assert ask(bmc) == NoData("not_supported")
    assert bmc.asked == ["/redfish/v1/Chassis"]


def test_a_controller_that_is_away_is_a_failed_read(bmc: Bmc) -> None:
    """Nobody listens there."""
    source = RedfishSource("https://127.0.0.1:1", user=USER, password=PASSWORD, ca_file=bmc.ca_file, timeout_seconds=1)
    assert source.power() == NoData("read_failed")


@pytest.mark.parametrize(
    "url", ["http://10.0.0.7", "https://", "https://u:p@h", "https://h/redfish", "https://h:x", "h"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Never in clear text."""
    with pytest.raises(BadInput, match="must be an address"):
        RedfishSource(url, user="u", password="p")


def test_certificates_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """With the name of the file."""
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(BadInput, match=path.name):
            RedfishSource("https://h", user="u", password="p", ca_file=str(path))


def test_credentials_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    """User, then password; nobody else may read it."""
    path = tmp_path / "bmc"
    path.write_text(f"{USER}\n{PASSWORD}\n")
    path.chmod(0o600)
    assert read_credentials(str(path)) == (USER, PASSWORD)
    path.chmod(0o640)
    with pytest.raises(BadInput, match="chmod 600"):
        read_credentials(str(path))
    path.chmod(0o600)
    path.write_text("one line\n")
    with pytest.raises(BadInput, match="second"):
        read_credentials(str(path))
    with pytest.raises(BadInput, match="cannot be read"):
        read_credentials(str(tmp_path / "none"))
