"""Who holds a GPU and who is busy on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from helpers.tracked import Place

from joulebook_collectors.host.processes import sees_host_pids
from joulebook_collectors.meters.meter import DeviceProcesses, Holder, MeterDescription
from joulebook_collectors.meters.visibility import NAMING_VARIABLES
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.gpus import GpuLookout
from joulebook_collectors.presence.span import Span
from joulebook_collectors.presence.tracked import Tracked, Work
from joulebook_collectors.spool.segments import decode_frames

RUN, OTHER = "a" * 32, "b" * 32


class Gpu:
    """A GPU of which a test says who is there."""

    def __init__(self, index: int, seen: DeviceProcesses) -> None:
        """Take what the driver says."""
        self.index = index
        self.rocm_names: dict[int, str] = {}
        self.seen = seen
        self.description = MeterDescription(
            device=f"GPU-{index}", domain="gpu", component="gpu", max_power_mw=700_000, label="H", method="counter"
        )

    def processes(self) -> DeviceProcesses:
        """Answer."""
        return self.seen

    def contains(self, instance: str) -> bool:
        """Have no instances."""
        return instance == self.description.domain


def claims(gpus: list[Gpu], *, visible: str | None = None, pids: dict[str, int] | None = None) -> dict[str, Any]:
    """Return holding and activity on the first GPU for runs of these processes, after a look and a second."""
    attendance = Attendance(os.devnull, 0)
    for run, pid in (pids or {RUN: 10}).items():
        tracked = Tracked()
        tracked.pid, tracked.runs = pid, [run]
        tracked.work = {pid: Work(1, 0, 0, 0), pid + 1: Work(1, 0, 0, pid)}
        tracked.visible = [visible, "PCI_BUS_ID"]
        attendance.tracked[run] = tracked
    lookout = GpuLookout(gpus)  # type: ignore[arg-type]
    lookout._pids_are_hosts = True
    span = Span()
    lookout.name_devices(attendance)
    lookout.look(attendance, [span], 1_000_000, at_once=True)
    attendance._pass_time(1_000_000, [span])
    lookout.look(attendance, [span], 2_000_000, at_once=True)
    found, basis = span.claims("gpu", "GPU-0")
    return {
        "basis": basis,
        "holding": sorted(claim.account for claim in found if claim.holding),
        "activity": {claim.account: claim.activity for claim in found if claim.activity},
        "facts": lookout.facts,
        "time": span.claims_on_time([gpu.description.device for gpu in gpus]),
    }


def test_activity_is_what_the_driver_says_of_each_process() -> None:
    """A process that belongs to a run counts for it, another one as untracked."""
    seen = DeviceProcesses((Holder(11, 500), Holder(99, 100)), {11: 60, 99: 20})
    told = claims([Gpu(0, seen)])
    assert told["basis"] == "gpu_utilisation"
    assert told["activity"] == {RUN: 120, "untracked": 40}
    assert told["holding"] == [RUN]
    assert told["facts"] == {RUN: {"devices": "GPU-0", "peak_gpu_bytes": 500}}


def test_where_the_driver_says_nothing_of_activity_processes_with_memory_count_alike() -> None:
    """One process of a run, one of nobody: half each."""
    told = claims([Gpu(0, DeviceProcesses((Holder(10, None), Holder(99, None)), None))])
    assert told["basis"] == "memory_held"
    assert told["activity"] == {RUN: 1_000_000, "untracked": 1_000_000}


def test_a_device_on_which_nobody_was_seen_is_nobodys() -> None:
    """It looked, and nobody was there: what it drew is idle."""
    told = claims([Gpu(0, DeviceProcesses((), {}))])
    assert (told["basis"], told["activity"], told["holding"]) == ("nobody_seen", {}, [])


def test_a_run_holds_the_devices_it_is_named_for_and_no_others() -> None:
    """Of two GPUs it is named for the second: the first is not held, and half of the machine's time is idle."""
    empty = DeviceProcesses((), {})
    told = claims([Gpu(0, empty), Gpu(1, empty)], visible="1")
    assert told["holding"] == []
    held, devices = told["time"]
    assert (devices, [claim.account for claim in held if claim.holding]) == (2, [RUN])
    assert claims([Gpu(0, empty), Gpu(1, empty)], visible="0")["holding"] == [RUN]


def test_an_unset_variable_holds_nothing() -> None:
    """Only memory on the device does."""
    assert claims([Gpu(0, DeviceProcesses((Holder(98, 1),), {}))])["holding"] == []


def test_a_process_tells_every_variable_that_names_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are when its runs change: those of ROCm beside those of CUDA, and nothing where none is set."""
    for name in NAMING_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    place = Place(tmp_path)
    program = """
    import os, joulebook
    with joulebook.track(model="m"):
        os.environ |= {"HIP_VISIBLE_DEVICES": "1", "ROCR_VISIBLE_DEVICES": "0,2"}
        with joulebook.track(model="n"):
            pass
    """
    place.run(program, CUDA_VISIBLE_DEVICES="")
    frames = [frame for path in place.boot.rglob("*.segment") for frame in decode_frames(path.read_bytes())[0]]
    told = [frame["mark"].get("visible") for frame in frames if "mark" in frame]
    assert told[0] == ["", None, None, None]
    assert told[-1] == ["", None, "1", "0,2"]


def test_two_runs_on_one_device_share_it_by_what_they_do() -> None:
    """Both hold it; the busier one bears more of its active part."""
    seen = DeviceProcesses((Holder(10, 1), Holder(20, 1)), {10: 90, 20: 10})
    told = claims([Gpu(0, seen)], pids={RUN: 10, OTHER: 20})
    assert told["holding"] == [RUN, OTHER]
    assert told["activity"] == {RUN: 180, OTHER: 20}


@pytest.mark.parametrize("visible", [None, "0"])
def test_where_the_driver_hides_its_processes_the_runs_on_the_host_are_presumed(visible: str | None) -> None:
    """And the use says on what basis."""
    told = claims([Gpu(0, DeviceProcesses(None, None))], visible=visible)
    assert told["basis"] == "processes_hidden_by_the_driver"
    assert list(told["activity"]) == [RUN]


def test_process_ids_of_a_container_are_not_taken_for_the_hosts(tmp_path: Path) -> None:
    """Where the driver names the host's processes and we see our own only, nobody is named wrongly."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to("pid:[4026532999]")
    assert not sees_host_pids(str(tmp_path))
