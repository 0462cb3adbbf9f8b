"""Rankings: which model gives most for what it takes, the Pareto front first (DESIGN §6).

Per model version the median score and the median resource over finished runs, beside them the total of all runs, failed ones too. What
the query leaves open is chosen only where the book leaves no choice; else the choices are listed and nothing is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from joulebook_ledger.core.frontier import Point, rank
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import STAGES
from joulebook_ledger.figures.directions import EFFICIENCY_FACTS
from joulebook_ledger.figures.runfacts import FINISHED, RunFacts, run_facts
from joulebook_ledger.figures.scores import RunScore, run_scores
from joulebook_ledger.queries import RESOURCES
from joulebook_ledger.store import reads, reads_runs
from joulebook_ledger.views.resources import Resource, resources_of
from joulebook_ledger.views.tellapart import can_tell_apart

if TYPE_CHECKING:
    from joulebook_ledger.bodies import RankBody, RankRow
    from joulebook_ledger.queries import RankQuery
    from joulebook_ledger.store.rows import Rows

NO_SCORES = (
    "no finished run has a score to rank by: log one, such as run.log(accuracy=0.93) or `joulebook log accuracy=0.93`"
)
EVERY = "*"
_Version = tuple[str, str]


class _Choice(NamedTuple):
    """What is ranked: everything the query said, or the book left no choice about."""

    task: str
    stage: str
    score: str
    split: str
    lower_is_better: bool


class _Candidate(NamedTuple):
    """A model version with its finished runs that have the score and the resource."""

    key: _Version
    value: float
    resource: Resource
    middle: str
    runs: int


def make_ranking(rows: Rows, query: RankQuery) -> RankBody:
    """Return a ranking.

    Raises:
        BadInput: A resource or stage that is none, or a choice that the book leaves open; the message lists what there is.
    """
    if query.per not in RESOURCES:
        raise BadInput(f"per {query.per[:60]!r} is none of: {', '.join(RESOURCES)}")
    if query.stage and query.stage not in STAGES:
        raise BadInput(f"stage {query.stage[:60]!r} is none of: {', '.join(STAGES)}")
    runs = run_facts(reads_runs.events(rows), reads.names(rows))
    scores = [score for score in run_scores(reads_runs.scores(rows)) if score.run in runs]
    choice = _choose(query, runs, scores)
    if choice is None:
        return _empty(query)
    return _ranked(rows, query, choice, runs, scores)


def _ranked(
    rows: Rows, query: RankQuery, choice: _Choice, runs: Mapping[str, RunFacts], scores: Sequence[RunScore]
) -> RankBody:
    field = {run: facts for run, facts in runs.items() if _is_in_field(facts, choice)}
    values = _values(choice, scores, best=query.best)
    resources = resources_of(rows, field, query.per, scores)
    excluded: list[dict[str, Any]] = []
    taken: defaultdict[_Version, list[str]] = defaultdict(list)
    everything: defaultdict[_Version, list[str]] = defaultdict(list)
    for run, facts in field.items():
        key = (facts.labels.get("model", ""), facts.labels.get("version", ""))
        everything[key].append(run)
        reason = _why_left_out(facts, choice, values, resources, query.per)
        if reason:
            excluded.append({"run": run, "model": key[0], "version": key[1], "reason": reason})
        else:
            taken[key].append(run)
    candidates = [_candidate(key, its, values, resources) for key, its in taken.items()]
    candidates, below = _reaching(candidates, taken, query, scores)
    told = _rows(candidates, everything, resources, choice)
    return {
        "task": choice.task, "score": choice.score, "per": query.per, "stage": choice.stage, "split": choice.split,
        "lower_is_better": choice.lower_is_better, "rows": told, "excluded": [*below, *excluded], "notes": _notes(told, query),
    }  # fmt: skip


def _choose(query: RankQuery, runs: Mapping[str, RunFacts], scores: Sequence[RunScore]) -> _Choice | None:
    """Return what is ranked, or None where no finished run has a score."""
    left = [
        score
        for score in scores
        if runs[score.run].status == FINISHED
        and not runs[score.run].excluded
        and (score.name not in EFFICIENCY_FACTS or score.name == query.score)
    ]
    if not left:
        return None

    def value_of(what: str, score: RunScore) -> str:
        if what in {"task", "stage"}:
            return runs[score.run].labels.get(what, "")
        return score.name if what == "score" else score.split

    said = {"task": query.task, "score": query.score, "stage": query.stage, "split": query.split}
    for what, wanted in said.items():  # all that was said first, so that nothing is asked that it settles
        if wanted:
            there = {value_of(what, score) for score in left}
            if wanted not in there:
                raise BadInput(f"no finished run with a score has {what} {wanted[:60]!r}: there are {_listed(there)}")
            left = [score for score in left if value_of(what, score) == wanted]
    for what, wanted in said.items():
        if not wanted:
            said[what] = _only(what, (value_of(what, score) for score in left))
            left = [score for score in left if value_of(what, score) == said[what]]
    return _Choice(said["task"], said["stage"], said["score"], said["split"], _direction(said["score"], left))


def _only(what: str, values: Iterable[str]) -> str:
    """Return the one value there is; where some runs have none, the one that is named."""
    found = set(values)
    named = found - {""}
    if len(named) > 1:
        raise BadInput(f"the book leaves a choice of {what}: say --{what} with one of {_listed(named)}")
    return named.pop() if named else ""


def _direction(name: str, scores: Iterable[RunScore]) -> bool:
    said = {score.lower_is_better for score in scores} - {None}
    if len(said) > 1:
        raise BadInput(
            f"some runs say that less of {name!r} is better and some that more is: log it with one direction"
        )
    if not said:
        raise BadInput(
            f"which way is better is not known of {name!r}: log it with lower_is_better=({name!r},) or higher_is_better, "
            f"or `joulebook log {name}=… --lower-is-better`"
        )
    return bool(said.pop())


def _is_in_field(run: RunFacts, choice: _Choice) -> bool:
    return run.labels.get("task", "") == choice.task and run.labels.get("stage", "") == choice.stage


def _values(choice: _Choice, scores: Iterable[RunScore], *, best: bool) -> dict[str, str]:
    return {
        score.run: (score.best or score.last) if best else score.last
        for score in scores
        if score.name == choice.score and score.split == choice.split
    }


def _why_left_out(
    run: RunFacts, choice: _Choice, values: Mapping[str, str], resources: Mapping[str, Resource], per: str
) -> str:
    """Return why a run is not ranked; empty where it is."""
    if run.excluded:
        return f"excluded: {run.excluded}"
    if run.status != FINISHED:
        return run.status
    if not run.labels.get("model"):
        return "no model: `joulebook label RUN --model NAME`"
    if run.run not in values:
        return f"no score {choice.score}"
    resource = resources.get(run.run)
    if resource is None or resource.amount is None:
        return f"{per} is not known: {resource.reason if resource else 'nothing was booked of it'}"
    return ""


def _candidate(
    key: _Version, runs: Sequence[str], values: Mapping[str, str], resources: Mapping[str, Resource]
) -> _Candidate:
    amounts = {run: amount for run in runs if (amount := resources[run].amount) is not None}
    middle_amount = median(amounts.values())
    # The run nearest to the median stands for the version, so that `why` has one run to take apart.
    middle = min(runs, key=lambda run: (abs(amounts[run] - middle_amount), run))
    value = median(float(values[run]) for run in runs)
    return _Candidate(key, value, resources[middle].with_amount(middle_amount), middle, len(runs))


def _reaching(
    candidates: Sequence[_Candidate],
    taken: Mapping[_Version, Sequence[str]],
    query: RankQuery,
    scores: Sequence[RunScore],
) -> tuple[list[_Candidate], list[dict[str, Any]]]:
    """Return who reaches what was asked for at least, and who does not; of a score where less is better, at most."""
    reaching = list(candidates)
    below: list[dict[str, Any]] = []
    for name, text in query.least.items():
        bound = _number(name, text)
        named = [score for score in scores if score.name == name]
        if not named:
            raise BadInput(f"no run has a score {name[:60]!r}: there are {_listed({score.name for score in scores})}")
        is_lower = any(score.lower_is_better for score in named)
        last = {score.run: float(score.last) for score in named}
        for its in list(reaching):
            values = [last[run] for run in taken[its.key] if run in last]
            reached = median(values) if values else None
            if reached is None or (reached > bound if is_lower else reached < bound):
                reaching.remove(its)
                shown = "unknown" if reached is None else f"{reached:g}"
                reason = f"{name} {shown} is {'above' if is_lower and reached is not None else 'below'} {text}"
                below.append({"run": None, "model": its.key[0], "version": its.key[1], "reason": reason})
    return reaching, below


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"least {name} must be a number, not {text[:60]!r}") from None


def _rows(
    candidates: Sequence[_Candidate],
    everything: Mapping[_Version, Sequence[str]],
    resources: Mapping[str, Resource],
    choice: _Choice,
) -> list[RankRow]:
    by_key = {its.key: its for its in candidates}
    points = [Point(key=its.key, score=its.value, resource=its.resource.in_unit) for its in candidates]
    told: list[RankRow] = []
    for standing in rank(points, lower_is_better=choice.lower_is_better):
        its = by_key[standing.key]
        amounts = [resources[run].amount for run in everything[its.key] if run in resources]
        known = [amount for amount in amounts if amount is not None]
        beaten_by = standing.dominated_by
        told.append(
            {
                "model": its.key[0], "version": its.key[1], "score": choice.score, "value": its.value,
                "per_unit": its.resource.in_unit, "unit": its.resource.unit, "ratio": standing.ratio, "runs": its.runs,
                "total_runs": len(everything[its.key]),
                "total_per_unit": sum(known) / its.resource.scale if known else None,
                "on_frontier": standing.on_frontier, "dominated_by": " ".join(beaten_by).strip() if beaten_by else None,
                "robust": _is_robust(its, candidates, choice), "uncertainty": its.resource.sigma,
                "why": f"run:{its.middle}#{its.resource.column}" if its.resource.column else "",
            }
        )  # fmt: skip
    return told


def _is_robust(its: _Candidate, candidates: Sequence[_Candidate], choice: _Choice) -> bool | None:
    """Say whether the standing holds for every resource within ± 2 sigma: on the frontier against all, off it against one.

    Only what differs between two counts: an error that both share, such as the grid's, moves both alike.
    """
    sign = -1 if choice.lower_is_better else 1
    rivals = [other for other in candidates if other.key != its.key and sign * other.value >= sign * its.value]
    if its.resource.sigma is None and rivals:
        return None
    beaters = [other for other in rivals if other.resource.in_unit <= its.resource.in_unit and other != its]
    dominators = [
        other
        for other in beaters
        if sign * other.value > sign * its.value or other.resource.in_unit < its.resource.in_unit
    ]
    apart = [other for other in rivals if can_tell_apart(its.resource, other.resource)]
    if dominators:
        return any(other in apart for other in dominators)
    return len(apart) == len(rivals)


def _notes(told: Sequence[RankRow], query: RankQuery) -> list[str]:
    notes = []
    if not told:
        notes.append("no model version is left to rank: below is why each run was left out")
    if any(row["robust"] is False for row in told):
        notes.append("rows that are not robust lie within each other's ± 2 sigma: measure more runs before you choose")
    if any(row["runs"] < row["total_runs"] for row in told):
        notes.append("totals count every run of a version, the failed ones too")
    if query.best:
        notes.append("each run's best value was taken in place of its last")
    return notes


def _empty(query: RankQuery) -> RankBody:
    return {
        "task": query.task, "score": query.score, "per": query.per, "stage": query.stage, "split": query.split,
        "lower_is_better": False, "rows": [], "excluded": [], "notes": [NO_SCORES],
    }  # fmt: skip


def _listed(values: Iterable[str]) -> str:
    return ", ".join(value or "(none)" for value in sorted(values))
