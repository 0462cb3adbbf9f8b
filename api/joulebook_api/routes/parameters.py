"""What the routes share: the ledger, the parameters of a query, and their refusal by name and value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from fastapi import Depends, Query, Request
from fastapi.security import HTTPBearer

from joulebook_api.problems import MEDIA_TYPE
from joulebook_ledger.core.periods import parse_month
from joulebook_ledger.core.refusals import BadInput, Refused
from joulebook_ledger.core.vocabulary import STAGES, require_choice, require_text
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.queries import BASES, GROUPINGS, IDLE_RULES, ReportQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastapi.dependencies.models import Dependant

LONGEST_PARAMETER = 1000


async def _ledger_of(request: Request) -> Ledger:
    ledger: Ledger = request.app.state.ledger
    return ledger


Book = Annotated[Ledger, Depends(_ledger_of)]


async def _refuse_unknown(request: Request) -> None:
    """Refuse a parameter that the page does not take, one given twice, and a value that is no text.

    A mistyped filter that is passed over would answer with the figures of everything.
    """
    fields = {field.alias: field for field in _query_fields(request.scope["route"].dependant)}
    given = request.query_params.multi_items()
    for name, value in given:
        if name not in fields:
            known = ", ".join(sorted(fields)) or "no parameters"
            raise BadInput(f"parameter {name[:60]!r} is not known here: this page takes {known}")
        require_text(value, name, longest=LONGEST_PARAMETER, empty=True)
        if len(request.query_params.getlist(name)) > 1 and fields[name].field_info.annotation != list[str]:
            raise BadInput(f"{name} is given more than once: give it once")
    for name, value in request.path_params.items():
        require_text(value, name, longest=LONGEST_PARAMETER)


def _query_fields(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for inner in dependant.dependencies:
        yield from _query_fields(inner)


# Of every page about a book. The guard has asked for the token already; here it is only declared.
PAGE_DEPENDENCIES = [
    Depends(_refuse_unknown),
    Depends(HTTPBearer(auto_error=False, description="The token in the file `token` of the service's JOULEBOOK_HOME.")),
]

_DESCRIPTIONS = {
    400: "No well-formed batch; nothing of it is stored",
    401: "No token, or another one",
    404: "Nothing in the book has that name; the nearest are named",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "A value cannot be taken; it is named with the way out",
    503: "The book cannot be reached just now; nothing is lost",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the declaration of problem answers for a route."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in statuses}


def chosen(value: str, name: str, choices: tuple[str, ...]) -> str:
    """Return the value if it is one of the choices or empty."""
    return require_choice(value, name, choices) if value else ""


def pairs(texts: Iterable[str], name: str) -> dict[str, str]:
    """Return the mapping of texts such as "accuracy=0.7".

    >>> pairs(["accuracy=0.7"], "min")
    {'accuracy': '0.7'}
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadInput(f"{name} {text[:60]!r} is no pair: write it as {name}=NAME=VALUE")
        if key in found:
            raise BadInput(f"{name} names {key[:60]!r} twice: give it once")
        found[key] = value
    return found


def filters(labels: dict[str, str], tags: list[str]) -> dict[str, str]:
    """Return the labels that are asked for; a tag is the label `tag:KEY`."""
    chosen(labels.get("stage", ""), "stage", STAGES)
    wanted = {name: value for name, value in labels.items() if value}
    return wanted | {f"tag:{key}": value for key, value in pairs(tags, "tag").items()}


def grouping(by: str) -> tuple[str, ...]:
    """Return the keys of a text such as "model,tag:grid"."""
    keys = tuple(key.strip() for key in by.split(",") if key.strip())
    for key in keys:
        if not (key.startswith("tag:") and len(key) > len("tag:")) and key not in GROUPINGS:
            raise Refused("unknown_by", f"by {key[:60]!r} is none of: {', '.join(GROUPINGS)}, tag:KEY")
    if not keys or len(set(keys)) < len(keys):
        raise BadInput(f"by names each key once and at least one, not {by[:60]!r}")
    return keys


Tags = Annotated[
    list[str], Query(alias="tag", description="A tag as KEY=VALUE; may be given again.", default_factory=list)
]
By = Annotated[
    str,
    Query(
        description=f"Keys of the rows, with commas between: {', '.join(GROUPINGS)}, tag:KEY.", examples=["model,team"]
    ),
]
From = Annotated[str, Query(alias="from", description="First month, YYYY-MM.")]
To = Annotated[str, Query(alias="to", description="Last month, YYYY-MM; the first where left out.")]


class ReportOptions(NamedTuple):
    """What every report can be asked for besides its period and its rows."""

    basis: str
    idle: str
    as_of: str


async def _report_options(
    basis: Annotated[str, Query(description="closed (as sealed) or current (as known today).")] = "closed",
    idle: Annotated[str, Query(description="separate, or spread over the rows: proportional, uniform.")] = "separate",
    as_of: Annotated[str, Query(description="A chain link's number or a past instant; now where left out.")] = "",
) -> ReportOptions:
    require_choice(basis, "basis", BASES)
    require_choice(idle, "idle", IDLE_RULES)
    return ReportOptions(basis=basis, idle=idle, as_of=as_of)


Options = Annotated[ReportOptions, Depends(_report_options)]


def months(first: str, last: str) -> tuple[int, int]:
    """Return the months from first to last, yyyymm; the last is the first where it is left out."""
    from_month = parse_month(first)
    to_month = parse_month(last) if last else from_month
    if to_month < from_month:
        raise BadInput(f"the period ends before it begins: from={first} to={last}")
    return from_month, to_month


def report_query(first: str, last: str, by: tuple[str, ...], options: ReportOptions) -> ReportQuery:
    """Return the query for the months from first to last; the last is the first where it is left out."""
    from_month, to_month = months(first, last)
    return ReportQuery(from_month=from_month, to_month=to_month, by=by, **options._asdict())
