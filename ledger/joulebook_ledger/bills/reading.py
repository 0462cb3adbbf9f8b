"""The rows of FOCUS files as texts, one at a time: CSV, CSV under gzip, and Parquet where pyarrow is installed (`[parquet]`)."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

from joulebook_ledger.core.refusals import BadInput

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
BYTES_AT_ONCE = 1 << 20
ROWS_AT_ONCE = 5_000
# A cell of tags or details may be long; one of a mebibyte is a quote that was never closed.
LONGEST_CELL = 1 << 20


class FileRow(NamedTuple):
    """One row of a file.

    Attributes:
        file: Name of the file.
        number: From 1; the header is the first.
        cells: Its texts; an empty one is null.
    """

    file: str
    number: int
    cells: list[str]


def digest_of(paths: Sequence[Path]) -> str:
    """Return the digest of files, in whatever order they are given: what a delivery is called by where nobody names it."""
    found = []
    for path in paths:
        try:
            with path.open("rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}") from None
    return found[0] if len(found) == 1 else hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def rows_of(paths: Sequence[Path]) -> Iterator[FileRow]:
    """Yield the rows of files, one after the other."""
    for path in paths:
        yield from read_rows(path)


def rows_of_text(name: str, text: str) -> Iterator[FileRow]:
    """Yield the rows of a CSV text."""
    yield from _csv_rows(name, io.BytesIO(text.encode()))


def read_rows(path: Path) -> Iterator[FileRow]:
    """Yield the rows of a file, the header first; a file is told by its first bytes, not by its name.

    Raises:
        BadInput: It cannot be read, is in another encoding than UTF-8, or is cut off; the message names file and row.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(4)
            file.seek(0)
            if begins == _PARQUET:
                yield from _parquet_rows(path)
            elif begins.startswith(_GZIP):
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield from _csv_rows(path.name, unpacked)
            else:
                yield from _csv_rows(path.name, file)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None


def _csv_rows(name: str, file: IO[bytes] | gzip.GzipFile) -> Iterator[FileRow]:
    number = 0
    csv.field_size_limit(LONGEST_CELL)
    with ExitStack() as stack:
        text = stack.enter_context(io.TextIOWrapper(io.BufferedReader(file, BYTES_AT_ONCE), "utf-8-sig", newline=""))  # type: ignore[type-var]
        try:
            for number, cells in enumerate(csv.reader(text, strict=True), start=1):
                if cells:
                    yield FileRow(name, number, cells)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise BadInput(
                f"{name}: row {number + 1} or soon after it is not in UTF-8 (byte 0x{byte:02x}): save the file as UTF-8"
            ) from None
        except csv.Error as error:
            raise BadInput(f"{name}: row {number + 1} is no CSV ({error}): is the file cut off?") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadInput(f"{name}: after row {number} the packed file is cut off or damaged ({error})") from None


def _parquet_rows(path: Path) -> Iterator[FileRow]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BadInput(
            f"{path.name} is a Parquet file: `pip install 'joulebook[parquet]'`, or export it as CSV"
        ) from None
    try:
        with ParquetFile(path) as file:
            yield FileRow(path.name, 1, list(file.schema_arrow.names))
            number = 1
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield FileRow(path.name, number, [_text(value) for value in values])
    except ArrowException as error:
        raise BadInput(f"{path.name} is no whole Parquet file: {error}") from None


def _text(value: object) -> str:
    """Return a value of Parquet as CSV would write it: decimals in full, times in ISO 8601, maps as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        import json

        return json.dumps(dict(value) if isinstance(value, list) else value, ensure_ascii=False, default=str)
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else format(value, "f") if hasattr(value, "as_tuple") else repr(value)
