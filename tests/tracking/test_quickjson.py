"""The quick way to and from JSON says what `json` says, wherever Python has it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.host import quickjson

_quick = quickjson.quick()
WAYS = {"standard": quickjson.standard(), **({"quick": _quick} if _quick else {})}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


def refused(name: str) -> None:
    """Refuse what `json` takes and JSON has not."""
    raise ValueError(name)


def of_json(value: Any) -> str:
    """Return what `json` makes of a value."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython has the C functions")
def test_the_quick_way_is_taken() -> None:
    """It is what this Python offers; with it neither `re` nor `enum` is loaded."""
    program = (
        "import sys; before = set(sys.modules); from joulebook_collectors.host import quickjson; "
        "quickjson.decode(quickjson.encode({'a': [1]}).encode()); print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert _quick is not None
    assert {"json", "re", "enum"} & set(done.stdout.split()) == set()


@pytest.mark.parametrize("way", WAYS)
@given(value=values)
def test_it_writes_and_reads_what_json_does(way: str, value: Any) -> None:
    """To the byte, and back."""
    encode, decode = WAYS[way]
    text = encode(value)
    assert text == of_json(value)
    assert text.isascii()
    assert decode(text.encode()) == json.loads(text) == value
    assert decode(json.dumps(value, indent=1).encode()) == value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"a": float("-inf")}]])
def test_it_writes_no_number_that_json_has_not(way: str, value: Any) -> None:
    """Readers of other languages could not read it."""
    with pytest.raises(ValueError, match="JSON compliant"):
        WAYS[way][0](value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [object(), {"a": b"x"}, [{1, 2}]])
def test_it_writes_nothing_that_json_has_not(way: str, value: Any) -> None:
    """It is a mistake of ours, and named."""
    with pytest.raises(TypeError):
        WAYS[way][0](value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"[1", b"[1]2", b"{} {}", b"[1],", b'{"a"}', b"{'a':1}", b"nul", b"NaN", b"[Infinity]", b"[-Infinity]",
        b'"\n"', b'"\xff"', b"[1,]", b"\xef\xbb\xbf{}",
    ],
)  # fmt: skip
def test_it_reads_nothing_that_is_not_json(way: str, text: bytes) -> None:
    """Of whatever is wrong a ValueError tells."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are those of Python's version
        WAYS[way][1](text)


@pytest.mark.parametrize("way", WAYS)
@given(data=st.binary(max_size=30) | st.text(alphabet='{}[]",:0123456789.eE-+ntf\\u \n', max_size=30).map(str.encode))
def test_it_accepts_what_json_accepts(way: str, data: bytes) -> None:
    """Whatever the bytes are: the same value, or an error of both; NaN and infinity are none."""
    try:
        wanted = json.loads(data.decode(), parse_constant=refused)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - the words are those of Python's version
            WAYS[way][1](data)
    else:
        assert WAYS[way][1](data) == wanted
