"""A process measured by Joulebook.

ours.py MODE SECONDS
"""

import sys
import time

from memory import peak_memory_bytes

import joulebook


def main() -> None:
    """Import only, or track an empty body, or track a body that sleeps for the given time, or die in the body."""
    mode, seconds = sys.argv[1], float(sys.argv[2])
    if mode == "import":
        return
    wall, cpu = time.perf_counter(), time.process_time()
    with joulebook.track(model="bench", version="1", task="none") as run:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if mode == "die":
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        sampling = time.process_time()
        if seconds:
            time.sleep(seconds)
        sampling = time.process_time() - sampling
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    footprint_wall, footprint_cpu = time.perf_counter(), time.process_time()
    if mode == "footprint":
        _ = run.footprint.energy_kwh
    footprint_wall, footprint_cpu = time.perf_counter() - footprint_wall, time.process_time() - footprint_cpu
    sys.stdout.write(
        f'{{"wall": {wall}, "cpu": {cpu}, "sampling_cpu": {sampling}, "memory": {peak_memory_bytes()}, '
        f'"footprint_wall": {footprint_wall}, "footprint_cpu": {footprint_cpu}}}\n'
    )


main()
