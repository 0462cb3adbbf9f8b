"""What the agent costs on a host with 8 GPUs and 64 cores: CPU time at one sample a second, and its memory.

   agent.py [--seconds N] [--json]

The host is made up: a stub of NVIDIA's library with eight devices (benchmarks/stub_nvml.c), two RAPL packages with their memory whose
counters move, and a /proc with 64 cores, some hundred processes and eight training jobs, one on each GPU. The agent is the real one,
started as its unit starts it, with its socket and its page, and delivers over HTTP. What a real driver takes for an answer comes on top. Ends with
1 where a target is missed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from gpu_library import find_gpu_library

from joulebook_collectors.spool.folders import boot_folders
from joulebook_collectors.spool.segments import Segment, create_segment
from joulebook_ledger.settings import load_settings

GPUS, CORES, PROCESSES, FIRST_JOB = 8, 64, 600, 2_000
MOST_CPU_PERCENT, MOST_MEMORY_BYTES = 0.2, 50 * 1_000_000
WARM_UP_SECONDS = 5
RANGE_UJ = 262_143_328_850
PACKAGE_WATTS = (181, 173)
DRAM_WATTS = (21, 19)
NANOSECONDS = 1_000_000_000


class Service(ThreadingHTTPServer):
    """Takes every batch and keeps none.

    Attributes:
        windows: How many windows came.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.windows = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data)
        server = self.server
        assert isinstance(server, Service)
        server.windows += sum(len(body.get(kind, ())) for kind in ("readings", "gaps"))
        number = sum(len(items) for items in body.values() if isinstance(items, list))
        answer = json.dumps({"counts": {"stored": number}, "exceptions": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the library
        """Say nothing."""


def main() -> int:
    """Measure and print; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description="What the agent costs on a host with 8 GPUs and 64 cores.")
    parser.add_argument("--seconds", type=int, default=180, help="how long to watch it")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="joulebook-bench-") as folder:
        figures = measure(Path(folder), arguments.seconds)
    reached = (
        figures["cpu_percent_of_one_core"] <= MOST_CPU_PERCENT and figures["peak_memory_bytes"] <= MOST_MEMORY_BYTES
    )
    if arguments.json:
        sys.stdout.write(json.dumps({**figures, "reached": reached}, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in as_text(figures, arguments.seconds))
    return 0 if reached else 1


def as_text(figures: dict[str, float], seconds: int) -> Iterator[str]:
    """Return the table."""
    yield f"the agent on a made-up host: {GPUS} GPUs (stub), {CORES} cores, {PROCESSES} processes, {GPUS} jobs, {seconds} s at one sample a second"
    yield f"{'CPU, % of one core':32}{figures['cpu_percent_of_one_core']:10.3f}   target <= {MOST_CPU_PERCENT}"
    yield f"{'resident memory, MB':32}{figures['memory_bytes'] / 1e6:10.1f}"
    yield f"{'peak memory, MB':32}{figures['peak_memory_bytes'] / 1e6:10.1f}   target <= {MOST_MEMORY_BYTES / 1e6:.0f}"
    yield f"{'windows written':32}{figures['windows']:10.0f}"


def measure(folder: Path, seconds: int) -> dict[str, float]:
    """Run an agent on the made-up host and return what it took."""
    with Service() as service:
        return measure_with(folder, seconds, service)


def measure_with(folder: Path, seconds: int, service: Service) -> dict[str, float]:
    """Run an agent that delivers to this service."""
    url = f"http://127.0.0.1:{service.server_port}"
    library = find_gpu_library(folder)
    make_host(folder)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JOULEBOOK_")}, **library.environment,
        "STUB_NVML_DEVICES": str(GPUS), "STUB_NVML_PROCESS": str(FIRST_JOB),
        "JOULEBOOK_LEDGER": url, "JOULEBOOK_API_KEY": "secret", "JOULEBOOK_HOME": str(folder / "home"), "JOULEBOOK_SPOOL": str(folder / "spool"),
        "JOULEBOOK_PROC_ROOT": str(folder / "proc"), "JOULEBOOK_SYSFS_ROOT": str(folder / "sys"),
        "JOULEBOOK_AGENT_SOCKET": str(folder / "agent.sock"), "JOULEBOOK_AGENT_METRICS": "127.0.0.1:0",
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "joulebook_collectors.agent"]
    with counting(folder), subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as agent:
        try:
            _await(agent)
            jobs = announce_jobs(folder, environment)
            time.sleep(WARM_UP_SECONDS)
            before, began = cpu_seconds(agent.pid), time.monotonic()
            time.sleep(seconds)
            used, passed = cpu_seconds(agent.pid) - before, time.monotonic() - began
            memory, peak = memory_bytes(agent.pid)
        finally:
            agent.send_signal(signal.SIGTERM)
        agent.communicate(timeout=60)
        for job in jobs:
            job.close()
    return {
        "cpu_percent_of_one_core": 100 * used / passed, "memory_bytes": memory, "peak_memory_bytes": peak, "seconds": passed,
        "windows": service.windows,
    }  # fmt: skip


def _await(agent: subprocess.Popen[str]) -> None:
    assert agent.stderr is not None
    for line in agent.stderr:
        if f"event=reading meters={GPUS + 4} gpus={GPUS}" in line:
            return
        if "event=reading" in line:
            break
    message = "the agent did not find the host"
    raise RuntimeError(message)


def make_host(folder: Path) -> None:
    """Lay out the host's /sys and /proc."""
    proc, powercap = folder / "proc", folder / "sys" / "class" / "powercap"
    for socket in (0, 1):
        _zone(powercap / f"intel-rapl:{socket}", f"package-{socket}")
        _zone(powercap / f"intel-rapl:{socket}:0", "dram")
    _write(folder / "sys/devices/system/cpu/present", f"0-{CORES - 1}\n")
    lines = [
        f"cpu{' 100000 0 20000 900000 100 0 100 0 0 0' if number < 0 else f'{number} 1 0 1 1 0 0 0 0 0 0'}"
        for number in range(-1, CORES)
    ]
    _write(proc / "stat", "\n".join(line.replace("cpu ", "cpu  ", 1) for line in lines) + "\n")
    _write(proc / "cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t\t: fpu\n")
    _write(proc / "meminfo", "MemTotal: 1056000000 kB\nMemFree: 900000000 kB\nMemAvailable: 950000000 kB\n")
    _write(proc / "sys/kernel/random/boot_id", "00000000-0000-4000-8000-000000000000\n")
    _write(proc / "sys/kernel/hostname", "bench\n")
    for pid in (*range(2, PROCESSES), *range(FIRST_JOB, FIRST_JOB + GPUS)):
        _write(proc / str(pid) / "stat", f"{pid} (python) S 1 1 1 0 -1 0 0 0 0 0 100 10 0 0 20 0 1 0 {pid} 0 0\n")
        _write(proc / str(pid) / "statm", "100000 50000 1 1 1 1 1\n")


def _zone(zone: Path, name: str) -> None:
    _write(zone / "name", f"{name}\n")
    _write(zone / "max_energy_range_uj", f"{RANGE_UJ}\n")
    _write(zone / "energy_uj", "1000000\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@contextmanager
def counting(folder: Path) -> Iterator[None]:
    """Let the RAPL counters move meanwhile, each at a power of its own."""
    zones = {f"intel-rapl:{n}": watts for n, watts in enumerate(PACKAGE_WATTS)} | {
        f"intel-rapl:{n}:0": watts for n, watts in enumerate(DRAM_WATTS)
    }
    over = threading.Event()

    def move() -> None:
        while not over.wait(0.2):
            for zone, watts in zones.items():
                path = folder / "sys" / "class" / "powercap" / zone / "energy_uj"
                path.with_suffix(".new").write_text(
                    f"{watts * time.monotonic_ns() // 1_000 % RANGE_UJ}\n", encoding="utf-8"
                )
                path.with_suffix(".new").replace(path)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def announce_jobs(folder: Path, environment: dict[str, str]) -> list[Segment]:
    """Announce a job on each GPU, as tracked processes do in their segments."""
    (boot,) = boot_folders(load_settings(environment, str(folder)))
    jobs = []
    for index in range(GPUS):
        pid, run = FIRST_JOB + index, f"{index:032x}"
        job = create_segment(boot, f"job{index}")
        event = {
            "run": run,
            "event": f"{index}.1.started",
            "kind": "started",
            "at_ms": 1_800_000_000_000,
            "labels": {"model": f"m{index}"},
        }
        mark = {
            "at_us": time.monotonic_ns() // 1_000,
            "cpu_us": 0,
            "waited_us": 0,
            "memory": 1 << 30,
            "runs": [run],
            "visible": [str(index), None],
        }
        job.append({"process": {"pid": pid, "started": pid, "ancestors": []}}, {"runs": [event], "mark": mark})
        jobs.append(job)
    return jobs


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="utf-8").split()[0]) for task in tasks) / NANOSECONDS


def memory_bytes(pid: int) -> tuple[int, int]:
    """Return resident memory, and its peak."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    kilobytes = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in lines)
        if name in {"VmRSS", "VmHWM"}
    }
    return kilobytes["VmRSS"] * 1024, kilobytes["VmHWM"] * 1024


if __name__ == "__main__":
    raise SystemExit(main())
