"""NVIDIA GPUs: energy or power, errors by their reason, and who was there."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest
from helpers import fake_nvml
from helpers.fake_nvml import FakeGpu, FakeNvml
from helpers.machines import Machine

from joulebook_collectors.meters.meter import Absent, CounterValue, DeviceProcesses, Holder, NoData, PowerValue
from joulebook_collectors.meters.nvml import GpuMeter, find_gpus
from joulebook_collectors.meters.nvml_library import why_no_driver
from joulebook_ledger.core.attribution import FINE

ENERGY = "nvmlDeviceGetTotalEnergyConsumption"
POWER = "nvmlDeviceGetPowerUsage"
UTILISATION = "nvmlDeviceGetProcessUtilization"
NO_COUNTER = {ENERGY: fake_nvml.NOT_SUPPORTED}
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "counters_and_sampling.json"


def only_gpu(gpu: FakeGpu) -> GpuMeter:
    """Return the meter of a machine's single GPU."""
    (meter,), absent = find_gpus(FakeNvml(gpu))
    assert absent == []
    return meter


def test_a_gpu_that_counts_answers_millijoules() -> None:
    """Its counter never wraps: a smaller value is a reload of the driver."""
    meter = only_gpu(FakeGpu(energy_mj=123_456_789))
    assert meter.read() == CounterValue(123_456_789, 1_000, 0)
    assert meter.description.method == "counter"


def test_a_gpu_is_described_by_what_does_not_change() -> None:
    """Its own UUID, its model, and the greatest limit an operator could set, not the one in force."""
    description = only_gpu(FakeGpu(uuid="GPU-1", name="NVIDIA H200", limit_mw=700_000)).description
    assert (description.device, description.domain, description.component) == ("GPU-1", "gpu", "gpu")
    assert (description.label, description.max_power_mw, description.boundary) == ("NVIDIA H200", 700_000, "device")


def test_bytes_of_older_versions_are_texts() -> None:
    """Pynvml before version 11.5 answers bytes."""
    description = only_gpu(FakeGpu(uuid=b"GPU-1", name=b"Tesla V100")).description
    assert (description.device, description.label) == ("GPU-1", "Tesla V100")


@pytest.mark.parametrize(
    ("errors", "limit_mw", "expected"),
    [
        ({"nvmlDeviceGetPowerManagementLimitConstraints": fake_nvml.NOT_SUPPORTED}, 700_000, 350_000),
        ({}, fake_nvml.NOT_AVAILABLE_32, 2_000_000),
        (
            {
                "nvmlDeviceGetPowerManagementLimitConstraints": fake_nvml.UNKNOWN,
                "nvmlDeviceGetEnforcedPowerLimit": fake_nvml.NOT_SUPPORTED,
            },
            700_000,
            2_000_000,
        ),
    ],
)
def test_a_gpu_without_a_greatest_limit_has_a_bound(errors: dict[str, int], limit_mw: int, expected: int) -> None:
    """The limit in force, else more than any board draws."""
    gpu = FakeGpu(errors=errors, limit_mw=limit_mw)
    if limit_mw == fake_nvml.NOT_AVAILABLE_32:
        gpu.errors["nvmlDeviceGetEnforcedPowerLimit"] = fake_nvml.NOT_SUPPORTED
    assert only_gpu(gpu).description.max_power_mw == expected


@pytest.mark.parametrize(
    ("fields_mw", "expected"),
    [
        ({fake_nvml.POWER_AVERAGE: 81_000, fake_nvml.POWER_INSTANT: 95_000}, 81_000),
        ({fake_nvml.POWER_INSTANT: 95_000}, 95_000),
        ({fake_nvml.POWER_AVERAGE: 0}, 90_000),
        ({fake_nvml.POWER_AVERAGE: fake_nvml.NOT_AVAILABLE_32}, 90_000),
        ({}, 90_000),
    ],
)
def test_a_gpu_without_a_counter_answers_power(fields_mw: dict[int, int], expected: int) -> None:
    """The average where it is offered, else the moment, else the old call."""
    meter = only_gpu(FakeGpu(fields_mw=fields_mw, power_mw=90_000, errors=dict(NO_COUNTER)))
    assert meter.read() == PowerValue(expected)
    assert meter.description.method == "sensor"


