"""CUDA_VISIBLE_DEVICES: which GPUs a process is named for."""

from __future__ import annotations

import pytest
from helpers.fake_nvml import FakeGpu, FakeNvml

from joulebook_collectors.meters.nvml import find_gpus
from joulebook_collectors.meters.visibility import named_devices

A, B, C = "GPU-aaaa1111-0", "GPU-aaaa2222-0", "GPU-bbbb0000-0"
EVERY = frozenset({A, B, C})


@pytest.mark.parametrize(
    ("visible", "named"),
    [
        (None, None),
        ("", frozenset()),
        (" ", frozenset()),
        ("-1", frozenset()),
        ("NoDevFiles", frozenset()),
        ("0", {A}),
        ("2,0", {C, A}),
        (" 1 , 2 ", {B, C}),
        ("0,1,2", EVERY),
        ("0,-1,1", {A}),
        ("0,7,1", {A}),
        ("1,1", {B}),
        (A, {A}),
        ("GPU-b", {C}),
        ("GPU-aaaa", frozenset()),
        (f"{B},GPU-none,{A}", {B}),
        ("MIG-part", {B}),
        ("MIG-unknown", frozenset()),
        (f"MIG-{C}/1/0", {C}),
        ("0;1", frozenset()),
    ],
)
def test_a_process_is_named_for_devices(visible: str | None, named: set[str] | None) -> None:
    """By number, UUID, its beginning, or a MIG instance; behind the first unknown name nothing counts."""
    gpus, _ = find_gpus(FakeNvml(FakeGpu(uuid=A), FakeGpu(uuid=B, parts=[FakeGpu(uuid="MIG-part")]), FakeGpu(uuid=C)))
    assert named_devices(visible, gpus) == named


def test_a_number_among_different_devices_is_not_certain() -> None:
    """CUDA numbers the fastest first; only in the order of the bus does a number tell the device."""
    gpus, _ = find_gpus(FakeNvml(FakeGpu(uuid=A, name="slow"), FakeGpu(uuid=B, name="fast")))
    assert named_devices("0", gpus) is None
    assert named_devices("0", gpus, "FASTEST_FIRST") is None
    assert named_devices("0", gpus, "PCI_BUS_ID") == frozenset({A})
    assert named_devices(B, gpus) == frozenset({B})
    assert named_devices("", gpus) == frozenset()
