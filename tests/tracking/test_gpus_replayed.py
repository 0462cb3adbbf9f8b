"""Whole programs on GPUs of a replayed NVML: the real binding, real processes, and devices whose true energy is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.replay import Device, Replay, compiled
from helpers.tracked import Keeper, Place, end_group, ready, wait_until

from joulebook_collectors.spool.segments import decode_frames, segment_names
from joulebook_ledger.core.records import Use, Window

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the replayed library is found as Linux finds one"),
]

ENERGY = "nvmlDeviceGetTotalEnergyConsumption"
GPU_IS_LOST, UNKNOWN_CODE = 15, 4711
JOB = """
    import sys
    sys.stdin.readline()
    import joulebook
    with joulebook.track(model=sys.argv[1]):
        print("ready", flush=True)
        sys.stdin.readline()
    print("over", flush=True)
    sys.stdin.readline()
"""
Starter = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the compiled library."""
    return compiled(tmp_path_factory.mktemp("nvml"))


class Host:
    """A host with replayed GPUs, and jobs on it."""

    def __init__(self, folder: Path, library: Path, *devices: Device) -> None:
        """Have these devices."""
        self.place = Place(folder)
        self.replay = Replay(folder, library, *devices)
        self.jobs: list[subprocess.Popen[str]] = []

    def job(self, model: str, **environment: str) -> subprocess.Popen[str]:
        """Start a job that does not track yet."""
        surroundings = {"JOULEBOOK_SAMPLE_SECONDS": "0.1", **self.replay.environment, **environment}
        self.jobs.append(self.place.start(JOB, model, **surroundings))
        return self.jobs[-1]

    def windows_told(self) -> int:
        """Return how many windows of GPUs stand in the spool."""
        paths = [self.place.boot / name for name in segment_names(str(self.place.boot))]
        frames = [frame for path in paths for frame in decode_frames(path.read_bytes())[0]]
        return sum(item["meter"].startswith("GPU-") for frame in frames for item in frame.get("readings", ()))

    def books(self) -> Keeper:
        """Return what was told of it all, which is sound."""
        keeper = self.place.deliver()
        keeper.assert_sound()
        return keeper


def step(job: subprocess.Popen[str], expected: str) -> None:
    """Let a job go on to its next line."""
    assert job.stdin is not None
    job.stdin.write("\n")
    job.stdin.flush()
    assert ready(job) == expected, job.stderr.read() if job.stderr else ""


def leave(job: subprocess.Popen[str], timeout_seconds: int = 50) -> int:
    """Let a job end, and return how."""
    assert job.stdin is not None
    job.stdin.close()
    return job.wait(timeout_seconds)


@pytest.fixture
def host(tmp_path: Path, library: Path) -> Iterator[Callable[..., Host]]:
    """Return what makes a host."""
    made: list[Host] = []

    def make(*devices: Device) -> Host:
        made.append(Host(tmp_path, library, *devices))
        return made[-1]

    yield make
    for each in made:
        for job in each.jobs:
            end_group(job)


def shares(keeper: Keeper, device: str) -> dict[str, int]:
    """Return what each account drew of a device."""
    drawn: dict[str, int] = {}
    for (meter, _), usage in keeper.usage().items():
        if meter.startswith(f"{device}/"):
            for row in usage.rows:
                drawn[row.account] = drawn.get(row.account, 0) + row.energy_mj
    return {account: energy for account, energy in drawn.items() if energy}


def read_mj(keeper: Keeper, device: str) -> int:
    """Return what the meter of a device read."""
    return sum(w.energy_mj or 0 for w in keeper.facts(Window) if w.meter.startswith(f"{device}/"))


def reasons(keeper: Keeper, device: str) -> set[str]:
    """Return why there are gaps in the time of a device."""
    return {w.reason for w in keeper.facts(Window) if w.meter.startswith(f"{device}/") and w.is_gap}


