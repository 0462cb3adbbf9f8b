"""The laws that the database itself keeps: append-only and balance, as triggers of each engine (CORE §1, §5).

Facts and journal refuse UPDATE and DELETE, on PostgreSQL TRUNCATE, on SQLite `INSERT OR REPLACE`: that one deletes unseen by any
DELETE trigger, so a BEFORE INSERT trigger looks for the key first. Of a fact that is there already the new row is ignored, of the
journal it is an error. A window may go only for a day that stands in the archive manifest.

A link is added last. The trigger on it adds up, once and set-wise, all postings of its entries against their legs; afterwards
neither an entry nor a posting nor a receipt can be added to it. On PostgreSQL all triggers fire whoever asks (ENABLE ALWAYS).
"""

from __future__ import annotations

from collections.abc import Iterator

from joulebook_ledger.core.digest import FIRST_PREVIOUS
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store.rows import SQLITE

WINDOWS = ("meter_window", "meter_use")
# Table -> its keys. What conflicts with one of them may not be replaced.
FACTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "receipt": (("number",), ("reader", "sequence", "part")),
    "reader": (("reader",),),
    "retirement": (("reader",),),
    "meter": (("meter",),),
    "meter_window": (("meter", "start_ms", "reader"),),
    "meter_use": (("meter", "start_ms", "reader", "run"),),
    "run_event": (("run", "event"),),
    "score": (("run", "score"),),
    "work_count": (("run", "count"),),
    "site": (("site", "valid_from_ms", "version"),),
    "placement": (("machine", "valid_from_ms", "version"),),
    "asset": (("asset", "valid_from_ms", "version"),),
    "name_map": (("kind", "name", "valid_from_ms", "version"),),
    "factor": (("kind", "object", "provider", "valid_from_ms", "version"),),
    "instrument": (("issuer", "instrument", "version"),),
    "bill_delivery": (("provider", "billing_account", "billing_period", "delivery"),),
    "bill_row": (("provider", "billing_account", "billing_period", "delivery", "position"),),
    "correction": (("voided_table", "voided_key"),),
    "restatement": (("restatement",),),
    "allocation": (("market", "year", "version"),),
    "refused_fact": (("reader", "sequence", "kind", "position", "digest"),),
    "archive_manifest": (("day",),),
    "book_setting": (("name",),),
}
JOURNAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "entry": (("number",), ("source", "day", "revision")),
    "posting": (("entry", "account", "method"),),
    "link": (("sequence",),),
    "sealed_receipt": (("receipt",),),
    "month_close": (("month",),),
    "close_total": (("month", "source", "account", "method"),),
    "close_figure": (("month", "account"),),
    "close_label": (("month", "run"),),
}
LATER_CLOSE_PARTS = {"close_source": (("month", "source", "first_day"),)}
"""Tables that hold a part of closes and came with a later migration, which puts their laws into force."""
CLOSE_PARTS = ("close_total", "close_figure", "close_label")

_UNBALANCED = f"""
SELECT 1 FROM entry AS e
LEFT JOIN (
    SELECT p.entry, {", ".join(f"SUM(p.{column}) AS {column}" for column in COLUMNS)}
    FROM posting AS p JOIN entry AS of_link ON of_link.number = p.entry
    WHERE of_link.link = NEW.sequence GROUP BY p.entry
) AS s ON s.entry = e.number
WHERE e.link = NEW.sequence AND ({" OR ".join(f"e.{column} <> COALESCE(s.{column}, 0)" for column in COLUMNS)})
"""
_UNCHAINED = f"""
NEW.sequence <> COALESCE((SELECT MAX(sequence) FROM link WHERE sequence <> NEW.sequence), 0) + 1
OR NEW.previous <> COALESCE((SELECT digest FROM link WHERE sequence = NEW.sequence - 1), '{FIRST_PREVIOUS}')
OR NEW.at_ms <= COALESCE((SELECT at_ms FROM link WHERE sequence = NEW.sequence - 1), -1)
"""


def laws(dialect: str) -> list[str]:
    """Return the statements that put the laws into force, for SQLITE or POSTGRESQL."""
    return list(_sqlite_laws() if dialect == SQLITE else _postgresql_laws())


def laws_of_close_part(dialect: str, table: str, key: tuple[str, ...]) -> list[str]:
    """Return the statements that keep a table which came later and holds a part of closes."""
    if dialect == SQLITE:
        return [*_sqlite_append_only(table, (key,)), _sqlite_open_close(table)]
    return [*_postgresql_append_only(table), *_postgresql_statement_law(table, (_open_close(),))]


def _sqlite_laws() -> Iterator[str]:
    for table, keys in (FACTS | JOURNAL).items():
        yield from _sqlite_append_only(table, keys)
    yield from _sqlite_journal_laws()


