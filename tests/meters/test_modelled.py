"""The models of processor and memory, and where their figures come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.machines import Machine
from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.host.identity import Host, host_of
from joulebook_collectors.meters import tdp
from joulebook_collectors.meters.meter import CounterValue, NoData
from joulebook_collectors.meters.modelled import ModelledMemory, ModelledProcessor, monotonic_ms, tdp_of

Recorded = Callable[[str], Machine]
TABLE = "Name,TDP\nIntel Xeon Gold 6148,150\nAMD EPYC 7763,280.0\nAMD EPYC 1,50\nAMD EPYC 1,60\nNonsense,\nFree,0\n"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        """Begin at the boot."""
        self.now_ms = 0

    def __call__(self) -> int:
        """Return the time since the boot."""
        return self.now_ms


def a_host(*, cpu: str = "Some CPU", logical_cpus: int = 4, is_virtual: bool = False) -> Host:
    """Return a host with 16 GB of memory."""
    return Host(name="h", cpu=cpu, logical_cpus=logical_cpus, memory_bytes=16 << 30, is_virtual=is_virtual)


def energy_uj(proc: Machine, clock: Clock, *, busy_ticks: int, after_ms: int) -> int:
    """Return what the model counts while `busy_ticks` of all four cpus pass in a time."""
    proc.write("proc/stat", "cpu  0 0 0 0 0 0 0 0\n")
    meter = ModelledProcessor(device="b", host=a_host(), proc_root=proc.proc_root, clock_ms=clock)
    first = meter.read()
    clock.now_ms += after_ms
    proc.write("proc/stat", f"cpu  {busy_ticks} 0 0 0 0 0 0 0\n")
    last = meter.read()
    assert isinstance(first, CounterValue)
    assert isinstance(last, CounterValue)
    return last.value - first.value


@pytest.mark.parametrize(
    ("busy_percent", "power_mw"), [(0, 1_800), (50, 8_550), (100, 15_300)], ids=["idle", "half", "full"]
)
def test_power_is_a_straight_line_from_idle_to_full(tmp_path: Path, busy_percent: int, power_mw: int) -> None:
    """Of 15 W for four cpus: 12 % idle, 57 % half busy, 102 % fully busy, for one minute."""
    busy_ticks = 4 * 6_000 * busy_percent // 100
    assert energy_uj(Machine(tmp_path), Clock(), busy_ticks=busy_ticks, after_ms=60_000) == power_mw * 60_000


def test_two_readers_of_one_boot_go_on_from_each_other(machine: Recorded) -> None:
    """The counter is the boot's, not the reader's."""
    guest = machine("virtual_machine")
    host = host_of(guest.proc_root, guest.sysfs_root)
    clock = Clock()
    clock.now_ms = 1_000_000
    values = [
        ModelledProcessor(device="b", host=host, proc_root=guest.proc_root, clock_ms=clock).read() for _ in range(2)
    ]
    assert values[0] == values[1]
    assert ModelledProcessor(device="b", host=host, proc_root=guest.proc_root).read() != NoData("read_failed")


def test_a_processor_without_a_known_tdp_says_so(machine: Recorded) -> None:
    """3.75 W for each logical cpu, and the label tells."""
    guest = machine("virtual_machine")
    description = ModelledProcessor(
        device="b", host=host_of(guest.proc_root, guest.sysfs_root), proc_root=guest.proc_root
    ).description
    assert description.label == "AMD EPYC 7763 64-Core Processor, 4 cpus, default TDP"
    assert (description.max_power_mw, description.static_power_mw) == (15_300, 1_800)
    assert (description.component, description.domain, description.method) == ("cpu", "cpu-model", "model")


def test_busy_time_that_cannot_be_read_is_no_data(tmp_path: Path) -> None:
    """The idle part alone would be a guess."""
    assert ModelledProcessor(device="b", host=a_host(), proc_root=str(tmp_path)).read() == NoData("read_failed")


def test_memory_draws_by_its_size() -> None:
    """0.392 W for each of 16 GB, for an hour."""
    clock = Clock()
    meter = ModelledMemory(device="b", host=a_host(), clock_ms=clock)
    clock.now_ms = 3_600_000
    assert meter.read() == CounterValue(16 * 392 * 3_600_000, 1_000_000, 0)
    assert (meter.description.max_power_mw, meter.description.static_power_mw) == (6_272, 6_272)


@given(st.integers(1, (1 << 30) - 1))
def test_a_begun_gigabyte_of_memory_counts_in_full(missing_bytes: int) -> None:
    """What the kernel keeps for itself makes no other meter."""
    host = Host(name="h", cpu="c", logical_cpus=1, memory_bytes=(16 << 30) - missing_bytes, is_virtual=False)
    whole = ModelledMemory(device="b", host=a_host()).description
    assert ModelledMemory(device="b", host=host).description == whole


def test_closed_models_say_so(tmp_path: Path) -> None:
    """As every meter does."""
    for meter in (ModelledProcessor(device="b", host=a_host()), ModelledMemory(device="b", host=a_host())):
        meter.close()
        assert meter.read() == NoData("closed")


def test_the_clock_goes_on() -> None:
    """It is the machine's, in milliseconds."""
    first = monotonic_ms()
    assert 0 < first <= monotonic_ms()


