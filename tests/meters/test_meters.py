"""Which meters a machine has: each joule by one of them, and what is said of the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import fake_nvml
from helpers.fake_nvml import FakeGpu, FakeNvml
from helpers.machines import POWERCAP, Machine, as_nobody

from joulebook_collectors.meters.diagnosis import RAPL_REMEDY, Finding, diagnose
from joulebook_collectors.meters.find import FoundMeters, find_meters
from joulebook_collectors.meters.meter import Absent, CounterValue, NoData
from joulebook_collectors.meters.node_source import configured_node
from joulebook_collectors.meters.remedies import INTEL_REMEDY, words_of
from joulebook_ledger.core.records import Meter as MeterRecord

Recorded = Callable[[str], Machine]


def found_on(machine: Machine, *gpus: FakeGpu, pause: Callable[[float], object] = lambda _: None) -> FoundMeters:
    """Return the meters of a recorded machine, with these GPUs in it."""
    return find_meters(
        boot="boot",
        sysfs_root=machine.sysfs_root,
        proc_root=machine.proc_root,
        root=machine.root,
        library=FakeNvml(*gpus) if gpus else None,
        pause=pause,
    )


def domains(found: FoundMeters) -> list[str]:
    """Return the domains that count."""
    return [meter.description.domain for meter in found.meters]


def findings(machine: Machine, found: FoundMeters) -> dict[str, Finding]:
    """Return what doctor would say, by the meter's name."""
    said = diagnose(found, sysfs_root=machine.sysfs_root, proc_root=machine.proc_root)
    return {finding.name: finding for finding in said}


def test_a_server_with_sensors_needs_no_model(machine: Recorded) -> None:
    """Two packages, their dram, a GPU."""
    found = found_on(machine("two_xeons"), FakeGpu())
    assert domains(found) == ["gpu", "package-0", "package-1", "package-0-dram", "package-1-dram"]
    assert [gpu.description.device for gpu in found.gpus] == ["GPU-11111111-aaaa-bbbb-cccc-dddddddddddd"]


def test_a_machine_without_sensors_is_modelled(machine: Recorded) -> None:
    """Processor and memory, by models that say so."""
    found = found_on(machine("virtual_machine"))
    assert domains(found) == ["cpu-model", "dram-model"]
    assert {meter.description.method for meter in found.meters} == {"model"}


def test_a_package_without_dram_has_modelled_memory(machine: Recorded) -> None:
    """As client processors and AMD's do."""
    assert domains(found_on(machine("laptop"))) == ["package-0", "dram-model"]


def test_a_counter_that_is_forbidden_is_stood_in_for(machine: Recorded) -> None:
    """The model counts, never both, and the reason is kept."""
    laptop = machine("laptop")
    with as_nobody():
        found = found_on(laptop)
    assert domains(found) == ["cpu-model", "dram-model"]
    assert Absent("RAPL package-0", "cpu", "permission_denied") in found.absent


def test_one_socket_that_fails_does_not_bring_in_the_model(machine: Recorded) -> None:
    """It would count the other socket twice: the failing one's time is a gap."""
    server = machine("two_xeons")
    server.break_file(f"{POWERCAP}/intel-rapl:1/energy_uj")
    found = found_on(server)
    assert "cpu-model" not in domains(found)
    assert [meter.read() for meter in found.meters if meter.description.domain == "package-1"] == [
        NoData("read_failed")
    ]


def test_a_mirrored_die_counts_once(machine: Recorded) -> None:
    """Found with the other meters too."""
    tower = machine("threadripper")
    assert domains(found_on(tower)) == ["package-0-die-0", "dram-model"]


def test_memory_of_unknown_size_is_not_modelled(machine: Recorded) -> None:
    """Nothing is guessed."""
    guest = machine("virtual_machine")
    guest.remove("proc/meminfo")
    found = found_on(guest)
    assert domains(found) == ["cpu-model"]
    assert Absent("memory", "dram", "not_found") in found.absent