def _sqlite_append_only(table: str, keys: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    for verb in ("UPDATE", "DELETE"):
        yield _sqlite_trigger(f"{table}_no_{verb.lower()}", f"BEFORE {verb} ON {table}{_unless_archived(table, verb)}",
                              f"SELECT RAISE(ABORT, 'append-only: {verb} of {table} is refused');")  # fmt: skip
    exists = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(f'{c} = NEW.{c}' for c in key)})" for key in keys
    )
    action = "IGNORE" if table in FACTS else f"ABORT, 'append-only: {table} has this key already'"
    yield _sqlite_trigger(f"{table}_no_replace", f"BEFORE INSERT ON {table} WHEN {exists}", f"SELECT RAISE({action});")


def _unless_archived(table: str, verb: str) -> str:
    if table not in WINDOWS or verb != "DELETE":
        return ""
    return " WHEN NOT EXISTS (SELECT 1 FROM archive_manifest WHERE day = OLD.start_ms / 86400000)"


def _sqlite_journal_laws() -> Iterator[str]:
    sealed = "EXISTS (SELECT 1 FROM link WHERE sequence = NEW.link)"
    yield _sqlite_trigger("entry_open_link", f"BEFORE INSERT ON entry WHEN {sealed}",
                          "SELECT RAISE(ABORT, 'the link of this entry is sealed');")  # fmt: skip
    yield _sqlite_trigger("sealed_receipt_open_link", f"BEFORE INSERT ON sealed_receipt WHEN {sealed}",
                          "SELECT RAISE(ABORT, 'the link of this receipt is sealed');")  # fmt: skip
    yield _sqlite_trigger("entry_open_period",
                          "BEFORE INSERT ON entry WHEN NEW.period <= (SELECT MAX(month) FROM month_close)",
                          "SELECT RAISE(ABORT, 'the period of this entry is closed');")  # fmt: skip
    yield _sqlite_trigger(
        "posting_open_entry",
        "BEFORE INSERT ON posting WHEN NOT EXISTS (SELECT 1 FROM entry WHERE number = NEW.entry"
        " AND NOT EXISTS (SELECT 1 FROM link WHERE sequence = entry.link))",
        "SELECT RAISE(ABORT, 'a posting needs an entry whose link is not sealed');",
    )
    yield _sqlite_trigger("link_chained", f"BEFORE INSERT ON link WHEN {_UNCHAINED}",
                          "SELECT RAISE(ABORT, 'a link follows the newest one, by number, digest and time');")  # fmt: skip
    yield _sqlite_trigger("link_balanced", f"BEFORE INSERT ON link WHEN EXISTS ({_UNBALANCED})",
                          "SELECT RAISE(ABORT, 'an entry of this link does not balance');")  # fmt: skip
    yield _sqlite_trigger("month_close_order",
                          "BEFORE INSERT ON month_close WHEN NEW.month <= (SELECT MAX(month) FROM month_close)",
                          "SELECT RAISE(ABORT, 'months are closed in order');")  # fmt: skip
    for table in CLOSE_PARTS:
        yield _sqlite_open_close(table)


def _sqlite_open_close(table: str) -> str:
    return _sqlite_trigger(f"{table}_open", f"BEFORE INSERT ON {table} WHEN {_is_sealed_close('NEW.month')}",
                           "SELECT RAISE(ABORT, 'this close is sealed');")  # fmt: skip


def _is_sealed_close(month: str) -> str:
    return f"EXISTS (SELECT 1 FROM month_close AS c JOIN link AS l ON l.sequence = c.link WHERE c.month = {month})"


def _sqlite_trigger(name: str, when: str, body: str) -> str:
    return f"CREATE TRIGGER law_{name} {when} BEGIN {body} END"


def _postgresql_laws() -> Iterator[str]:
    yield _function(
        "law_refuse", "RAISE EXCEPTION 'append-only: % of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = '23001';"
    )
    yield _function(
        "law_archived",
        "IF EXISTS (SELECT 1 FROM archive_manifest WHERE day = OLD.start_ms / 86400000) THEN RETURN OLD; END IF;"
        " RAISE EXCEPTION 'append-only: % of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = '23001';",
    )
    for table in FACTS | JOURNAL:
        yield from _postgresql_append_only(table)
    yield from _postgresql_journal_laws()
    yield _MAKE_DAY


def _postgresql_append_only(table: str) -> Iterator[str]:
    is_window = table in WINDOWS
    yield from _postgresql_trigger(f"{table}_no_update", table, f"BEFORE UPDATE ON {table} FOR EACH ROW", "law_refuse")
    yield from _postgresql_trigger(f"{table}_no_delete", table, f"BEFORE DELETE ON {table} FOR EACH ROW",
                                   "law_archived" if is_window else "law_refuse")  # fmt: skip
    yield from _postgresql_trigger(
        f"{table}_no_truncate", table, f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT", "law_refuse"
    )