def test_a_counter_that_shows_nothing_is_no_counter() -> None:
    """A board draws power: 0 millijoules since the driver was loaded means that nobody counts."""
    assert only_gpu(FakeGpu(energy_mj=0)).read() == PowerValue(90_000)


def test_a_counter_that_fails_at_first_is_still_a_counter() -> None:
    """A passing error must not turn it into a power sensor, which would be another meter."""
    gpu = FakeGpu(errors={ENERGY: fake_nvml.UNKNOWN})
    meter = only_gpu(gpu)
    assert meter.read() == NoData("read_failed")
    gpu.errors.clear()
    assert meter.read() == CounterValue(123_456_789, 1_000, 0)


def test_a_gpu_that_shows_neither_energy_nor_power_is_there_and_says_so() -> None:
    """Its time is a gap; it is not left out."""
    meter = only_gpu(FakeGpu(errors={**NO_COUNTER, POWER: fake_nvml.NOT_SUPPORTED}))
    assert meter.read() == NoData("not_supported")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (fake_nvml.NOT_SUPPORTED, "not_supported"),
        (fake_nvml.NO_PERMISSION, "permission_denied"),
        (fake_nvml.GPU_IS_LOST, "device_lost"),
        (16, "device_lost"),
        (28, "device_lost"),
        (fake_nvml.UNKNOWN, "read_failed"),
        (10, "read_failed"),
        (4711, "read_failed"),
    ],
)
def test_an_error_of_the_driver_is_a_reason(code: int, reason: str) -> None:
    """Never 0 and never an exception."""
    gpu = FakeGpu()
    meter = only_gpu(gpu)
    gpu.errors[ENERGY] = code
    assert meter.read() == NoData(reason)


def test_a_number_that_means_no_value_is_no_data() -> None:
    """DCGM's and NVML's highest numbers are marks, not millijoules."""
    cases = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
    sentinel = next(case["inputs"]["value"] for case in cases if case["id"] == "dcgm_sentinel")
    gpu = FakeGpu()
    meter = only_gpu(gpu)
    for value in (sentinel, 0x7FFFFFFFFFFFFFF0, fake_nvml.NOT_AVAILABLE_64):
        gpu.energy_mj = value
        assert meter.read() == NoData("not_supported")


def test_power_that_means_no_value_is_no_data() -> None:
    """The same in 32 bits."""
    gpu = FakeGpu(errors=dict(NO_COUNTER))
    meter = only_gpu(gpu)
    for value in (0x7FFFFFF0, fake_nvml.NOT_AVAILABLE_32):
        gpu.power_mw = value
        assert meter.read() == NoData("not_supported")


def test_nvml_shut_down_by_the_job_is_started_again() -> None:
    """A job that uses NVML itself may end it once too often."""
    library = FakeNvml(FakeGpu())
    (meter,), _ = find_gpus(library)
    library.nvmlShutdown()
    assert meter.read() == CounterValue(123_456_789, 1_000, 0)


def test_nvml_that_cannot_be_started_again_is_a_failed_read() -> None:
    """The inner name of the error never reaches the books."""
    library = FakeNvml(FakeGpu())
    (meter,), _ = find_gpus(library)
    library.nvmlShutdown()
    library.errors["nvmlInit"] = fake_nvml.UNKNOWN
    assert meter.read() == NoData("read_failed")


