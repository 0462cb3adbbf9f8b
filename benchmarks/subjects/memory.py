"""What a subject says of its own memory; loads nothing."""


def peak_memory_bytes() -> int:
    """Return the most memory this process has held, from the kernel; 0 where there is no /proc.

    Read here and not from the resource usage that the parent gets: that one begins with what the parent held.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - pathlib would be measured too
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0
