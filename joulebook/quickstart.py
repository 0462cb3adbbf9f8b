"""A tour with real models: eight kinds from scikit-learn on its handwritten digits, each trained under `track()`.

It writes to a book of its own, so that nobody's figures are mixed with a demonstration's, and says where. The location is never
guessed: without a zone CO2e stays unknown, and the page says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from joulebook import pages
from joulebook.tables import sentence
from joulebook.wiring import Door
from joulebook_ledger.bodies import FootprintRow
from joulebook_ledger.core.periods import month_of
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.queries import RankQuery, ReportQuery, RunsQuery

if TYPE_CHECKING:
    from joulebook_ledger.ledger import Ledger

FOLDER = "quickstart"
TASK = "digits"
PROJECT = "quickstart"
SEED = 0
FOLDS = 3
HELD_OUT = 0.25
OWN_SCRIPT = """\
import joulebook
with joulebook.track(model="my-model", task="my-task") as run:
    run.log(accuracy=train())  # train() is your own code"""


class Recipe(NamedTuple):
    """One kind of model and how it is trained: every setting is tried with cross-validation, the best is trained on all.

    Attributes:
        name: For people.
        make: Makes an untrained model of some settings.
        settings: Name of a setting -> values to try.
        count: Counts what the trained model has learnt.
    """

    name: str
    make: Callable[..., Any]
    settings: dict[str, Sequence[Any]]
    count: Callable[[Any], int]


def run(door: Door, *, zone: str = "", price: str = "", currency: str = "") -> None:
    """Train, then show footprints, this month's report and the ranking.

    Raises:
        BadInput: The zone or price cannot be taken.
        Unavailable: scikit-learn is not installed.
    """
    recipes = _recipes()
    home = Path(door.settings.home) / FOLDER
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = f"sqlite:///{home / 'book.sqlite'}"
    own = Door({**door.environment, "JOULEBOOK_LEDGER": url}, out=door.out, err=door.err, keys=door.keys)
    if zone or price or currency:
        _place(own, zone=zone, price=price, currency=currency)
    own.tell(f"This tour writes to a book of its own: {url}")
    with _quietly():
        _train_all(recipes, own, url)
    # What was trained just now is later than when this command began.
    later = Door(own.environment, out=door.out, err=door.err, keys=door.keys)
    with later.ledger() as ledger:
        _show(ledger, later, len(recipes))
    later.say(f"Three lines for your own script:\n\n{OWN_SCRIPT}\n")
    later.say(f"This tour's book: {url}\nLook around in it: JOULEBOOK_LEDGER={url} joulebook why last energy_kwh")


def _place(door: Door, *, zone: str, price: str, currency: str) -> None:
    from joulebook.placing import place_machine
    from joulebook_ledger.desk.entering import Place

    if price and not currency:
        raise BadInput(f"price {price} has no currency: add one, such as --currency EUR")
    place_machine(Place(machine="", zone=zone, price_per_kwh=price, currency=currency, ownership=""), door, yes=True)


def _show(ledger: Ledger, door: Door, models: int) -> None:
    month = month_of(door.now_ms)
    runs = ledger.runs(RunsQuery(labels={"project": PROJECT}, limit=models))
    report = ledger.report(ReportQuery(from_month=month, to_month=month))
    rank = ledger.rank(RankQuery(task=TASK, score="accuracy", per="energy", split="test"))
    is_placed = report["total"].get("co2e_location_kg") is not None
    is_priced = report["total"].get("cost") is not None
    for row in [*(item["footprint"] for item in runs["items"]), *report["rows"], report["total"]]:
        _without_reasons(row)  # they name commands for the user's own book
    for page in (pages.runs(runs, door.page), pages.report(report, door.page), pages.rank(rank, door.page)):
        door.say(f"\n{page}")
    if not is_placed:
        door.say(f"\n{sentence(_NO_ZONE, door.page, 'yellow')}")
    if not is_priced:
        door.say(f"\n{sentence(_NO_PRICE, door.page, 'yellow')}")
    door.say("")


_NO_ZONE = (
    "CO2e is unknown: no grid zone is set, and a location is never guessed. `joulebook quickstart --zone FR` sets one for this tour; "
    "WORLD takes a world average, worth ± 120 %."
)
_NO_PRICE = (
    "Cost is unknown: `joulebook quickstart --price 0.25 --currency EUR` sets a price of electricity for this tour."
)