def test_the_last_gpu_lets_go_of_nvml() -> None:
    """Once started, once ended, however often a meter is closed."""
    library = FakeNvml(FakeGpu(uuid="GPU-1"), FakeGpu(uuid="GPU-2"))
    meters, _ = find_gpus(library)
    meters[0].close()
    meters[0].close()
    assert library.started == 1
    meters[1].close()
    assert library.started == 0
    assert [meter.read() for meter in meters] == [NoData("closed")] * 2
    assert meters[0].processes() == DeviceProcesses(None, None)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ({"nvmlInit": fake_nvml.DRIVER_NOT_LOADED}, "driver_missing"),
        ({"nvmlInit": 12}, "library_missing"),
        ({"nvmlInit": fake_nvml.VERSION_MISMATCH}, "driver_mismatch"),
        ({"nvmlDeviceGetCount": fake_nvml.UNKNOWN}, "read_failed"),
    ],
)
def test_a_driver_that_does_not_start_is_absent_with_its_reason(errors: dict[str, int], reason: str) -> None:
    """For doctor to say what to do."""
    detail = f"NVML code {fake_nvml.UNKNOWN}" if reason == "read_failed" else ""
    assert find_gpus(FakeNvml(FakeGpu(), errors=errors)) == ([], [Absent("NVML", "gpu", reason, detail)])


def test_a_gpu_lent_to_somebody_else_is_absent_and_the_others_count() -> None:
    """As under a scheduler that closes devices."""
    closed = FakeGpu(errors={"nvmlDeviceGetHandleByIndex": fake_nvml.NO_PERMISSION})
    meters, absent = find_gpus(FakeNvml(closed, FakeGpu(uuid="GPU-2")))
    assert [(meter.description.device, meter.index) for meter in meters] == [("GPU-2", 1)]
    assert absent == [Absent("GPU 0", "gpu", "permission_denied")]


def test_a_driver_without_gpus_is_let_go_again() -> None:
    """It says that it looked."""
    library = FakeNvml()
    assert find_gpus(library) == ([], [Absent("NVML", "gpu", "not_found")])
    assert library.started == 0


