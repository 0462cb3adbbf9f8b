"""AMD GPUs: energy or power, errors by their reason, and who was there."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.machines import Machine

from joulebook_collectors.meters.amd import STILL_READS, AmdGpuMeter, find_amd_gpus
from joulebook_collectors.meters.diagnosis import diagnose
from joulebook_collectors.meters.find import find_meters
from joulebook_collectors.meters.meter import Absent, CounterValue, DeviceProcesses, Holder, NoData, PowerValue

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, UNKNOWN = 2, 10, 34, 4711


class FakeError(Exception):
    """An error as amdsmi raises it: its number is in `err_code`."""

    def __init__(self, err_code: int) -> None:
        """Take the return code."""
        super().__init__(err_code)
        self.err_code = err_code


class FakeAmdSmi:
    """A stand-in for amdsmi, with one handle per UUID; what it answers is in plain attributes."""

    AmdSmiException = FakeError

    def __init__(self, *uuids: str) -> None:
        """Show these GPUs."""
        self.uuids = uuids
        self.started = 0
        self.named: Counter[str] = Counter()
        self.accumulator = 1_000_000
        self.watts: dict[str, Any] = {"average_socket_power": "N/A", "current_socket_power": 140, "socket_power": 140}
        self.processes: list[dict[str, Any]] = []
        self.errors: dict[str, int] = {}

    def amdsmi_init(self) -> None:
        """Start."""
        self._check("amdsmi_init")
        self.started += 1

    def amdsmi_shut_down(self) -> None:
        """End."""
        self.started -= 1

    def amdsmi_get_processor_handles(self) -> list[str]:
        """Return the handles."""
        return [*self.uuids]

    def amdsmi_get_gpu_device_uuid(self, handle: str) -> str:
        """Return the UUID."""
        self._check("amdsmi_get_gpu_device_uuid")
        return handle

    def amdsmi_get_gpu_asic_info(self, handle: str) -> dict[str, str]:
        """Return the model."""
        return {"market_name": f"AMD Instinct of {handle}"}

    def amdsmi_get_gpu_enumeration_info(self, handle: str) -> dict[str, Any]:
        """Return how ROCm calls a board, or the next partition of it."""
        self._check("amdsmi_get_gpu_enumeration_info")
        self.named[handle] += 1
        number = [place for place, uuid in enumerate(self.uuids) if uuid == handle][self.named[handle] - 1]
        return {"drm_card": 0, "hsa_id": 0, "hip_id": number, "hip_uuid": f"GPU-{handle * 16}"[:20]}

    def amdsmi_get_energy_count(self, handle: str) -> dict[str, Any]:
        """Return the counter and its unit in microjoules, a float of 32 bits."""
        self._check(f"amdsmi_get_energy_count {handle}")
        self._check("amdsmi_get_energy_count")
        return {"energy_accumulator": self.accumulator, "counter_resolution": 15.259021759033203, "timestamp": 1}

    def amdsmi_get_power_info(self, handle: str) -> dict[str, Any]:
        """Return power in watts."""
        self._check(f"amdsmi_get_power_info {handle}")
        return self.watts

    def amdsmi_get_power_cap_info(self, handle: str) -> dict[str, int]:
        """Return the limits in microwatts."""
        self._check(f"amdsmi_get_power_cap_info {handle}")
        return {"power_cap": 500_000_000, "max_power_cap": 750_000_000}

    def amdsmi_get_gpu_process_list(self, handle: str) -> list[dict[str, Any]]:
        """Return who holds memory."""
        self._check(f"amdsmi_get_gpu_process_list {handle}")
        return self.processes

    def _check(self, name: str) -> None:
        if name in self.errors:
            raise FakeError(self.errors[name])


def only_gpu(library: FakeAmdSmi) -> AmdGpuMeter:
    """Return the meter of a machine's single GPU."""
    (meter,), absent = find_amd_gpus(library)
    assert absent == []
    return meter


def test_a_gpu_that_counts_answers_microjoules() -> None:
    """The accumulator in its own unit, which is told beside; whole numbers, so that it never runs back."""
    library = FakeAmdSmi("a")
    meter = only_gpu(library)
    assert meter.read() == CounterValue(15_259_000, 1_000_000, 0)
    library.accumulator += 1_000
    assert meter.read() == CounterValue(15_274_259, 1_000_000, 0)
    assert meter.description.method == "counter"


def test_a_gpu_is_described_by_what_does_not_change() -> None:
    """Its own UUID, its model, and the greatest limit an operator could set."""
    description = only_gpu(FakeAmdSmi("a")).description
    assert (description.device, description.domain, description.component) == ("a", "gpu", "gpu")
    assert (description.label, description.max_power_mw) == ("AMD Instinct of a", 750_000)


@pytest.mark.parametrize("errors", [{"amdsmi_get_energy_count": NOT_SUPPORTED}, {}])
def test_a_gpu_without_a_counter_answers_power(errors: dict[str, int]) -> None:
    """Also where it stands at 0, as in guests."""
    library = FakeAmdSmi("a")
    library.errors = errors
    library.accumulator = 0
    meter = only_gpu(library)
    assert (meter.read(), meter.description.method) == (PowerValue(140_000), "sensor")
    library.watts["average_socket_power"] = 120
    assert meter.read() == PowerValue(120_000)
    library.watts.clear()
    assert meter.read() == NoData("not_supported")