def _postgresql_journal_laws() -> Iterator[str]:
    sealed = "EXISTS (SELECT 1 FROM added JOIN link ON link.sequence = added.link)"
    closed = "EXISTS (SELECT 1 FROM added WHERE period <= (SELECT MAX(month) FROM month_close))"
    orphan = (
        "EXISTS (SELECT 1 FROM added LEFT JOIN entry ON entry.number = added.entry"
        " LEFT JOIN link ON link.sequence = entry.link WHERE entry.number IS NULL OR link.sequence IS NOT NULL)"
    )
    rules = {
        "entry": ((sealed, "the link of this entry is sealed"), (closed, "the period of this entry is closed")),
        "posting": ((orphan, "a posting needs an entry whose link is not sealed"),),
        "sealed_receipt": ((sealed, "the link of this receipt is sealed"),),
    } | {table: (_open_close(),) for table in CLOSE_PARTS}
    for table, checks in rules.items():
        yield from _postgresql_statement_law(table, checks)
    yield _function(
        "law_link",
        _refuse_if(_UNCHAINED, "a link follows the newest one, by number, digest and time")
        + _refuse_if(f"EXISTS ({_UNBALANCED})", "an entry of this link does not balance")
        + " RETURN NULL;",
    )
    yield from _postgresql_trigger("link_law", "link", "AFTER INSERT ON link FOR EACH ROW", "law_link")
    yield _function(
        "law_month_close",
        _refuse_if("NEW.month <= (SELECT MAX(month) FROM month_close)", "months are closed in order") + " RETURN NEW;",
    )
    yield from _postgresql_trigger(
        "month_close_law", "month_close", "BEFORE INSERT ON month_close FOR EACH ROW", "law_month_close"
    )


def _open_close() -> tuple[str, str]:
    return f"EXISTS (SELECT 1 FROM added WHERE {_is_sealed_close('added.month')})", "this close is sealed"


def _postgresql_statement_law(table: str, checks: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield _function(
        f"law_{table}", " ".join(_refuse_if(condition, message) for condition, message in checks) + " RETURN NULL;"
    )
    yield from _postgresql_trigger(
        f"{table}_law",
        table,
        f"AFTER INSERT ON {table} REFERENCING NEW TABLE AS added FOR EACH STATEMENT",
        f"law_{table}",
    )


def _function(name: str, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $law$ BEGIN {body} END $law$"


def _refuse_if(condition: str, message: str) -> str:
    return f" IF {condition} THEN RAISE EXCEPTION '{message}' USING ERRCODE = '23001'; END IF;"


def _postgresql_trigger(name: str, table: str, when: str, function: str) -> Iterator[str]:
    yield f"CREATE TRIGGER law_{name} {when} EXECUTE FUNCTION {function}()"
    yield f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER law_{name}"


# The day's partition is made apart and then attached: that lets other writers go on. Whoever waited for the lock looks again: a lock on
# the table, unlike an advisory one, makes the session see tables that others have made meanwhile. Runs with the rights of the tables' owner, so
# that a service may hold INSERT and SELECT only; the schema is fixed when the law is made, so that nobody can put another in its way.
_MAKE_DAY = r"""
DO $install$ BEGIN EXECUTE format($make$
CREATE OR REPLACE FUNCTION make_window_day(wanted_day bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = %I, pg_temp AS $body$
DECLARE
    suffix text := to_char(to_timestamp(wanted_day * 86400) AT TIME ZONE 'UTC', '_YYYY_MM_DD');
    parent text;
BEGIN
    IF to_regclass(quote_ident('meter_use' || suffix)) IS NOT NULL THEN RETURN; END IF;
    LOCK TABLE meter_use IN SHARE UPDATE EXCLUSIVE MODE;
    -- Whoever held the lock before may just have made it. Only a look into the catalog sees that: to_regclass may answer from memory.
    IF EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = current_schema() AND c.relname = 'meter_use' || suffix) THEN RETURN; END IF;
    FOREACH parent IN ARRAY ARRAY['meter_window', 'meter_use'] LOOP
        EXECUTE format('CREATE TABLE %%I (LIKE %%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', parent || suffix, parent);
        EXECUTE format('ALTER TABLE %%I ATTACH PARTITION %%I FOR VALUES FROM (%%s) TO (%%s)',
                       parent, parent || suffix, wanted_day * 86400000, (wanted_day + 1) * 86400000);
        EXECUTE format('CREATE TRIGGER law_no_truncate BEFORE TRUNCATE ON %%I FOR EACH STATEMENT EXECUTE FUNCTION law_refuse()',
                       parent || suffix);
        EXECUTE format('ALTER TABLE %%I ENABLE ALWAYS TRIGGER law_no_truncate', parent || suffix);
    END LOOP;
END $body$
$make$, current_schema()); END $install$
"""
