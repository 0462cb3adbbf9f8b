"""CUDA_VISIBLE_DEVICES, and the variables of ROCm: which GPUs a process is named for."""

from __future__ import annotations

import pytest
from helpers.fake_nvml import FakeGpu, FakeNvml

from joulebook_collectors.meters.meter import MeterDescription
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
    assert named_devices([visible], gpus) == named


def test_a_number_among_different_devices_is_not_certain() -> None:
    """CUDA numbers the fastest first; only in the order of the bus does a number tell the device."""
    gpus, _ = find_gpus(FakeNvml(FakeGpu(uuid=A, name="slow"), FakeGpu(uuid=B, name="fast")))
    assert named_devices(["0"], gpus) is None
    assert named_devices(["0", "FASTEST_FIRST"], gpus) is None
    assert named_devices(["0", "PCI_BUS_ID"], gpus) == frozenset({A})
    assert named_devices([B], gpus) == frozenset({B})
    assert named_devices([""], gpus) == frozenset()


class Board:
    """A board as ROCm numbers it."""

    index = -1

    def __init__(self, device: str, rocm_names: dict[int, str]) -> None:
        """Take its names: of each partition one."""
        self.rocm_names = rocm_names
        self.description = MeterDescription(
            device=device, domain="gpu", component="gpu", max_power_mw=750_000, label="MI300X", method="counter"
        )

    def contains(self, instance: str) -> bool:
        """Have no instances of NVIDIA's kind."""
        return not instance


# AMD SMI may show them in another order than ROCm numbers them. The last one is divided into two.
X, Y, Z = "74ff-x", "74ff-y", "74ff-z"
BOARDS = [
    Board(Y, {1: "GPU-00aa2222bbbb3333"}),
    Board(X, {0: "GPU-00aa1111bbbb2222"}),
    Board(Z, {2: "GPU-ffff000000000001", 3: "GPU-XX"}),
]


@pytest.mark.parametrize(
    ("runtime", "hip", "cuda", "named"),
    [
        (None, None, None, None),
        ("", None, None, set()),
        ("", "0", None, set()),
        ("0", None, None, {X}),
        (" 1 , 2", None, None, {Y, Z}),
        ("3", None, None, {Z}),
        ("4", None, None, set()),
        ("1,1,0", None, None, {Y}),  # a device named again ends the list
        ("GPU-00AA1", None, None, {X}),
        ("gpu-00aa2222bbbb3333,0", None, None, {X, Y}),
        ("GPU-00aa", None, None, set()),  # of two
        ("GPU-", None, None, set()),
        ("GPU-00aa1111bbbb22223", None, None, set()),
        (None, "", None, None),
        (None, "", "1", {Y}),
        (None, None, "1", {Y}),
        (None, "0", "1", {X}),
        (None, "-1", None, set()),
        (None, "2,-1,0", None, {Z}),
        (None, "1,1,0", None, {X, Y}),
        (None, "GPU-00aa2222bbbb3333", None, {Y}),
        (None, "gpu-00aa2222bbbb3333", None, set()),
        ("1,2", "1", None, {Z}),  # the second of what is left
        ("1,2", "0", "1", {Y}),
        ("1,2", "2", None, set()),
        ("GPU-00aa2,GPU-ffff", "GPU-00aa1111bbbb2222", None, set()),
    ],
)
def test_a_process_is_named_for_boards_of_rocm(
    runtime: str | None, hip: str | None, cuda: str | None, named: set[str] | None
) -> None:
    """Two sieves, one behind the other, each with its own rule for what it does not know."""
    assert named_devices([cuda, None, hip, runtime], BOARDS) == named


def test_where_rocm_does_not_say_its_order_a_number_names_nothing() -> None:
    """And where one board of several is not told, neither."""
    assert named_devices([None, None, "0", "0"], [Board(X, {})]) is None
    assert named_devices([None, None, "0", "0"], [BOARDS[0], BOARDS[2]]) is None


def test_a_machine_of_both_makers_is_named_by_each_ones_variables() -> None:
    """CUDA's variable is then not taken to mean what ROCm numbers."""
    nvidia, _ = find_gpus(FakeNvml(FakeGpu(uuid=A), FakeGpu(uuid=B)))
    both = [*nvidia, *BOARDS]
    assert named_devices(["1"], both) == {B}
    assert named_devices(["1", None, "0"], both) == {B, X}
    assert named_devices([None, None, None, "2"], both) == {Z}