@pytest.mark.parametrize("name", ["two_xeons", "laptop", "threadripper", "two_dies", "virtual_machine", "arm_board"])
def test_every_meter_is_one_the_books_take(machine: Recorded, name: str) -> None:
    """Its description makes a record, two looks make the same, and every reading is a counter."""
    recorded = machine(name)
    found = found_on(recorded, FakeGpu())
    described = [meter.description for meter in found.meters]
    keys = {record_of(description) for description in (*described, found.time)}
    assert len(keys) == len(described) + 1
    assert described == [meter.description for meter in found_on(recorded, FakeGpu()).meters]
    assert all(isinstance(meter.read(), CounterValue) for meter in found.meters)
    assert all(description.max_power_mw > 0 for description in described)


def record_of(description: object) -> str:
    """Return the id of the record a description makes."""
    names = ("device", "domain", "component", "boundary", "role", "max_power_mw", "label")
    return MeterRecord(**{name: getattr(description, name) for name in names}).key


def test_the_time_of_a_machine_belongs_to_its_boot(machine: Recorded) -> None:
    """It draws nothing."""
    time = found_on(machine("laptop")).time
    assert (time.device, time.domain, time.component, time.max_power_mw) == ("boot", "time", "time", 0)


def test_closing_closes_all(machine: Recorded) -> None:
    """Afterwards every meter says so."""
    found = found_on(machine("two_xeons"), FakeGpu())
    found.close()
    assert {meter.read() for meter in found.meters} == {NoData("closed")}


def test_doctor_gives_the_rule_that_opens_the_counter(machine: Recorded) -> None:
    """Ready to copy."""
    laptop = machine("laptop")
    with as_nobody():
        said = findings(laptop, found_on(laptop))
    assert said["RAPL package-0"].remedy == RAPL_REMEDY
    assert 'KERNEL=="intel-rapl:*"' in RAPL_REMEDY
    assert not said["RAPL package-0"].is_present


def test_doctor_shows_what_counts_and_what_it_shows(machine: Recorded) -> None:
    """Label, greatest power, the reading of now."""
    server = machine("two_xeons")
    said = findings(server, found_on(server, FakeGpu()))
    assert said["gpu gpu"] == Finding(
        name="gpu gpu",
        component="gpu",
        is_present=True,
        method="counter",
        detail="NVIDIA H200, at most 700 W; counter at 123,456.789 J",
    )
    assert said["RAPL intel-rapl:2 psys"].reason == "covered_by_another"


def test_doctor_says_what_a_model_is_worth(machine: Recorded) -> None:
    """And how to a better one, where there is a way: not in a virtual machine."""
    laptop = machine("laptop")
    with as_nobody():
        model = findings(laptop, found_on(laptop))["cpu cpu-model"]
    assert "± 35 %" in model.why
    assert "joulebook[codecarbon]" in model.remedy


def test_doctor_knows_nothing_better_for_a_virtual_machine(machine: Recorded) -> None:
    """A guest has no counters and no TDP of its own."""
    guest = machine("virtual_machine")
    said = findings(guest, found_on(guest))
    assert not said["cpu cpu-model"].remedy
    assert "virtual machine" in said["RAPL"].why


def test_doctor_tells_a_missing_driver_from_a_missing_card(machine: Recorded) -> None:
    """A card on the bus wants a driver; no card wants nothing."""
    server = machine("two_xeons")
    assert not findings(server, found_on(server))["NVML"].remedy
    server.write("sys/bus/pci/devices/0000:3b:00.0/vendor", "0x10de\n")
    server.write("sys/bus/pci/devices/0000:3b:00.0/class", "0x030200\n")
    assert "nvidia-smi" in findings(server, found_on(server))["NVML"].remedy


def test_doctor_says_that_a_gpu_is_lost(machine: Recorded) -> None:
    """It is there, so its time is a gap, and there is something to do."""
    server = machine("two_xeons")
    gpu = FakeGpu()
    found = found_on(server, gpu)
    gpu.errors["nvmlDeviceGetTotalEnergyConsumption"] = fake_nvml.GPU_IS_LOST
    said = findings(server, found)["gpu gpu"]
    assert (said.is_present, said.reason) == (True, "device_lost")
    assert "--gpu-reset" in said.remedy