def methods(keeper: Keeper, device: str) -> set[str]:
    """Return by what the energy of a device was shared."""
    return {use.method.partition(",")[0] for use in keeper.facts(Use) if use.meter.startswith(f"{device}/")}


def test_two_models_on_one_gpu_and_a_stranger_bear_their_true_parts(host: Callable[..., Host]) -> None:
    """At 60, 30 and 10 per cent of its time, between two times when nobody is there: each within 5 % of the truth."""
    gpu = Device(uuid="GPU-0", power_mw=60_000)
    here = host(gpu)
    first, second, stranger = here.job("first"), here.job("second"), os.getpid()
    step(first, "ready")
    time.sleep(1)
    step(second, "ready")
    wait_until(lambda: here.windows_told() == 1, "the reader ended the window in which nobody was there")
    gpu.computes = {first.pid: 1 << 30, second.pid: 2 << 30, stranger: 1 << 30}
    gpu.works, gpu.power_mw = {first.pid: 60, second.pid: 30, stranger: 10}, 400_000
    busy_us = here.replay.play()
    time.sleep(4)
    gpu.works, gpu.power_mw = {}, 60_000
    rest_us = here.replay.play()
    gpu.computes = {}
    step(second, "over")
    wait_until(lambda: here.windows_told() == 2, "the reader ended the window of both")
    here.replay.play()
    time.sleep(1)
    step(first, "over")
    for job in (first, second):
        leave(job)
    keeper = here.books()
    drawn, whole = shares(keeper, "GPU-0"), read_mj(keeper, "GPU-0")
    work_mj = gpu.energy_mj(rest_us) - gpu.energy_mj(busy_us)
    truth = {
        keeper.run_named("first"): work_mj * 60 // 100,
        keeper.run_named("second"): work_mj * 30 // 100,
        "untracked": work_mj * 10 // 100,
        "idle": whole - work_mj,
    }
    assert sum(drawn.values()) == whole
    assert drawn == {account: pytest.approx(energy, rel=0.05) for account, energy in truth.items()}
    assert "gpu_utilisation" in methods(keeper, "GPU-0")


@pytest.mark.parametrize("visible", ["3", "GPU-3", "GPU-3333,GPU-0", None])
def test_the_one_of_eight_gpus_that_a_run_uses_is_charged_to_it(host: Callable[..., Host], visible: str | None) -> None:
    """Named by number, by UUID or its beginning, or not at all: memory tells then. The others are idle, or somebody else's."""
    gpus = [Device(uuid=f"GPU-{number}", power_mw=100_000) for number in range(8)]
    gpus[3].uuid = "GPU-3333"
    here = host(*gpus)
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible.removesuffix(",GPU-0")}
    job = here.job("m", **environment)
    gpus[3].computes, gpus[3].works = {job.pid: 1 << 30}, {job.pid: 90}
    gpus[5].computes, gpus[5].works = {os.getpid(): 1 << 30}, {os.getpid(): 50}
    here.replay.play()
    step(job, "ready")
    time.sleep(1)
    step(job, "over")
    leave(job)
    keeper = here.books()
    run = keeper.run_named("m")
    expected = {3: {run}, 5: {"untracked"}}
    assert [set(shares(keeper, gpu.uuid)) for gpu in gpus] == [expected.get(number, {"idle"}) for number in range(8)]
    times = [use for use in keeper.facts(Use) if "/time~" in use.meter and use.run == run]
    windows = [window for window in keeper.facts(Window) if "/time~" in window.meter]
    length_ms = sum(window.end_ms - window.start_ms for window in windows)
    assert sum(use.time_ms for use in times) == pytest.approx(length_ms / 8, abs=2 + len(windows))