def cache_with(folder: Path, *lines: str) -> str:
    """Return a cache file that holds these lines."""
    path = folder / "tdp"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_cached_tdp_is_taken_for_this_very_processor(tmp_path: Path) -> None:
    """Same name and number of logical cpus; a home shared by hosts keeps a line for each."""
    cache = cache_with(tmp_path, "Other CPU\t4\t9000\ttable", "Some CPU\t8\t9000\ttable", "Some CPU\t4\t95000\ttable")
    assert tdp_of(a_host(), cache) == (95_000, "TDP 95 W by table")


@pytest.mark.parametrize(
    "line", ["", "Some CPU\t4\t\tx", "Some CPU\t4\t0\tx", "Some CPU\t4\t-5\tx", "Some CPU\t4\t5", "Some CPU\t4\t9e9\tx"]
)
def test_a_spoilt_cache_is_no_cache(tmp_path: Path, line: str) -> None:
    """The default holds, and says so."""
    assert tdp_of(a_host(), cache_with(tmp_path, line)) == (15_000, "default TDP")
    assert tdp_of(a_host(), str(tmp_path / "none")) == (15_000, "default TDP")


def test_a_virtual_machine_never_takes_the_tdp_of_its_host(tmp_path: Path) -> None:
    """280 W for two of 128 cpus would be a hundredfold too much."""
    cache = cache_with(tmp_path, "Some CPU\t4\t280000\ttable")
    assert tdp_of(a_host(is_virtual=True), cache) == (15_000, "default TDP")
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    found = tdp.look_up(a_host(cpu="AMD EPYC 7763", is_virtual=True), table=str(table))
    assert found == tdp.TdpFound(None, "", "virtual_machine")


@pytest.mark.parametrize(
    ("cpu", "tdp_mw", "reason"),
    [
        ("AMD EPYC 7763 64-Core Processor", 280_000, ""),
        ("amd epyc 7763", 280_000, ""),
        ("AMD EPYC", None, "processor_unknown"),
        ("AMD EPYC 77", None, "processor_unknown"),
        ("AMD EPYC 1", None, "processor_unknown"),
        ("Nonsense", None, "processor_unknown"),
        ("Free", None, "processor_unknown"),
        ("", None, "processor_unknown"),
    ],
)
def test_a_name_is_looked_up_as_it_is(tmp_path: Path, cpu: str, tdp_mw: int | None, reason: str) -> None:
    """Marks and core counts aside, nothing is matched by likeness, and lines that disagree are left out."""
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    found = tdp.look_up(a_host(cpu=cpu), sysfs_root=str(tmp_path), table=str(table))
    assert (found.tdp_mw, found.reason) == (tdp_mw, reason)


def test_what_was_looked_up_is_found_again_by_the_model(machine: Recorded, tmp_path: Path) -> None:
    """Two sockets of 150 W; looking twice keeps one line; other machines' lines stay."""
    server = machine("two_xeons")
    host = host_of(server.proc_root, server.sysfs_root)
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    cache = cache_with(tmp_path, "Other CPU\t4\t9000\ttable")
    for _ in range(2):
        tdp.refresh_tdp_cache(cache, host, sysfs_root=server.sysfs_root, table=str(table))
    assert tdp_of(host, cache) == (300_000, "TDP 300 W by table.csv")
    assert Path(cache).read_text().splitlines()[0] == "Other CPU\t4\t9000\ttable"
    assert len(Path(cache).read_text().splitlines()) == 2


def test_nothing_is_kept_where_nothing_was_found(tmp_path: Path) -> None:
    """Not even an empty file."""
    cache = tmp_path / "folder" / "tdp"
    found = tdp.refresh_tdp_cache(str(cache), a_host(), table=str(tmp_path / "none.csv"))
    assert found.reason == "table_missing"
    assert not cache.parent.exists()


def test_the_table_of_codecarbon_knows_its_processors() -> None:
    """Its file is read, and the package is not imported."""
    pytest.importorskip("codecarbon")
    found = tdp.look_up(a_host(cpu="Intel(R) Xeon(R) Platinum 8480+"))
    assert found.tdp_mw == 350_000 * tdp.packages()
    assert found.source.startswith("codecarbon 3.")
