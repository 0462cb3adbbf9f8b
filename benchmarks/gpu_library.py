"""Which GPU library the figures come from: the driver's own, or a stub that is compiled here."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIBRARY = "libnvidia-ml.so.1"


@dataclass(frozen=True, kw_only=True)
class GpuLibrary:
    """Where figures with a GPU library come from.

    Attributes:
        kind: real, stub, or none where neither can be had.
        words: What the output says of it.
        environment: Variables that make a subject find it.
    """

    kind: str
    words: str
    environment: Mapping[str, str] = field(default_factory=dict)


def find_gpu_library(folder: Path) -> GpuLibrary:
    """Return the driver's library where it answers, else a stub compiled into `folder`, else none."""
    if has_real_library():
        return GpuLibrary(kind="real", words="figures with a GPU library come from a GPU of this machine")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return GpuLibrary(kind="none", words="no figures with a GPU library: neither a GPU nor a C compiler is here")
    source = Path(__file__).with_name("stub_nvml.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(folder / LIBRARY), str(source), "-ldl"], check=True)
    _make_stub_command(folder)
    environment = {
        "LD_LIBRARY_PATH": str(folder),
        "LD_PRELOAD": str(folder / LIBRARY),
        "PATH": os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)]),
    }
    words = "figures with a GPU library come from a stub library (benchmarks/stub_nvml.c), not from a GPU"
    return GpuLibrary(kind="stub", words=words, environment=environment)


def _make_stub_command(folder: Path) -> None:
    """Make a command `nvidia-smi` that succeeds: codecarbon looks for a GPU only where it does."""
    command = folder / "nvidia-smi"
    command.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    command.chmod(0o755)


def has_real_library() -> bool:
    """Return whether NVIDIA's library is here and answers."""
    try:
        return bool(ctypes.CDLL(LIBRARY).nvmlInit_v2() == 0)
    except (OSError, AttributeError):
        return False
