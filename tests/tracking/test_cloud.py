"""A machine says itself which cloud it is of; the cloud is asked in which region, and nobody else ever is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.metadata import AWS, Metadata, machine, metadata_service

from joulebook_collectors.host.cloud import METADATA, CloudPlace, cloud_of, cloud_place

XEN = {"sys_vendor": "Xen", "product_version": "4.11.amazon"}
GCP = {"sys_vendor": "Google", "product_name": "Google Compute Engine"}
AZURE = {"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"}
HYPERV = {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine", "chassis_asset_tag": "0000-0001"}
LAPTOP = {"sys_vendor": "LENOVO", "product_name": "20XW"}


@pytest.fixture
def metadata() -> Iterator[tuple[str, int]]:
    """Return the address of a service that plays all three clouds'."""
    with metadata_service() as address:
        yield address


@pytest.mark.parametrize(
    ("firmware", "expected"),
    [
        (AWS, CloudPlace("aws", "eu-west-3")), (XEN, CloudPlace("aws", "eu-west-3")), (GCP, CloudPlace("gcp", "europe-west9")),
        (AZURE, CloudPlace("azure", "francecentral")),
    ],
)  # fmt: skip
def test_a_cloud_is_asked_in_its_own_form(
    tmp_path: Path, metadata: tuple[str, int], firmware: dict[str, str], expected: CloudPlace
) -> None:
    """And says the region."""
    assert cloud_place(machine(tmp_path, firmware), metadata) == expected


@pytest.mark.parametrize("firmware", [HYPERV, LAPTOP, {}])
def test_on_any_other_machine_nobody_is_asked(
    tmp_path: Path, metadata: tuple[str, int], firmware: dict[str, str]
) -> None:
    """Not a packet leaves it."""
    assert cloud_place(machine(tmp_path, firmware), metadata) is None
    assert Metadata.asked == []


@pytest.mark.parametrize("said", ["<html>log in</html>", "eu west", "", "é", "x" * 500, "../.."])
def test_what_is_no_region_is_not_taken_for_one(tmp_path: Path, metadata: tuple[str, int], said: str) -> None:
    """A captive portal answers everything."""
    Metadata.answers = {"aws": said}
    assert cloud_place(machine(tmp_path, AWS), metadata) == CloudPlace("aws", "")


def test_a_service_that_is_away_costs_a_second_and_no_more(tmp_path: Path) -> None:
    """Nobody listens, or somebody listens and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert cloud_place(machine(tmp_path / "a", GCP), silent.getsockname()) == CloudPlace("gcp", "")
        silent.listen()
        assert cloud_place(machine(tmp_path / "b", GCP), silent.getsockname()) == CloudPlace("gcp", "")


def test_the_address_is_the_link_local_one_and_no_other() -> None:
    """It cannot be configured: nobody else can be asked by mistake."""
    assert METADATA == ("169.254.169.254", 80)
    assert cloud_of("/nowhere") == ""
