"""What is asked of the books by one JSON object: read strictly, since a mistyped `dry_run` that is passed over would write."""

from __future__ import annotations

import json
import uuid
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import require_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Act = TypeVar("Act", bound="DataclassInstance")
_WANTED = {bool: "true or false", str: "a text", dict: "an object of texts"}


def act_of(body: bytes, record: type[Act], what: str) -> Act:
    """Return what is asked.

    Args:
        body: JSON, one object; who asks and the name of the act are filled in where they are left out.
        record: What it is made into: its fields are texts, flags and mappings of texts.
        what: The word for it, such as "a restatement".

    Raises:
        BadInput: It is no JSON object, or has a field that is unknown, missing or of another type.
    """
    try:
        given = json.loads(body)
    except ValueError as error:
        raise BadInput(f"not JSON: {str(error)[:200]}") from None
    if not isinstance(given, dict):
        raise BadInput(f"{what} is one JSON object")
    known = {field.name: _type_of(str(field.type)) for field in fields(record)}
    for name, value in given.items():
        if name not in known:
            raise BadInput(f"field {name[:60]!r} is not known here: {what} has {', '.join(known)}")
        _check(name, value, known[name])
    try:
        return record(**{"name": uuid.uuid4().hex, "author": "desk", **given})
    except TypeError:
        raise BadInput(f"{what} lacks a field: it has {', '.join(known)}") from None


def _type_of(annotation: str) -> type[Any]:
    return {"bool": bool, "str": str}.get(annotation, dict)


def _check(name: str, value: object, wanted: type[Any]) -> None:
    if type(value) is not wanted:
        raise BadInput(f"{name} must be {_WANTED[wanted]}, not {str(value)[:60]!r}")
    if isinstance(value, str):
        require_text(value, name, empty=True)
    if isinstance(value, dict):
        for key, text in value.items():
            _check(f"{name}.{key[:60]}", text, str)
