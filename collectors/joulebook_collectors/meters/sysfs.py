"""Small files of the kernel below /sys: a number, a text, or why there is none. On the measured path."""

from __future__ import annotations

import os

from joulebook_collectors.meters.meter import DEVICE_LOST, PERMISSION_DENIED, READ_FAILED, NoData

# The kernel's counters have 64 bits with a sign; what is larger is no counter.
HIGHEST_NUMBER = (1 << 63) - 1
_FILE_BYTES = 256
_MOST_DIGITS = 19


def text_in(path: str) -> str | NoData:
    """Return a kernel file's text, or why there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.read(descriptor, _FILE_BYTES).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
    except PermissionError:
        return NoData(PERMISSION_DENIED)
    except FileNotFoundError:
        return NoData(DEVICE_LOST)
    except (OSError, ValueError):
        return NoData(READ_FAILED)


def number_in(path: str) -> int | NoData:
    """Return the number in a kernel file; what is empty, negative, no number or too large for a counter is a failed read."""
    text = text_in(path)
    if isinstance(text, NoData):
        return text
    if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) > HIGHEST_NUMBER:
        return NoData(READ_FAILED)
    return int(text)


def signed_number_in(path: str) -> int | NoData:
    """Return the number in a kernel file, which may be below 0."""
    text = text_in(path)
    if isinstance(text, NoData):
        return text
    digits = text.removeprefix("-")
    if not digits.isdecimal() or len(digits) > _MOST_DIGITS:
        return NoData(READ_FAILED)
    return int(text)


def positive(number: int | NoData) -> int | None:
    """Return the number, or None where there is none or it is 0."""
    return None if isinstance(number, NoData) or number == 0 else number


def names_in(folder: str) -> list[str]:
    """Return the names in a folder in order; none where it is not there."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
