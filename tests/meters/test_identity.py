"""Which machine this is, and which boot of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from helpers.machines import Machine, as_nobody
from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.host import identity
from joulebook_collectors.host.identity import Host

Recorded = Callable[[str], Machine]


def id_of(machine: Machine, name: str = "") -> str:
    """Return a recorded machine's id."""
    roots = {"proc_root": machine.proc_root, "sysfs_root": machine.sysfs_root, "etc_root": machine.etc_root}
    return identity.machine_id(name, **roots)


def test_a_machine_is_made_of_what_the_kernel_says(machine: Recorded) -> None:
    """All logical cpus that are built in, and all memory."""
    server = machine("two_xeons")
    assert identity.host_of(server.proc_root, server.sysfs_root) == Host(
        name="node7",
        cpu="Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz",
        logical_cpus=80,
        memory_bytes=394_000_000 * 1024,
        is_virtual=False,
    )


def test_a_virtual_machine_is_known_by_its_processor(machine: Recorded) -> None:
    """The flag `hypervisor` stands among the others."""
    guest = machine("virtual_machine")
    assert identity.host_of(guest.proc_root, guest.sysfs_root).is_virtual


def test_an_arm_processor_is_named_by_its_numbers(machine: Recorded) -> None:
    """It has no `model name`."""
    board = machine("arm_board")
    assert identity.host_of(board.proc_root, board.sysfs_root).cpu == "ARM 0x41 0xd0c"


def test_a_machine_that_says_nothing_is_still_a_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every field has an answer."""
    empty = Machine(tmp_path_factory.mktemp("empty"))
    host = identity.host_of(empty.proc_root, empty.sysfs_root)
    assert host.name
    assert host.cpu
    assert host.logical_cpus >= 1
    assert host.memory_bytes == 0
    assert identity.boot_id(empty.proc_root).startswith("boot-")
    assert id_of(empty).startswith("m-")


@pytest.mark.parametrize(
    ("present", "cpus"), [("0", 1), ("0-7", 8), ("0-3,8,10-11", 7), ("", 2), ("x", 2), ("3-1", 2), ("0-", 1)]
)
def test_cpus_are_counted_as_built_in(machine: Recorded, present: str, cpus: int) -> None:
    """One taken offline makes no other machine; without the list, those of /proc/stat."""
    board = machine("arm_board")
    board.write("sys/devices/system/cpu/present", present)
    assert identity.logical_cpus(board.proc_root, board.sysfs_root) == cpus


def test_the_boot_is_the_kernels(machine: Recorded) -> None:
    """All containers of a host share it."""
    assert identity.boot_id(machine("laptop").proc_root) == "22222222-2222-4333-8444-555555555555"


def test_a_boot_without_an_id_is_known_by_its_start(machine: Recorded) -> None:
    """The same again, and another after the next start."""
    laptop = machine("laptop")
    laptop.remove("proc/sys/kernel/random/boot_id")
    first = identity.boot_id(laptop.proc_root)
    assert first == identity.boot_id(laptop.proc_root)
    laptop.write("proc/stat", "cpu  1 1 1 1 1 1 1 1\nbtime 1795009999\n")
    assert identity.boot_id(laptop.proc_root) != first


def test_a_name_that_was_given_is_the_machine(machine: Recorded) -> None:
    """Cleaned of what facts do not allow."""
    assert id_of(machine("laptop"), " gpu\tnode\n7 ") == "gpu node 7"
    assert id_of(machine("laptop"), "\n") == id_of(machine("laptop"))


def test_a_machine_is_a_hash_and_tells_nothing(machine: Recorded) -> None:
    """Neither machine-id nor host name nor serial number can be read from it, and it is always the same."""
    laptop = machine("laptop")
    name = id_of(laptop)
    assert name == id_of(laptop)
    assert len(name) == len("m-") + 32
    assert not any(part in name for part in ("b3b3", "thinkpad", "4c4c4544"))


def test_root_and_a_user_name_a_machine_alike(machine: Recorded) -> None:
    """What root alone may read is not taken: an agent of root and a job of a user stand on one machine."""
    laptop = machine("laptop")
    as_root = id_of(laptop)
    with as_nobody():
        assert id_of(laptop) == as_root


@pytest.mark.parametrize("path", ["sys/hypervisor/uuid", "sys/class/dmi/id/board_asset_tag", "etc/machine-id"])
def test_clones_of_an_image_are_told_apart(machine: Recorded, path: str) -> None:
    """By what the hypervisor or the cloud says to everybody."""
    guest = machine("virtual_machine")
    first = id_of(guest)
    guest.write(path, "ffffffff-9999-4333-8444-555555555555\n")
    assert id_of(guest) != first


def test_a_hardware_id_that_everybody_may_read_is_taken(machine: Recorded) -> None:
    """Some systems open it."""
    laptop = machine("laptop")
    first = id_of(laptop)
    (laptop.folder / "sys/class/dmi/id/product_uuid").chmod(0o444)
    assert id_of(laptop) != first


@pytest.mark.parametrize("content", ["", "uninitialized\n", "0" * 32])
def test_without_a_machine_id_the_name_of_the_host_stands_in(machine: Recorded, content: str) -> None:
    """As in many containers."""
    laptop = machine("laptop")
    laptop.write("etc/machine-id", content)
    first = id_of(laptop)
    laptop.write("proc/sys/kernel/hostname", "other\n")
    assert id_of(laptop) != first


def test_a_device_tree_serial_number_ends_with_a_zero_byte(machine: Recorded) -> None:
    """It is the same number with and without."""
    board = machine("arm_board")
    first = id_of(board)
    board.write("proc/device-tree/serial-number", b"10000000deadbeef\0")
    assert id_of(board) == first
    board.write("proc/device-tree/serial-number", b"10000000deadbee0\0")
    assert id_of(board) != first


@given(st.text(max_size=400))
def test_a_clean_text_is_one_a_fact_allows(text: str) -> None:
    """Printable, one line, at most 200 characters; cleaning twice changes nothing."""
    cleaned = identity.clean(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= 200
    assert identity.clean(cleaned) == cleaned


def test_a_long_text_is_cut_between_words_without_a_space_at_its_end() -> None:
    """As a fact allows it."""
    assert identity.clean("a" * 199 + " b") == "a" * 199


@given(st.text())
def test_the_digest_is_sha256(text: str) -> None:
    """Whichever module computes it."""
    data = text.encode("utf-8", "surrogatepass")
    assert identity.digest(data.decode("utf-8")) == hashlib.sha256(data).hexdigest()
