"""Bills over REST: the same use case as on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.focus import focus_csv
from service.conftest import Served
from service.test_register_over_http import post

from joulebook.bills import files_of
from joulebook_ledger.bills.importing import TakingBill, taking_of
from joulebook_ledger.bills.reading import rows_of
from joulebook_ledger.bills.sending import body_of_bill
from joulebook_ledger.core.refusals import BadInput

ROWS = [{"EffectiveCost": f"{n}.000000001", "ResourceId": 'a "disk", Köln\n'.strip(), "Tags": "NULL"} for n in range(7)]


def folder_with(folder: Path, *parts: bytes) -> Path:
    """Return a folder of the files of one delivery."""
    export = folder / "export"
    export.mkdir()
    for number, part in enumerate(parts):
        (export / f"part-{number}.csv").write_bytes(part)
    (export / "_SUCCESS").write_bytes(b"")
    return export


def test_a_folder_is_one_delivery_near_and_far(served: Served, tmp_path: Path) -> None:
    """Sent to a service and taken in beside it, it is the same bill; what it warns of is said by both."""
    paths = files_of(str(folder_with(tmp_path, focus_csv(ROWS[:3]), focus_csv(ROWS[3:]))))
    sent = served.remote.take_bill(taking_of(paths, name="a", author="ann"), rows_of(paths), lambda _: None)
    assert [(its["rows"], its["effective_cost"], its["outcome"]) for its in sent["items"]] == [
        (7, "21.000000007", "stored")
    ]
    assert sent["warnings"] == ["7 cells said NULL and were taken as null"]
    again = served.book.take_bill(taking_of(paths, name="b", author="ann"), rows_of(paths), lambda _: None)
    assert again["items"] == [its | {"outcome": "already_stored"} for its in sent["items"]]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"file": "f", "digest": "0" * 64, "files": [{"name": "f", "text": "BilledCost\n1\n"}]}, 422, "every FOCUS file has is missing: "),
        ({"file": "f", "digest": "0" * 63, "files": [{"name": "f", "text": "a"}]}, 422, "sha256"),
        ({"file": "f", "digest": "0" * 64, "files": []}, 400, "files a list"),
        ({"file": "f", "digest": "0" * 64, "files": [{"name": 1, "text": "a"}]}, 400, "files a list"),
        ({"file": "f", "digest": "0" * 64, "rows": []}, 400, "not 'rows'"),
        ([], 400, "the body is an object"),
    ],
)  # fmt: skip
def test_a_bill_that_is_none_is_a_problem(shared: Served, body: object, status: int, why: str) -> None:
    """With the reason, and nothing is stored."""
    answer = post(shared, "/v1/bills", body)
    assert (answer.status_code, why in answer.json()["detail"]) == (status, True), answer.text


def test_a_bill_too_large_for_a_service_names_the_way_out() -> None:
    """It is taken in where the book itself can be reached."""
    act = TakingBill("a", "ann", "f", "0" * 64)
    rows = (row for _ in range(3) for row in [("f", 2, ["x" * (1 << 24)])])
    with pytest.raises(BadInput, match="where the book itself can be reached"):
        body_of_bill(act, rows)  # type: ignore[arg-type]
