import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.factors import Factor
from joulebook_ledger.core.facts import content_text
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.refusals import Refused
from joulebook_ledger.core.vocabulary import account_order

HOUR_MS = 3_600_000


def reading(**changes):
    """A good reading of one minute, changed."""
    return Window(**{"meter": "m", "start_ms": 0, "end_ms": 60_000, "energy_mj": 5, "method": "counter"} | changes)


def factor(**changes):
    """A good tariff, changed."""
    good = {"kind": "tariff", "object": "home", "provider": "desk", "version": "1", "value": 250_000}
    return Factor(**good | {"unit": "micro/kWh", "source": "contract", "currency": "EUR"} | changes)


def score(**changes):
    """A good score, changed."""
    return Score(**{"run": "r", "score": "1", "name": "accuracy", "value": "0.9", "at_ms": 1} | changes)


REFUSALS = [
    ("window_crosses_an_hour", lambda: reading(end_ms=HOUR_MS + 1)),
    ("window_ends_before_it_starts", lambda: reading(end_ms=0)),
    ("negative", lambda: reading(energy_mj=-1)),
    ("not_an_integer", lambda: reading(energy_mj=1.5)),
    ("not_an_integer", lambda: reading(energy_mj=True)),
    ("not_an_integer", lambda: reading(start_ms=2**63)),
    ("unknown_method", lambda: reading(method="guess")),
    ("reading_with_a_reason", lambda: reading(reason="read_failed")),
    ("empty_text", lambda: reading(energy_mj=None, method="")),
    ("gap_with_a_method", lambda: reading(energy_mj=None, reason="read_failed")),
    ("reserved_account", lambda: Use(meter="m", start_ms=0, run="idle", energy_mj=0, time_ms=0, method="x")),
    (
        "static_above_energy",
        lambda: Use(meter="m", start_ms=0, run="r", energy_mj=1, static_mj=2, time_ms=0, method="x"),
    ),
    ("active_above_time", lambda: Use(meter="m", start_ms=0, run="r", energy_mj=1, time_ms=1, active_ms=2, method="x")),
    ("reserved_account", lambda: RunEvent(run="untracked", event="1", kind="started", at_ms=0)),
    ("unknown_stage", lambda: RunEvent(run="r", event="1", kind="started", at_ms=0, labels={"stage": "trainig"})),
    ("unknown_label", lambda: RunEvent(run="r", event="1", kind="started", at_ms=0, labels={"colour": "red"})),
    ("text_too_long", lambda: RunEvent(run="r", event="1", kind="started", at_ms=0, labels={"model": "x" * 10_000})),
    ("control_character", lambda: RunEvent(run="r", event="1", kind="started", at_ms=0, labels={"model": "a\x1b[2J"})),
    ("status_of_an_end", lambda: RunEvent(run="r", event="1", kind="ended", at_ms=0)),
    ("unknown_status", lambda: RunEvent(run="r", event="1", kind="ended", at_ms=0, status="good")),
    ("score_is_not_a_finite_number", lambda: score(value="nan")),
    ("score_is_not_a_finite_number", lambda: score(value="1e999")),
    ("score_is_not_a_finite_number", lambda: score(value="good")),
    ("not_a_text", lambda: score(value=0.9)),
    ("bad_latency_bucket", lambda: Count(run="r", count="1", start_ms=0, end_ms=1, latency={"fast": 1})),
    ("unknown_component", lambda: Meter(device="d", domain="x", component="toaster", max_power_mw=1)),
    ("unknown_rank", lambda: Reader(reader="r", rank=3)),
    ("wrong_unit", lambda: factor(unit="EUR/kWh")),
    ("bad_currency", lambda: factor(currency="")),
    ("bad_currency", lambda: factor(currency="eur")),
    ("factor_out_of_range", lambda: factor(value=1_000_000_001)),
    ("factor_out_of_range", lambda: factor(kind="pue", unit="ppm", currency="", value=999_999)),
    ("validity_ends_before_it_starts", lambda: factor(valid_from_ms=5, valid_to_ms=5)),
]


@pytest.mark.parametrize(("reason", "make"), REFUSALS, ids=[f"{i}-{r}" for i, (r, _) in enumerate(REFUSALS)])
def test_a_fact_that_breaks_a_rule_is_refused_by_the_name_of_the_rule(reason, make):
    """Every rule of a record is kept on creation, and its refusal says which one and the value."""
    with pytest.raises(Refused) as refusal:
        make()
    assert refusal.value.reason == reason
    assert len(str(refusal.value)) < 400


def test_a_changed_attribute_of_a_meter_is_a_new_meter():
    """The id of a meter carries a digest of all that it is."""
    meter = Meter(device="GPU-1", domain="gpu", component="gpu", max_power_mw=700_000, label="H200")
    changes = [{"max_power_mw": 700_001}, {"label": "H100"}, {"role": "check"}, {"boundary": "it"}, {"device": "GPU-2"}]
    keys = {dataclasses.replace(meter, **change).key for change in changes}
    assert len(keys | {meter.key}) == len(changes) + 1
    assert meter.key.startswith("GPU-1/gpu~")


def test_accounts_stand_in_one_order_whatever_their_arrival():
    """Runs by the bytes of their id, then untracked, unallocated, idle."""
    assert sorted(["idle", "é", "z", "untracked", "Z", "unallocated"], key=account_order) == [
        "Z", "z", "é", "untracked", "unallocated", "idle",
    ]  # fmt: skip


def test_the_canonical_text_of_a_fact_does_not_depend_on_the_order_of_its_labels():
    """The same content in another order is the same fact."""
    one = RunEvent(run="r", event="1", kind="started", at_ms=1, labels={"model": "a", "team": "b"})
    two = RunEvent(run="r", event="1", kind="started", at_ms=1, labels={"team": "b", "model": "a"})
    assert content_text(one) == content_text(two)


@given(
    st.dictionaries(st.sampled_from(["model", "team", "version", "tag:a"]), st.text("ab:=,{}1", min_size=1, max_size=6))
)
def test_the_canonical_text_tells_any_two_contents_apart(labels):
    """No label text can imitate another fact: lengths are said before texts."""
    fact = RunEvent(run="r", event="1", kind="started", at_ms=1, labels=labels)
    other = RunEvent(run="r", event="1", kind="started", at_ms=1, labels=labels | {"project": "p"})
    again = RunEvent(run="r", event="1", kind="started", at_ms=1, labels=dict(reversed(labels.items())))
    assert content_text(fact) != content_text(other)
    assert content_text(fact) == content_text(again)