@pytest.mark.parametrize("visible", ["6,3", "GPU-3333,GPU-6", "3, 6,99,0"])
def test_a_run_that_is_named_for_several_gpus_holds_these(host: Callable[..., Host], visible: str) -> None:
    """By number or UUID, in any order, and what stands behind an unknown name not: also where it does nothing on one of them."""
    gpus = [Device(uuid=f"GPU-{number}", power_mw=100_000) for number in range(8)]
    gpus[3].uuid = "GPU-3333"
    here = host(*gpus)
    job = here.job("m", CUDA_VISIBLE_DEVICES=visible)
    gpus[3].computes, gpus[3].works = {job.pid: 1 << 30}, {job.pid: 90}
    here.replay.play()
    step(job, "ready")
    time.sleep(1)
    step(job, "over")
    leave(job)
    keeper = here.books()
    run = keeper.run_named("m")
    held = {use.meter.partition("/")[0] for use in keeper.facts(Use) if use.run == run and use.time_ms}
    assert {uuid for uuid in held if uuid.startswith("GPU")} == {"GPU-3333", "GPU-6"}
    assert [set(shares(keeper, gpu.uuid)) for gpu in gpus] == [
        {run} if number == 3 else {"idle"} for number in range(8)
    ]


def test_a_run_that_may_see_no_gpu_is_charged_none(host: Callable[..., Host]) -> None:
    """An empty variable hides them all: what they draw is nobody's."""
    here = host(Device(uuid="GPU-0", power_mw=100_000))
    job = here.job("m", CUDA_VISIBLE_DEVICES="")
    step(job, "ready")
    time.sleep(0.5)
    step(job, "over")
    leave(job)
    keeper = here.books()
    assert set(shares(keeper, "GPU-0")) == {"idle"}


def test_a_gpu_that_mig_divides_is_shared_by_the_slices_in_use(host: Callable[..., Host]) -> None:
    """Four slices and two in use, one idle: two thirds and one third of the board, and the use says by which model."""
    large, small, free = Device(uuid="MIG-a", slices=4), Device(uuid="MIG-b", slices=2), Device(uuid="MIG-c", slices=1)
    here = host(Device(uuid="GPU-0", power_mw=300_000, parts=[large, small, free]))
    jobs = [here.job("large", CUDA_VISIBLE_DEVICES="MIG-a"), here.job("small", CUDA_VISIBLE_DEVICES="MIG-b")]
    large.computes, small.computes = {jobs[0].pid: 1 << 30}, {jobs[1].pid: 1 << 30}
    here.replay.play()
    for job in jobs:
        step(job, "ready")
    time.sleep(2)
    for job in jobs:
        step(job, "over")
    for job in jobs:
        leave(job)
    keeper = here.books()
    assert methods(keeper, "GPU-0") >= {"mig_compute_slices"}
    both = [
        {use.run: use.energy_mj for use in keeper.facts(Use) if use.meter == w.meter and use.start_ms == w.start_ms}
        for w in keeper.facts(Window)
        if w.meter.startswith("GPU-0/") and w.end_ms - w.start_ms > 1_500
    ]
    (longest,) = both
    one, other = longest[keeper.run_named("large")], longest[keeper.run_named("small")]
    assert one == pytest.approx(2 * other, rel=0.05)


def test_a_device_that_was_lost_and_came_back_lost_no_energy(host: Callable[..., Host]) -> None:
    """Its counter went on; the next good answer covers the time in between."""
    gpu = Device(uuid="GPU-0", power_mw=200_000)
    here = host(gpu)
    job = here.job("m")
    step(job, "ready")
    gpu.errors = {ENERGY: GPU_IS_LOST, "nvmlDeviceGetHandleByUUID": GPU_IS_LOST}
    since_us = here.replay.play()
    time.sleep(1)
    gpu.errors = {}
    until_us = here.replay.play()
    time.sleep(1)
    step(job, "over")
    leave(job)
    keeper = here.books()
    assert reasons(keeper, "GPU-0") <= {"not_read"}
    assert read_mj(keeper, "GPU-0") > gpu.energy_mj(until_us) - gpu.energy_mj(since_us)


