"""JSON of the measured path, through the C functions that Python's own `json` is made of, without `json` itself.

`import json` loads `re` and `enum`, which costs more than all else that an empty run loads. Where an interpreter has no such functions
(PyPy), or has them otherwise, `json` does the work. Both ways write ASCII without spaces, and neither writes or takes what JSON does
not have: NaN and infinity.

`encode` returns the JSON of a value, or raises ValueError or TypeError; `decode` the value of some JSON, or raises ValueError.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Encode = Callable[[Any], str]
    Decode = Callable[[bytes], Any]

_SPACES = " \t\n\r"
_SAMPLE = {"a": [1, -2.5, None, True, 'b"\n\u00e9'], "c": {}}
_SAMPLE_JSON = '{"a":[1,-2.5,null,true,"b\\"\\n\\u00e9"],"c":{}}'


def quick() -> tuple[Encode, Decode] | None:
    """Return the C functions, ready to use; None where they are not there, or are not what we know."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner

        run = make_encoder(None, _refuse_value, encode_basestring_ascii, None, ":", ",", False, False, False)
        scan = make_scanner(_Rules)  # type: ignore[arg-type]  # any object with these attributes will do
    except (ImportError, TypeError, AttributeError):
        return None

    def encode_quickly(value: Any) -> str:
        return "".join(run(value, 0))

    def decode_quickly(data: bytes) -> Any:
        text = data.decode().strip(_SPACES)
        try:
            value, end = scan(text, 0)
        except StopIteration:
            raise ValueError("no JSON value is here") from None
        if end != len(text):
            raise ValueError("more follows the JSON value")
        return value

    return (encode_quickly, decode_quickly) if _is_right(encode_quickly, decode_quickly) else None


def standard() -> tuple[Encode, Decode]:
    """Return the same from `json`."""
    import json

    encode_value = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode
    decode_text = json.JSONDecoder(parse_constant=_refuse_constant).decode
    return encode_value, lambda data: decode_text(data.decode())


class _Rules:
    """What the scanner asks how to read."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> NoReturn:
        _refuse_constant(name)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _refuse_value(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _is_right(encode_value: Encode, decode_data: Decode) -> bool:
    try:
        return (
            encode_value(_SAMPLE) == _SAMPLE_JSON
            and decode_data(_SAMPLE_JSON.encode()) == _SAMPLE
            and _refuses(lambda: encode_value(1e999))
            and _refuses(lambda: decode_data(b"[1]2"))
            and _refuses(lambda: decode_data(b"NaN"))
        )
    except (TypeError, ValueError, AttributeError):
        return False


def _refuses(call: Callable[[], object]) -> bool:
    try:
        call()
    except ValueError:
        return True
    return False


encode, decode = quick() or standard()