def test_doctor_says_where_pids_are_hidden(machine: Recorded) -> None:
    """A container of its own pid namespace cannot tell who used a GPU."""
    server = machine("two_xeons")
    assert findings(server, found_on(server, FakeGpu()))["processes of GPUs"].reason == "other_pid_namespace"
    assert "processes of GPUs" not in findings(server, found_on(server))


@pytest.mark.parametrize("code", [0, 1, 3, 4, 6, 9, 12, 13, 15, 18, 999])
def test_every_reason_of_a_driver_has_words(machine: Recorded, code: int) -> None:
    """A sentence for each, whatever the driver says."""
    server = machine("two_xeons")
    found = find_meters(
        boot="b",
        sysfs_root=server.sysfs_root,
        proc_root=server.proc_root,
        root=server.root,
        library=FakeNvml(FakeGpu(), errors={"nvmlInit": code}),
    )
    assert findings(server, found)["NVML"].why


HEAVY = [
    "asyncio",
    "codecarbon",
    "collections",
    "ctypes",
    "dataclasses",
    "enum",
    "hashlib",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "multiprocessing",
    "numpy",
    "pathlib",
    "psutil",
    "pynvml",
    "re",
    "socket",
    "sqlite3",
    "sqlalchemy",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
    "uuid",
]
LIGHT = [
    "meters.hwmon",
    "host.identity",
    "meters.meter",
    "meters.find",
    "meters.modelled",
    "meters.nvml",
    "meters.nvml_library",
    "host.portable",
    "host.processes",
    "meters.rapl",
    "meters.sysfs",
    "meters.visibility",
]


