"""What a run is called: from the keywords of `track()`, the variables and the project's file, made fit for the books.

Nothing here raises: what cannot be taken is said once on stderr, and what can be is kept.
"""

from __future__ import annotations

from joulebook_collectors.host.guard import say_once
from joulebook_collectors.host.identity import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STAGES = ("training", "finetuning", "tuning", "evaluation", "serving", "other")
SCOPES = ("host", "process")
LABELS = ("model", "version", "task", "stage", "project", "team", "base_model", "sweep", "name")
LONGEST = 200


def labels_of(given: Mapping[str, object], tags: object, settled: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a run.

    Args:
        given: Keyword -> what the caller gave; None where nothing was given.
        tags: Mapping of tags, or a list of bare ones.
        settled: Labels by variable and by project file, which hold where the caller gave none.
    """
    labels = dict(settled)
    labels.update({name: str(value) for name, value in given.items() if value is not None and name in LABELS})
    labels.update({f"tag:{key}": value for key, value in _tags_of(tags)})
    return {
        name: text for name, text in ((name, _fit(name, value)) for name, value in labels.items()) if text is not None
    }


def scope_of(given: object, settled: str) -> str:
    """Return the scope that holds."""
    if given is None:
        return settled
    if given in SCOPES:
        return str(given)
    say_once(f"scope {str(given)[:60]!r} is none of: {', '.join(SCOPES)}; {settled!r} holds")
    return settled


def _fit(name: str, value: str) -> str | None:
    text = clean(value)
    if len(value) > LONGEST:
        say_once(f"{name} has {len(value)} characters, {LONGEST} are kept: {text[:40]!r}…")
    if name == "stage" and text not in STAGES:
        say_once(f"stage {text[:60]!r} is none of: {', '.join(STAGES)}; the run is kept as 'other'")
        return "other"
    if not text and name != "version" and not name.startswith("tag:"):
        return None
    return text


def _tags_of(tags: object) -> Iterable[tuple[str, str]]:
    if tags is None:
        return ()
    if isinstance(tags, str):
        pairs = [(clean(key), value.strip()) for key, _, value in (part.partition("=") for part in tags.split(","))]
    elif isinstance(tags, dict):
        pairs = [(clean(str(key)), str(value)) for key, value in tags.items()]
    elif isinstance(tags, list | tuple | set | frozenset):
        pairs = [(clean(str(key)), "") for key in tags]
    else:
        say_once(f"tags must be a mapping or a list, not {str(tags)[:60]!r}: they are left out")
        pairs = []
    return [(key, value) for key, value in pairs if key]
