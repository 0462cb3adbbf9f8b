from books import Plan, realistic_batches
from helpers.stored_book import StoredBook


def test_a_book_that_nobody_touched_proves_itself(keeper):
    """Every check holds, and the head is that of the newest link."""
    keeper.tell(*realistic_batches(Plan(runs=3)))
    body = keeper.ledger.verify()
    assert body["ok"]
    assert all(check["ok"] for check in body["checks"])
    assert len(body["head"]) == 64
    assert body["link"] > 0


def test_a_reading_that_was_changed_behind_the_laws_is_named(keeper, book_url):
    """Whoever lowers a reading is found out, and the answer says where."""
    keeper.tell(*realistic_batches(Plan(runs=3)))
    with_laws = StoredBook(book_url)
    with with_laws.without_laws():
        with_laws.run("UPDATE meter_window SET energy_mj = energy_mj - 1 WHERE energy_mj > 0")
    with_laws.close()
    body = keeper.ledger.verify()
    failed = [check["name"] for check in body["checks"] if not check["ok"]]
    assert not body["ok"]
    assert "receipts" in failed
    assert "kept elsewhere" in body["cannot_prove"]
