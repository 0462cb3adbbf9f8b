"""The whole schema, with the laws that the database keeps by itself.

A table is written as its key columns, a bar, and its other columns. `#` marks a 64-bit integer, `#?` one that may be null, `=''` a
text that is empty unless said otherwise; everything else is a text, sorted by its bytes. What the columns mean is said where the
code names them, in `store.tables_*`.
"""

from __future__ import annotations

import sqlite3

import sqlalchemy

from alembic import op
from joulebook_ledger.store.laws import laws

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sqlalchemy.BigInteger().with_variant(sqlalchemy.Integer(), "sqlite")
WORDS = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
# A strict table takes no float for an integer. SQLite 3.37 brought them; an older one, as of RHEL 9, makes the book without.
STRICT = sqlite3.sqlite_version_info >= (3, 37)

AMOUNTS = (
    " energy_it_mj# energy_facility_mj# held_mj# unmetered_mj# time_ms# metered_ms# cost_energy# cost_instance#"
    " co2e_location# co2e_market# co2e_embodied# water_site# water_source# unc_facility_mj# unc_cost_energy_mj#"
    " unc_cost_instance_ms# unc_co2e_location_mj# unc_co2e_market_mj# unc_co2e_embodied_ms# unc_water_site_mj# unc_water_source_mj#"
)
# Tables whose one key is a number. The journal gives its numbers itself; those of receipts and marks come from the database.
NUMBERED = {
    "receipt": "number# | reader sequence# part# received_ms# batch_digest digest facts# state complete_until_ms# author",
    "due": "number# | scope object first_day# last_day# cause receipt#",
}
JOURNAL = {
    "link": "sequence# | previous at_ms# receipts_digest entries_digest digest",
    "entry": f"number# | source day# revision# period# cause known# link# digest{AMOUNTS}",
    "month_close": "month# | closed_ms# tolerance_ppm# owed author link#",
}
KEYED = {
    "sealed_receipt": "receipt# | link#",
    "reader": "reader | machine boot host rank# receipt#",
    "retirement": "reader | reason author receipt#",
    "meter": "meter | device domain component boundary role max_power_mw# label receipt#",
    "meter_window": "meter start_ms# reader | end_ms# energy_mj#? method reason estimate_mj#? receipt#",
    "meter_use": "meter start_ms# reader run | energy_mj# static_mj# time_ms# active_ms# method receipt#",
    "correction": "voided_table voided_key | reason author receipt#",
    "refused_fact": "reader sequence# kind position# digest | content outcome reason detail received_ms#",
    "archive_manifest": "day# | place windows# uses# digest archived_ms#",
    "run_event": "run event | kind at_ms# labels status facts receipt#",
    "score": "run score | name value at_ms# step#? split unit lower_is_better#? receipt#",
    "work_count": "run count | start_ms# end_ms# requests# tokens_in# tokens_out# latency receipt#",
    "site": "site valid_from_ms# version | zone ownership receipt#",
    "placement": "machine valid_from_ms# version | site receipt#",
    "asset": "asset valid_from_ms# version | machine meter in_service_from_ms# in_service_to_ms#? label"
             " evidence_name evidence_digest receipt#",
    "name_map": "kind name valid_from_ms# version | value receipt#",
    "factor": "kind object provider valid_from_ms# version | valid_to_ms#? value# unit state fallback sigma_ppm# source licence"
              " currency basis='' evidence_name='' evidence_digest='' receipt#",
    "instrument": "issuer instrument version | kind market vintage_from_ms# vintage_to_ms# energy_mj# value# retired_for"
                  " retired_at_ms#? quality evidence_name evidence_digest receipt#",
    "bill_delivery": "provider billing_account billing_period# delivery | complete# rows# currency evidence_name evidence_digest receipt#",
    "bill_row": "provider billing_account billing_period# delivery position# | resource charge_start_ms# charge_end_ms# charge_category"
                " effective_cost billed_cost content receipt#",
    "restatement": "restatement | from_month# to_month# kind object provider factors_known# reason author receipt#",
    "allocation": "market year# version | state content author receipt#",
    "posting": f"entry# account method |{AMOUNTS}",
    "close_total": f"month# source account method |{AMOUNTS}",
    "close_figure": "month# account | figures",
    "close_label": "month# run | labels",
    "book_setting": "name | value",
    "usage": "meter hour# account method | energy_mj# held_mj# time_ms# unmetered_mj# overclaimed#",
    "placed": "source day# | machine",
    "booked": f"source day# account method |{AMOUNTS}",
    "balance": f"period# month# source account method |{AMOUNTS}",
}  # fmt: skip
# A fact of these carries a receipt that must exist. Windows and uses, which are many, are checked by `verify`.
OF_A_RECEIPT = (
    "sealed_receipt", "retirement", "meter", "correction", "run_event", "score", "work_count", "site", "placement", "asset",
    "name_map", "factor", "instrument", "bill_delivery", "bill_row", "restatement", "allocation",
)  # fmt: skip
SEALED = ("sealed_receipt", "entry", "month_close")
PARTITIONED_BY_DAY = ("meter_window", "meter_use")
UNIQUE = {"receipt": ("receipt_key", "reader", "sequence", "part"), "entry": ("entry_key", "source", "day", "revision")}
POSITIVE = {
    "receipt": ("receipt_number", "number"),
    "entry": ("entry_number", "number"),
    "link": ("link_sequence", "sequence"),
    "month_close": ("month_close_month", "month"),
}
INDEXES = {
    "sealed_receipt": (("sealed_receipt_link", "link"),),
    "reader": (("reader_machine", "machine"),),
    "run_event": (("run_event_at", "at_ms"),),
    "bill_row": (("bill_row_resource", "resource", "charge_start_ms"),),
    "entry": (("entry_link", "link"), ("entry_period", "period", "day")),
    "posting": (("posting_account", "account"),),
    "usage": (("usage_account", "account"),),
    "placed": (("placed_machine", "machine"),),
    "booked": (("booked_account", "account"), ("booked_day", "day")),
    "balance": (("balance_month", "month"), ("balance_account", "account")),
}


