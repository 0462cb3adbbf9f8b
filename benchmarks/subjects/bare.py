"""A process that does nothing: what an interpreter costs by itself.

bare.py MODE [SECONDS]
"""

import sys
import time

from memory import peak_memory_bytes


def main() -> None:
    """Sleep for the given time and say what that took."""
    seconds = float(sys.argv[2]) if sys.argv[1] == "sample" else 0.0
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    cpu = time.process_time()
    time.sleep(seconds)
    cpu = time.process_time() - cpu
    sys.stdout.write(f'{{"sampling_cpu": {cpu}, "memory": {peak_memory_bytes()}}}\n')


main()