def test_a_counter_that_stands_still_counts_nothing() -> None:
    """It is not 0 joules but no answer, until it moves again."""
    library = FakeAmdSmi("a")
    meter = only_gpu(library)
    answers = [meter.read() for _ in range(STILL_READS + 2)]
    assert answers[STILL_READS - 1] == CounterValue(15_259_000, 1_000_000, 0)
    assert answers[-1] == NoData("read_failed")
    library.accumulator += 1
    assert meter.read() == CounterValue(15_259_015, 1_000_000, 0)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(NO_PERMISSION, "permission_denied"), (DRIVER_NOT_LOADED, "driver_missing"), (32, "read_failed"), (UNKNOWN, "read_failed")],
)  # fmt: skip
def test_an_error_of_the_driver_is_a_reason(code: int, reason: str) -> None:
    """Never 0 and never an exception; a code that nobody knows is told to whoever asks."""
    library = FakeAmdSmi("a")
    meter = only_gpu(library)
    library.errors["amdsmi_get_energy_count"] = code
    assert meter.read() == NoData(reason)
    assert meter.trouble == ("AMD SMI code 4711" if code == UNKNOWN else "")


def test_a_driver_that_does_not_start_is_absent_with_its_reason() -> None:
    """For doctor to say what to do."""
    library = FakeAmdSmi("a")
    library.errors["amdsmi_init"] = DRIVER_NOT_LOADED
    assert find_amd_gpus(library) == ([], [Absent("AMD SMI", "gpu", "driver_missing")])
    assert find_amd_gpus(FakeAmdSmi()) == ([], [Absent("AMD SMI", "gpu", "not_found")])


def test_partitions_of_one_board_are_one_meter() -> None:
    """They show the same energy; counting each would count it often."""
    meters, absent = find_amd_gpus(FakeAmdSmi("a", "a", "b"))
    assert [(meter.description.device, sorted(meter.rocm_names)) for meter in meters] == [("a", [0, 1]), ("b", [2])]
    assert absent == []


def test_holders_are_named_with_their_memory() -> None:
    """How busy they were is not told; an error is not an empty list."""
    library = FakeAmdSmi("a")
    meter = only_gpu(library)
    assert meter.processes() == DeviceProcesses((), None)
    library.processes = [{"pid": 8, "memory_usage": {"vram_mem": 300}}, {"pid": 7, "memory_usage": {"vram_mem": 500}}]
    assert meter.processes() == DeviceProcesses((Holder(7, 500), Holder(8, 300)), None)
    library.errors["amdsmi_get_gpu_process_list a"] = NO_PERMISSION
    assert meter.processes() == DeviceProcesses(None, None)


def test_the_last_gpu_lets_go_of_the_library() -> None:
    """Once started, once ended."""
    library = FakeAmdSmi("a", "b")
    meters, _ = find_amd_gpus(library)
    meters[0].close()
    meters[0].close()
    assert library.started == 1
    meters[1].close()
    assert library.started == 0
    assert meters[0].read() == NoData("closed")


@pytest.mark.parametrize(
    ("files", "expected"),
    [({}, []), ({"dev/kfd": b""}, [Absent("AMD SMI", "gpu", "library_missing")])],
)
def test_nothing_is_loaded_where_no_driver_is(tmp_path: Path, files: dict[str, bytes], expected: list[Absent]) -> None:
    """No node, no word; a node without the library is told."""
    for path, content in files.items():
        Machine(tmp_path).write(path, content)
    assert find_amd_gpus(root=f"{tmp_path}/") == ([], expected)


def test_a_machine_with_amd_gpus_has_their_meters(machine: Callable[[str], Machine]) -> None:
    """Beside its other meters; the doctor says of what is silent what to do."""
    host, library = machine("virtual_machine"), FakeAmdSmi("a", "b")
    library.errors["amdsmi_get_energy_count b"] = UNKNOWN
    found = find_meters(
        boot="boot", sysfs_root=host.sysfs_root, proc_root=host.proc_root, root=host.root, amd=library, pause=lambda _: None
    )  # fmt: skip
    assert [gpu.description.device for gpu in found.gpus] == ["a", "b"]
    told = {
        finding.detail[:20]: finding
        for finding in diagnose(found, sysfs_root=host.sysfs_root, proc_root=host.proc_root)
    }
    silent = told["AMD Instinct of b, a"]
    assert "AMD SMI code 4711" in silent.why
    assert "amd-smi" in silent.remedy


@pytest.mark.parametrize("reason", ["library_missing", "package_missing", "permission_denied", "not_supported"])
def test_the_doctor_has_a_remedy(machine: Callable[[str], Machine], reason: str) -> None:
    """For each reason one of its own."""
    host = machine("virtual_machine")
    found = find_meters(boot="boot", sysfs_root=host.sysfs_root, proc_root=host.proc_root, root=host.root)
    found.absent = (Absent("AMD SMI", "gpu", reason),)
    (finding,) = [each for each in diagnose(found, proc_root=host.proc_root) if each.component == "gpu"]
    assert (finding.reason, bool(finding.remedy)) == (reason, True)


def test_the_fake_has_the_functions_of_the_package() -> None:
    """Each with as many arguments that must be given; the package is read and not imported, for it needs its library."""
    spec = importlib.util.find_spec("amdsmi")
    if spec is None or spec.origin is None:
        pytest.skip("the extra `amd` is not installed here")
    tree = ast.parse(Path(spec.origin).with_name("amdsmi_interface.py").read_text(encoding="utf-8"))
    real = {
        node.name: len(node.args.args) - len(node.args.defaults)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    functions = [each for each in inspect.getmembers(FakeAmdSmi, inspect.isfunction) if each[0].startswith("amdsmi")]
    assert functions
    for name, function in functions:
        assert real[name] == len(inspect.signature(function).parameters) - 1, name
