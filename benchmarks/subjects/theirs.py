"""A process measured by codecarbon in offline mode, writing its file.

theirs.py MODE SECONDS
"""

import sys
import time

from codecarbon import OfflineEmissionsTracker
from memory import peak_memory_bytes


def main() -> None:
    """Import only, or track an empty body, or track a body that sleeps for the given time."""
    mode, seconds = sys.argv[1], float(sys.argv[2])
    if mode == "import":
        return
    wall, cpu = time.perf_counter(), time.process_time()
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA",
        measure_power_secs=1,
        output_dir=".",
        log_level="critical",
        allow_multiple_runs=True,
    )
    tracker.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sampling = time.process_time()
    if seconds:
        time.sleep(seconds)
    sampling = time.process_time() - sampling
    tracker.stop()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sys.stdout.write(f'{{"wall": {wall}, "cpu": {cpu}, "sampling_cpu": {sampling}, "memory": {peak_memory_bytes()}}}\n')


main()