class BrokenLibrary:
    """A library that raises what nobody expects."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        """Return a function that fails."""

        def fail(*arguments: object) -> object:
            raise RuntimeError(name, arguments)

        return fail


def test_a_library_that_raises_anything_is_absent() -> None:
    """The job that is measured never notices."""
    assert find_gpus(BrokenLibrary()) == ([], [Absent("NVML", "gpu", "read_failed")])


def test_a_library_older_than_a_function_does_without_it() -> None:
    """What is missing is not supported."""

    class Old(FakeNvml):
        nvmlDeviceGetTotalEnergyConsumption = property()  # noqa: N815
        nvmlDeviceGetFieldValues = property()  # noqa: N815 - reading it raises AttributeError
        nvmlDeviceGetProcessUtilization = property()  # noqa: N815

    (meter,), _ = find_gpus(Old(FakeGpu()))
    assert meter.read() == PowerValue(90_000)
    assert meter.processes() == DeviceProcesses((), None)


def test_holders_are_named_once_with_their_memory() -> None:
    """A process that computes and draws is listed twice by the driver."""
    gpu = FakeGpu(compute=[(7, 500), (8, None)], graphics=[(7, 500), (9, 30)])
    assert only_gpu(gpu).processes().holders == (Holder(7, 500), Holder(8, None), Holder(9, 30))


def test_memory_that_is_not_available_is_unknown() -> None:
    """NVML marks it with the highest number of 64 bits."""
    gpu = FakeGpu(compute=[(7, fake_nvml.NOT_AVAILABLE_64)])
    assert only_gpu(gpu).processes().holders == (Holder(7, None),)


def test_no_list_of_holders_is_unknown_and_an_empty_one_is_nobody() -> None:
    """`None` and `()` are two answers."""
    assert only_gpu(FakeGpu()).processes().holders == ()
    hidden = FakeGpu(errors={"nvmlDeviceGetComputeRunningProcesses": fake_nvml.NO_PERMISSION}, graphics=[(9, 30)])
    assert only_gpu(hidden).processes().holders is None


def test_the_first_look_does_not_say_who_was_busy() -> None:
    """What the driver remembers lies before it."""
    gpu = FakeGpu(samples=[(7, 1_000, 40)])
    meter = only_gpu(gpu)
    assert meter.processes().busy is None
    assert meter.processes().busy == {}
    gpu.samples += [(7, 2_000, 30), (8, 2_000, 60), (7, 3_000, 10)]
    assert meter.processes().busy == {7: 40, 8: 60}
    assert meter.processes().busy == {}


def test_samples_that_no_device_can_give_are_not_believed() -> None:
    """Drivers have been seen to answer pid 0 and per cents above 100 (nvtop #110, DCGM #83)."""
    gpu = FakeGpu()
    meter = only_gpu(gpu)
    meter.processes()
    gpu.samples = [(0, 2_000, 50), (7, 9_000_000_000, 2_147_483_632), (8, 2_000, 25), (9, 2_000, 0)]
    assert meter.processes().busy == {8: 25}
    gpu.samples = [(8, 3_000, 5)]
    assert meter.processes().busy == {8: 5}


def test_utilisation_that_is_not_supported_is_unknown() -> None:
    """Then memory decides who was there."""
    gpu = FakeGpu(errors={UTILISATION: fake_nvml.NOT_SUPPORTED}, compute=[(7, 500)])
    meter = only_gpu(gpu)
    assert [meter.processes().busy for _ in range(2)] == [None, None]


def test_success_raised_as_an_error_means_nobody() -> None:
    """Pynvml raises NVML_SUCCESS where the list of samples is empty."""
    gpu = FakeGpu(errors={UTILISATION: fake_nvml.SUCCESS})
    meter = only_gpu(gpu)
    meter.processes()
    assert meter.processes().busy == {}


def test_a_divided_gpu_is_one_meter_and_its_parts_name_their_processes() -> None:
    """Power is the board's; MIG instances are where their processes are listed."""
    parts = [
        FakeGpu(uuid="MIG-1", compute=[(7, 500)], slices=3),
        FakeGpu(uuid="MIG-2", compute=[(8, 300), (9, 10)], slices=2),
        FakeGpu(uuid="MIG-3", slices=1),
    ]
    gpu = FakeGpu(parts=parts, errors={UTILISATION: fake_nvml.NOT_SUPPORTED, "nvmlDeviceGetComputeRunningProcesses": 4})
    seen = only_gpu(gpu).processes()
    assert (seen.holders, seen.busy) == ((Holder(7, 500), Holder(8, 300), Holder(9, 10)), None)
    assert seen.slices == {7: 3 * FINE, 8: FINE, 9: FINE}


def test_an_instance_that_does_not_tell_its_slices_counts_as_one() -> None:
    """As under drivers before MIG's attributes; and what the board lists itself is not counted twice."""
    parts = [FakeGpu(uuid="MIG-1", compute=[(7, 500)], slices=0), FakeGpu(uuid="MIG-2", compute=[(7, 300)], slices=0)]
    parts[1].errors["nvmlDeviceGetAttributes"] = fake_nvml.NOT_SUPPORTED
    seen = only_gpu(FakeGpu(parts=parts, compute=[(7, 500)])).processes()
    assert seen.holders == (Holder(7, 500),)
    assert seen.slices == {7: 2 * FINE}


def test_a_device_that_comes_back_is_read_again() -> None:
    """NVML is started anew for it: at the first failed read, then less and less often; the others go on."""
    lost, well = FakeGpu(uuid="GPU-1"), FakeGpu(uuid="GPU-2")
    library = FakeNvml(lost, well)
    meters, _ = find_gpus(library)
    lost.errors["nvmlDeviceGetHandleByUUID"] = lost.errors[ENERGY] = fake_nvml.GPU_IS_LOST
    library.calls.clear()
    for _ in range(100):
        assert meters[0].read() == NoData("device_lost")
        assert meters[1].read() == CounterValue(123_456_789, 1_000, 0)
    assert library.calls.count("nvmlInit") == library.calls.count("nvmlShutdown") == 8
    assert library.started == 1
    lost.errors.clear()
    lost.energy_mj = 5_000
    answers = [meters[0].read() for _ in range(32)]
    assert answers[-1] == CounterValue(5_000, 1_000, 0)


def test_a_device_that_is_pulled_out_is_lost() -> None:
    """After a new start it is not found: its time is a gap with that reason."""
    gpu = FakeGpu(uuid="GPU-1")
    library = FakeNvml(gpu)
    (meter,), _ = find_gpus(library)
    gpu.errors[ENERGY] = fake_nvml.GPU_IS_LOST
    library.gpus = ()
    assert [meter.read() for _ in range(3)] == [NoData("device_lost")] * 3
    assert meter.processes().holders is None


def test_while_the_driver_is_away_its_absence_is_the_reason() -> None:
    """Not the handle that went with it; as soon as the driver is back, the device is read."""
    library = FakeNvml(FakeGpu())
    (meter,), _ = find_gpus(library)
    library.started = 0
    library.errors["nvmlInit"] = fake_nvml.DRIVER_NOT_LOADED
    assert [meter.read() for _ in range(40)] == [NoData("driver_missing")] * 40
    library.errors.clear()
    assert [meter.read() for _ in range(32)][-1] == CounterValue(123_456_789, 1_000, 0)


def test_a_code_that_nobody_knows_is_told_to_whoever_asks() -> None:
    """The books say that it could not be read; the number is for `joulebook doctor`."""
    gpu = FakeGpu()
    meter = only_gpu(gpu)
    assert meter.trouble == ""
    gpu.errors[ENERGY] = 4711
    assert meter.read() == NoData("read_failed")
    assert meter.trouble == "NVML code 4711"


def test_a_gpu_knows_its_parts() -> None:
    """By their UUID, and no others."""
    meters, _ = find_gpus(FakeNvml(FakeGpu(uuid="GPU-1", parts=[FakeGpu(uuid="MIG-1")]), FakeGpu(uuid="GPU-2")))
    assert [meter.contains("MIG-1") for meter in meters] == [True, False]
    assert [meter.contains("MIG-9") for meter in meters] == [False, False]


def test_nothing_is_loaded_where_no_driver_is(machine: Callable[[str], Machine]) -> None:
    """Neither device node: NVML is not touched."""
    server = machine("two_xeons")
    assert find_gpus(root=server.root) == ([], [Absent("NVML", "gpu", "driver_missing")])


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "driver_missing"),
        ({"usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": b""}, "driver_missing"),
        ({"dev/nvidiactl": b""}, "library_missing"),
        ({"dev/nvidiactl": b"", "etc/ld.so.cache": b"\0libcuda.so.1\0/opt/x"}, "library_missing"),
        ({"dev/nvidiactl": b"", "etc/ld.so.cache": b"\0libnvidia-ml.so.1\0/opt/x"}, ""),
        ({"dev/nvidiactl": b"", "usr/lib64/libnvidia-ml.so.1": b""}, ""),
        ({"dev/dxg": b"", "usr/lib/wsl/lib/libnvidia-ml.so.1": b""}, ""),
    ],
)
def test_the_driver_is_found_by_its_node_and_its_library(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    """Without loading anything; Windows' Linux has a node of another name."""
    for path, content in files.items():
        Machine(tmp_path).write(path, content)
    assert why_no_driver(f"{tmp_path}/") == reason


def test_the_fake_has_the_functions_of_the_library() -> None:
    """Each function of the fake exists in pynvml and takes the same arguments."""
    functions = {
        name: function for name, function in inspect.getmembers(FakeNvml, inspect.isfunction) if name.startswith("nvml")
    }
    assert ENERGY in functions
    for name, function in functions.items():
        real = list(inspect.signature(getattr(pynvml, name)).parameters)
        ours = list(inspect.signature(function).parameters)[1:]
        assert len(ours) == len(real), name
    assert pynvml.NVML_FI_DEV_POWER_AVERAGE == fake_nvml.POWER_AVERAGE
    assert pynvml.NVML_FI_DEV_POWER_INSTANT == fake_nvml.POWER_INSTANT
    assert pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST).value == fake_nvml.GPU_IS_LOST