def _without_reasons(row: FootprintRow) -> None:
    row["reasons"] = {}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the closing lines of runs out of the progress bar."""
    before = os.environ.get("JOULEBOOK_QUIET")
    os.environ["JOULEBOOK_QUIET"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["JOULEBOOK_QUIET"]
        else:
            os.environ["JOULEBOOK_QUIET"] = before


def _train_all(recipes: Sequence[Recipe], door: Door, url: str) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from sklearn.datasets import load_digits
    from sklearn.model_selection import ParameterGrid, train_test_split
    from threadpoolctl import threadpool_limits

    import joulebook

    inputs, targets = load_digits(return_X_y=True)
    data = train_test_split(inputs / inputs.max(), targets, test_size=HELD_OUT, stratify=targets, random_state=SEED)
    steps = {recipe.name: len(ParameterGrid(recipe.settings)) * FOLDS + 1 for recipe in recipes}
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(file=door.err)
    bar = Progress(*columns, console=console, refresh_per_second=4, disable=not console.is_terminal)
    # One thread: models this small gain nothing from more, and waiting threads would draw power for nothing.
    with bar, threadpool_limits(limits=1):
        for recipe in recipes:
            task = bar.add_task(recipe.name, total=steps[recipe.name])
            with joulebook.track(
                model=recipe.name, task=TASK, stage="training", project=PROJECT, ledger=url
            ) as tracked:
                accuracy, parameters = _train(recipe, data, partial(bar.advance, task))
                tracked.log(accuracy=accuracy, split="test")
                tracked.log(params=parameters, samples=len(data[0]))
            if not console.is_terminal:
                door.tell(f"trained {recipe.name}: accuracy {accuracy:.3f}, {parameters:,} parameters")


def _train(recipe: Recipe, data: Sequence[Any], advance: Callable[[], None]) -> tuple[float, int]:
    """Return the held-out accuracy of the best settings, and how many numbers the model has learnt."""
    from sklearn.model_selection import ParameterGrid, StratifiedKFold

    inputs, held_out_inputs, targets, held_out_targets = data
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(inputs, targets))
    best: tuple[float, dict[str, Any]] = (-1.0, {})
    for settings in ParameterGrid(recipe.settings):
        total = 0.0
        for train, test in folds:
            total += recipe.make(**settings).fit(inputs[train], targets[train]).score(inputs[test], targets[test])
            advance()
        best = max(best, (total, settings), key=lambda tried: tried[0])
    model = recipe.make(**best[1]).fit(inputs, targets)
    advance()
    return float(model.score(held_out_inputs, held_out_targets)), recipe.count(model)


def _recipes() -> list[Recipe]:
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.naive_bayes import GaussianNB
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.neural_network import MLPClassifier
        from sklearn.svm import SVC
        from sklearn.tree import DecisionTreeClassifier
    except ImportError as error:
        raise Unavailable(
            f"the quickstart trains models of scikit-learn, which cannot be loaded ({error}): pip install 'joulebook[quickstart]'"
        ) from None
    seeded = {"random_state": SEED}
    net = partial(MLPClassifier, max_iter=600, **seeded)
    tree = partial(DecisionTreeClassifier, **seeded)
    return [
        Recipe("naive Bayes", GaussianNB, {"var_smoothing": [10 ** (-k / 4) for k in range(1, 40)]}, lambda m: _size(m.theta_, m.var_)),
        Recipe("logistic regression", partial(LogisticRegression, max_iter=3_000), {"C": [0.03, 0.1, 0.3, 1, 3]},
               lambda m: _size(m.coef_, m.intercept_)),
        Recipe("nearest neighbours", KNeighborsClassifier, {"n_neighbors": range(1, 12), "weights": ["uniform", "distance"]},
               lambda m: int(m.n_samples_fit_ * m.n_features_in_)),
        Recipe("decision tree", tree, {"max_depth": [6, 9, 12, None], "min_samples_leaf": [1, 2, 4]}, lambda m: int(m.tree_.node_count)),
        Recipe("random forest", partial(RandomForestClassifier, **seeded), {"n_estimators": [100, 300]},
               lambda m: sum(int(tree.tree_.node_count) for tree in m.estimators_)),
        Recipe("support vectors", SVC, {"C": [1, 3, 10], "gamma": [0.02, 0.05, 0.1]}, lambda m: _size(m.support_vectors_, m.dual_coef_)),
        Recipe("small neural net", partial(net, (32,)), {"alpha": [1e-4]}, lambda m: _size(*m.coefs_, *m.intercepts_)),
        Recipe("large neural net", partial(net, (256, 128)), {"alpha": [1e-2]}, lambda m: _size(*m.coefs_, *m.intercepts_)),
    ]  # fmt: skip


def _size(*arrays: Any) -> int:
    return sum(int(array.size) for array in arrays)
