"""`joulebook reconcile`, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook.tables import Column, Page, grid, sentence

if TYPE_CHECKING:
    from joulebook_ledger.bills.bodies import AccountBody, ReconciliationBody


def page(body: ReconciliationBody, paper: Page) -> str:
    """Return each bill of the month, and what was metered and not billed."""
    link = f"link {body['link']} ({body['head'][:12]})" if body["head"] else "nothing is booked yet"
    parts = [f"Reconciliation {body['month']}  {link}"]
    if not body["accounts"]:
        parts.append(sentence("no bill of this month is in the book: `joulebook import focus FILE`", paper, "yellow"))
    for account in body["accounts"]:
        parts += _account(account, paper)
    if body["unbilled"]:
        rows = [[its["host"], f"{its['metered_hours']:,.2f}", its["booked"]] for its in body["unbilled"]]
        columns = [Column("IN NO BILL", shrinks=True), Column("HOURS", right=True), Column("BY PRICE", right=True)]
        parts.append(grid(columns, rows, paper))
    return "\n\n".join(parts)


def _account(its: AccountBody, paper: Page) -> list[str]:
    whole = (
        f"{its['provider']}, account {its['billing_account']}, from {its['billing_period']}: billed {its['billed_cost']}, effective "
        f"{its['effective_cost']} {its['currency']}; {its['in_machines']} in machines, {its['unallocated']} unallocated "
        f"({its['rows']:,} rows, delivery {its['delivery']})"
    )
    kinds = [f"{category} {amount}" for category, amount in its["by_category"].items()]
    if its["corrections"] != "0":
        kinds.append(f"of these corrections of earlier bills {its['corrections']}")
    parts = [sentence(whole, paper), sentence("; ".join(kinds), paper)]
    parts += [sentence(note, paper, "yellow") for note in its["notes"]]
    parts.append(grid(
        [Column("INVOICE", shrinks=True), Column("BILLED", right=True), Column("EXACTLY", right=True)],
        [[one["invoice"] or "(none named)", one["to_the_cent"], one["billed_cost"]] for one in its["invoices"]], paper,
    ))  # fmt: skip
    parts.append(grid(
        [Column("SERVICE", shrinks=True), Column("BILLED", right=True), Column("EFFECTIVE", right=True), Column("IN MACHINES", right=True)],
        [[one["service"], one["billed_cost"], one["effective_cost"], one["in_machines"]] for one in its["services"]], paper,
    ))  # fmt: skip
    if its["machines"]:
        parts.append(_machines(its, paper))
    if its["commitments"]:
        parts.append(grid(
            [Column("COMMITMENT", shrinks=True), Column("PAID", right=True), Column("USED", right=True), Column("UNUSED", right=True)],
            [[one["commitment"], one["purchased"], one["used"], one["unused"]] for one in its["commitments"]], paper,
        ))  # fmt: skip
    return parts


def _machines(its: AccountBody, paper: Page) -> str:
    columns = [
        Column("MACHINE", shrinks=True), Column("HOURS", right=True), Column("BY PRICE", right=True), Column("BILL", right=True),
        Column("DIFFERENCE", right=True), Column("WHY", shrinks=True),
    ]  # fmt: skip
    rows = [
        [
            one["host"], f"{one['metered_hours']:,.2f}", one["estimate"] or "?", one["effective_cost"], one["difference"] or "?",
            ", ".join(f"{cause.replace('_', ' ')} {amount}" for cause, amount in one["causes"].items()),
        ]
        for one in its["machines"]
    ]  # fmt: skip
    return grid(columns, rows, paper)