def upgrade() -> None:
    """Make all tables, then the laws."""
    for tables, gives_numbers, has_rowid in ((NUMBERED, True, True), (JOURNAL, False, True), (KEYED, False, False)):
        for name, columns in tables.items():
            make_table(name, columns, gives_numbers=gives_numbers, has_rowid=has_rowid)
    for law in laws(op.get_bind().dialect.name):
        op.execute(law)


def make_table(name: str, written: str, *, gives_numbers: bool, has_rowid: bool) -> None:
    """Make one table with its keys and indexes."""
    key, _, others = written.partition("|")
    columns = [column(text, autoincrement=gives_numbers) for text in (key + others).split()]
    keys = [text.rstrip("#") for text in key.split()]
    constraints: list[sqlalchemy.schema.Constraint] = [sqlalchemy.PrimaryKeyConstraint(*keys)]
    if name in UNIQUE:
        constraints.append(sqlalchemy.UniqueConstraint(*UNIQUE[name][1:], name=UNIQUE[name][0]))
    if name in POSITIVE:
        constraints.append(sqlalchemy.CheckConstraint(f"{POSITIVE[name][1]} > 0", name=POSITIVE[name][0]))
    if name in OF_A_RECEIPT:
        constraints.append(sqlalchemy.ForeignKeyConstraint(["receipt"], ["receipt.number"]))
    if name in SEALED:
        constraints.append(
            sqlalchemy.ForeignKeyConstraint(["link"], ["link.sequence"], deferrable=True, initially="DEFERRED")
        )
    options = {"postgresql_partition_by": "RANGE (start_ms)"} if name in PARTITIONED_BY_DAY else {}
    op.create_table(name, *columns, *constraints, sqlite_strict=STRICT, sqlite_with_rowid=has_rowid, **options)
    for index, *indexed in INDEXES.get(name, ()):
        op.create_index(index, name, indexed)


def column(written: str, *, autoincrement: bool) -> sqlalchemy.Column[int | str]:
    """Return a column from its short form."""
    if "#" in written:
        return sqlalchemy.Column(
            written.rstrip("#?"),
            NUMBER,
            nullable=written.endswith("?"),
            autoincrement="auto" if autoincrement else False,
        )
    name, defaults, _ = written.partition("=''")
    return sqlalchemy.Column(name, WORDS, nullable=False, server_default="" if defaults else None)


def downgrade() -> None:
    """Refuse: books are append-only, and so is their schema."""
    message = "a book is never taken back to an older schema: restore the copy that was made before the upgrade"
    raise RuntimeError(message)