def test_measuring_loads_nothing_heavy(machine: Recorded, tmp_path: Path) -> None:
    """In a fresh process: importing all meters, finding those of a machine and reading them."""
    server = machine("two_xeons")
    program = tmp_path / "measure.py"
    program.write_text(
        "import sys\n"
        f"import {', '.join(f'joulebook_collectors.{name}' for name in LIGHT)}\n"
        "from joulebook_collectors.host import identity, processes\n"
        "from joulebook_collectors.meters import find\n"
        f"roots = dict(sysfs_root={server.sysfs_root!r}, proc_root={server.proc_root!r})\n"
        "identity.machine_id(**roots)\n"
        f"found = find.find_meters(boot=identity.boot_id(), root={server.root!r}, **roots)\n"
        "[meter.read() for meter in found.meters]\n"
        "processes.processes_below([1])\n"
        "print(len(found.meters), *sys.modules)\n"
    )
    search = [entry for entry in sys.path if entry.endswith(("collectors", "ledger"))]
    ran = subprocess.run(
        [
            sys.executable,
            "-S",
            "-I",
            "-c",
            f"import sys; sys.path[:0] = {search!r}; exec(open({str(program)!r}).read())",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    count, *loaded = ran.stdout.split()
    assert count == "4"
    assert sorted(set(loaded) & set(HEAVY)) == []


COVERED, FORBIDDEN, MIRRORED = "covered_by_another", "permission_denied", "mirrored"
# Machine -> the meters that count, component by component, and what is left out and why.
TABLE: dict[str, tuple[list[str], dict[str, str]]] = {
    "two_xeons": (
        ["cpu package-0", "cpu package-1", "dram package-0-dram", "dram package-1-dram"],
        {"RAPL intel-rapl-mmio:0": COVERED, "RAPL intel-rapl-mmio:1": COVERED, "RAPL intel-rapl:2 psys": COVERED},
    ),
    "two_epycs": (
        ["cpu package-0", "cpu package-1", "dram dram-model"],
        {
            "RAPL intel-rapl:0:0 core": COVERED,
            "RAPL intel-rapl:1:0 core": COVERED,
            "AMD EPYC 7763 64-Core Processor amd_energy Esocket0": COVERED,
            "AMD EPYC 7763 64-Core Processor amd_energy Esocket1": COVERED,
        },
    ),
    "threadripper": (
        ["cpu package-0-die-0", "dram dram-model"],
        {"RAPL intel-rapl:0:0 core": COVERED, "RAPL package-0-die-1": MIRRORED},
    ),
    "laptop": (
        ["cpu package-0", "dram dram-model"],
        {
            "RAPL intel-rapl-mmio:0": COVERED,
            "RAPL intel-rapl:0:0 core": COVERED,
            "RAPL intel-rapl:0:1 uncore": COVERED,
            "RAPL intel-rapl:1 psys": COVERED,
        },
    ),
    "virtual_machine": (["cpu cpu-model", "dram dram-model"], {"RAPL": "not_found"}),
    "arm_board": (["cpu cpu-model", "dram dram-model"], {"RAPL": "not_found"}),
    "jetson_orin": (
        ["cpu rail-VDD_CPU_CV", "gpu rail-VDD_GPU_SOC", "node_rest rail-VIN_SYS_5V0"],
        {"rail VDDQ_VDD2_1V8AO": COVERED, "RAPL": "not_found", "model of memory": COVERED},
    ),
    "jetson_orin_nano": (
        ["cpu rail-VDD_CPU_GPU_CV", "node_rest rest-of-VDD_IN"],
        {"rail VDD_SOC": COVERED, "RAPL": "not_found", "model of memory": COVERED},
    ),
    "intel_gpus": (
        ["cpu package-0", "dram dram-model", "gpu gpu", "gpu gpu"],
        {
            "Intel GPU 0000:03:00.0 pkg": COVERED,
            "Intel GPU i915_gt0": COVERED,
            "RAPL intel-rapl:0:0 core": COVERED,
            "RAPL intel-rapl:0:1 uncore": COVERED,
        },
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_joule_of_a_machine_is_under_one_meter(machine: Recorded, name: str) -> None:
    """What counts, what is left out, and why; NVML is left out everywhere, for no driver is there."""
    found = found_on(machine(name))
    counted = sorted(f"{meter.description.component} {meter.description.domain}" for meter in found.meters)
    left_out = {missing.name: missing.reason for missing in found.absent}
    assert left_out.pop("NVML") == "driver_missing"
    assert (counted, left_out) == TABLE[name]
    keys = [(meter.description.device, meter.description.domain) for meter in found.meters]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", TABLE)
def test_doctor_explains_all_that_is_left_out(machine: Recorded, name: str) -> None:
    """A sentence for each."""
    recorded = machine(name)
    assert all(finding.why for finding in findings(recorded, found_on(recorded)).values() if not finding.is_present)


def test_sockets_stand_in_for_packages_that_cannot_be_read(machine: Recorded) -> None:
    """Before a model does, and never beside the packages."""
    server = machine("two_epycs")
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        server.write(f"{POWERCAP}/{zone}/energy_uj", "")
    found = found_on(server)
    assert domains(found) == ["Esocket0", "Esocket1", "dram-model"]
    assert Absent("RAPL package-0", "cpu", "read_failed") in found.absent


def test_a_jetson_counts_its_gpu_by_the_rail(machine: Recorded) -> None:
    """The driver names it too, and shows neither energy nor power."""
    silent = FakeGpu()
    for name in ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetFieldValues"):
        silent.errors[name] = fake_nvml.NOT_SUPPORTED
    found = found_on(machine("jetson_orin"), silent)
    assert [meter.description.component for meter in found.meters] == ["gpu", "cpu", "node_rest"]
    assert Absent("NVML NVIDIA H200", "gpu", COVERED) in found.absent


def test_the_rest_of_a_node_takes_off_all_that_counts(machine: Recorded) -> None:
    """Found only where the agent is told where to ask; closing stops its thread."""
    server = machine("two_xeons")
    server.write("sys/class/hwmon/hwmon0/name", "power_meter\n")
    server.write("sys/class/hwmon/hwmon0/power1_average", "400000000")
    node = configured_node({"source": "acpi"}, sysfs_root=server.sysfs_root)
    found = find_meters(
        boot="boot", sysfs_root=server.sysfs_root, proc_root=server.proc_root, root=server.root, node=node
    )
    assert found.meters[-1].description.domain == "node-rest"
    assert len(found.meters) == 5
    found.close()
    assert found.meters[-1].read() == NoData("closed")


def test_a_mac_counts_its_chip(machine: Recorded) -> None:
    """Processor, GPU, neural engine and memory, and no model beside them."""

    class Chip:
        cpu_total_mj, gpu_mj, ane_mj, dram_mj = 4, 3, 2, 1

        def AppleEnergyMonitor(self) -> Chip:  # noqa: N802 - its name
            return self

        def get_cumulative_energy(self) -> Chip:
            return self

    arm = machine("arm_board")
    found = find_meters(boot="boot", sysfs_root=arm.sysfs_root, proc_root=arm.proc_root, root=arm.root, apple=Chip())
    assert domains(found) == ["apple-gpu", "apple-cpu_total", "apple-dram", "apple-ane"]
    assert [gpu.index for gpu in found.gpus] == [0]


@pytest.mark.parametrize("content", ["", "text\n", "-5\n", "9" * 40])
def test_doctor_knows_what_to_do_about_malformed_files(machine: Recorded, content: str) -> None:
    """A counter that is there and says nonsense: why, and what to look at; the job goes on with a gap or a model."""
    arc = machine("intel_gpus")
    arc.write(f"{POWERCAP}/intel-rapl:0/energy_uj", content)
    arc.write("sys/class/hwmon/hwmon4/energy1_input", content)
    arc.write("sys/class/hwmon/hwmon4/power1_rated_max", content)
    found = found_on(arc)
    assert "cpu-model" in domains(found)
    said = diagnose(found, sysfs_root=arc.sysfs_root, proc_root=arc.proc_root)
    package = next(finding for finding in said if finding.name == "RAPL package-0")
    card = next(finding for finding in said if finding.reason == "read_failed" and finding.component == "gpu")
    assert "no number" in package.why
    assert "energy_uj" in package.remedy
    assert card.is_present
    assert "no number" in card.why
    assert card.remedy


def test_doctor_gives_the_rule_that_opens_a_card(machine: Recorded) -> None:
    """Where the kernel lets root alone read it."""
    arc = machine("intel_gpus")
    arc.write("sys/class/hwmon/hwmon4/energy1_input", "5\n", 0o400)
    with as_nobody():
        said = diagnose(found_on(arc), sysfs_root=arc.sysfs_root, proc_root=arc.proc_root)
    assert [finding.remedy for finding in said if finding.reason == "permission_denied"] == [INTEL_REMEDY]


REASONS = [
    "permission_denied", "not_supported", "not_found", "device_lost", "library_missing", "package_missing", "read_failed", "closed",
    "covered_by_another", "not_asked",
]  # fmt: skip
NAMES = [
    "Intel GPU 0000:03:00.0", "rail SOMETHING", "Jetson rail VDD_IN less its parts", "AMD EPYC amd_energy Esocket0", "IOReport dram_mj",
    "node less its parts, Redfish", "model of memory",
]  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_reason_of_every_meter_has_words(name: str, reason: str) -> None:
    """A sentence that ends, for whatever it answers."""
    words = words_of(name, reason)
    assert words is not None
    assert words[0].endswith(".")


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("node less its parts, IPMI", "package_missing", "apt-get install ipmitool"),
        ("node less its parts, IPMI", "permission_denied", 'KERNEL=="ipmi[0-9]*"'),
        ("node less its parts, IPMI", "not_found", "modprobe -a ipmi_si"),
        ("node less its parts, Redfish", "not_supported", "chassis"),
        ("IOReport", "package_missing", "joulebook[apple]"),
        ("AMD EPYC amd_energy Esocket0", "permission_denied", "CAP_DAC_READ_SEARCH"),
    ],
)
def test_a_remedy_is_ready_to_copy(name: str, reason: str, remedy: str) -> None:
    """Package, rule, module, capability."""
    words = words_of(name, reason)
    assert words is not None
    assert remedy in words[1]
