"""Typer commands that take words as they are.

Typer turns every value with pydantic, and loading pydantic alone takes half of the 0.5 s in which a reading command has to answer.
Our values are texts and switches, which need no turning; whatever is missing or odd still goes Typer's way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

_TAKEN_AS_THEY_ARE = (str, list[str], bool)


class PlainCommand(TyperCommand):
    """A command whose texts and switches are taken as they are."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, made plain."""
        return _made_plain(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """The group of such commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, made plain."""
        return _made_plain(super().get_params(ctx))


def _made_plain(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        described = getattr(parameter, "type_descriptor", None)
        is_plain = getattr(described, "annotation", None) in _TAKEN_AS_THEY_ARE
        if is_plain and not isinstance(parameter.process_value, partial):
            parameter.process_value = partial(_take, parameter, parameter.process_value)
            if parameter.metavar is None or isinstance(parameter, TyperArgument):
                parameter.display_type_rich = _no_type
    return parameters


def _no_type(**_context: Any) -> None:
    """Show no type in the help: a switch has none, and a word is a text."""


def _take(parameter: Any, turn: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    """Return the value as it is, where it needs neither turning nor an answer of Typer's."""
    is_left_out = not value and not parameter.required
    is_given = bool(value) and isinstance(value, str | list | tuple | bool) and parameter.callback is None
    return value if is_left_out or is_given else turn(context, value)