def test_a_driver_that_is_loaded_anew_costs_a_gap_and_no_more(host: Callable[..., Host]) -> None:
    """Its counter began again: what it would have counted meanwhile is not known, what it counts from then on is."""
    gpu = Device(uuid="GPU-0", power_mw=200_000)
    here = host(gpu)
    job = here.job("m")
    step(job, "ready")
    time.sleep(0.5)
    here.replay.reload_driver()
    time.sleep(1.5)
    step(job, "over")
    leave(job)
    keeper = here.books()
    assert reasons(keeper, "GPU-0") - {"not_read"} == {"counter_reset"}
    assert read_mj(keeper, "GPU-0") > 200_000


def test_a_device_that_is_pulled_out_is_a_gap_and_the_others_go_on(host: Callable[..., Host]) -> None:
    """The list of devices changes under a running job: nothing moves from one device to another."""
    gpus = [Device(uuid="GPU-0", power_mw=100_000), Device(uuid="GPU-1", power_mw=50_000)]
    here = host(*gpus)
    job = here.job("m")
    step(job, "ready")
    time.sleep(0.5)
    del here.replay.devices[0]
    since_us = here.replay.play()
    time.sleep(1)
    until_us = here.replay.play()
    step(job, "over")
    assert leave(job) == 0
    keeper = here.books()
    assert reasons(keeper, "GPU-0") - {"not_read"} == {"device_lost"}
    assert reasons(keeper, "GPU-1") <= {"not_read"}
    assert read_mj(keeper, "GPU-1") > gpus[1].energy_mj(until_us) - gpus[1].energy_mj(since_us)


def test_a_device_without_a_counter_is_read_by_its_power(host: Callable[..., Host]) -> None:
    """As boards before Volta are, through the real structures of the binding."""
    here = host(Device(uuid="GPU-0", power_mw=150_000, has_counter=False))
    job = here.job("m")
    step(job, "ready")
    time.sleep(1)
    step(job, "over")
    leave(job)
    keeper = here.books()
    windows = [w for w in keeper.facts(Window) if w.meter.startswith("GPU-0/") and not w.is_gap]
    assert {w.method for w in windows} == {"sensor"}
    length_ms = sum(w.end_ms - w.start_ms for w in windows)
    assert sum(w.energy_mj or 0 for w in windows) == pytest.approx(150 * length_ms, rel=0.01)


def test_a_driver_that_takes_its_time_does_not_hold_up_the_job(host: Callable[..., Host]) -> None:
    """Every call takes longer than this test waits for the job: it starts and ends, and what is not known is not claimed."""
    here = host(Device(uuid="GPU-0", power_mw=100_000))
    here.replay.slow_ms = 600_000
    here.replay.play()
    job = here.job("m", JOULEBOOK_FLUSH_SECONDS="0")
    step(job, "ready")
    step(job, "over")
    assert leave(job) == 0
    keeper = here.books()
    assert keeper.statuses == {keeper.run_named("m"): ["finished"]}
    assert shares(keeper, "GPU-0") == {}


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", ENERGY])
def test_a_code_that_nobody_knows_is_named_with_the_way_out(host: Callable[..., Host], function: str) -> None:
    """The doctor says which code it was and what to do; a job goes on."""
    gpu = Device(uuid="GPU-0", power_mw=100_000)
    here = host(gpu)
    (gpu.errors if function == ENERGY else here.replay.errors)[function] = UNKNOWN_CODE
    here.replay.play()
    program = "import sys; from joulebook.__main__ import main; sys.exit(main(['doctor', '--json']))"
    done = here.place.run(program, **here.replay.environment)
    (finding,) = [each for each in json.loads(done.stdout)["meters"] if each["component"] == "gpu"]
    assert (finding["reason"], str(UNKNOWN_CODE) in finding["why"]) == ("read_failed", True), done.stderr
    assert "nvidia-smi" in finding["remedy"]
    job = here.job("m")
    step(job, "ready")
    step(job, "over")
    assert leave(job) == 0
