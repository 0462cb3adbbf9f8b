"""Options that several commands share, and what is made of their words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from joulebook.wiring import Door
from joulebook_ledger.core.events import check_label
from joulebook_ledger.core.refusals import BadInput

TRACK = "Track"
LOOK = "Look"
BOOKS = "Books"
SERVICE = "Run a service"

Json = Annotated[bool, typer.Option("--json", help="Write the answer as JSON, unrounded: the body that REST sends.")]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's id or its beginning; the last run where left out.", show_default=False),
]
Model = Annotated[str, typer.Option("--model", metavar="NAME", help="Name of the model.", show_default=False)]
Version = Annotated[str, typer.Option("--version", metavar="TEXT", help="Version of the model.", show_default=False)]
Task = Annotated[
    str, typer.Option("--task", metavar="NAME", help="What the model is for, such as imagenet.", show_default=False)
]
Stage = Annotated[
    str,
    typer.Option(
        "--stage",
        metavar="STAGE",
        help="training, finetuning, tuning, evaluation, serving or other.",
        show_default=False,
    ),
]
Project = Annotated[str, typer.Option("--project", metavar="NAME", help="Project.", show_default=False)]
Team = Annotated[str, typer.Option("--team", metavar="NAME", help="Team.", show_default=False)]
Name = Annotated[str, typer.Option("--name", metavar="TEXT", help="Name of the run for people.", show_default=False)]
Author = Annotated[
    str, typer.Option("--author", metavar="NAME", help="Who says so.", show_default="JOULEBOOK_AUTHOR, else this host")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be given several times.", show_default=False),
]


def examples(*lines: str) -> str:
    """Return the examples below a command's help, with what rich would take for markup left as it is."""
    return "\n".join(["Examples:", *(f"$ {line}".replace("[", "\\[") for line in lines)])


def labels_of(tags: Iterable[str] | None, **given: str) -> dict[str, str]:
    """Return the labels that were given, checked.

    Raises:
        BadInput: A label is too long or unknown, the stage is none, a tag has no value.
    """
    labels = {name: value for name, value in given.items() if value}
    for tag in tags or ():
        key, value = pair_of(tag, "tag")
        labels[f"tag:{key}"] = value
    for name, value in labels.items():
        check_label(name, value)
    return labels


def pair_of(word: str, what: str) -> tuple[str, str]:
    """Return key and value of "key=value".

    Raises:
        BadInput: There is no key, or no "=".
    """
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise BadInput(f"{what} {word[:60]!r} has no value: write {what}s as key=value")
    return key.strip(), value.strip()


def door_of(context: typer.Context) -> Door:
    """Return the command's surroundings."""
    door = context.obj
    assert isinstance(door, Door)
    return door


def whole(text: str, name: str, least: int, most: int) -> int:
    """Return the whole number that a word is.

    Raises:
        BadInput: It is none, or out of bounds.
    """
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or not least <= int(text) <= most:
        raise BadInput(f"{name} must be a whole number from {least} to {most}, not {text[:60]!r}")
    return int(text)
