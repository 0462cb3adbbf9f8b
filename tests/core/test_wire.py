import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core import wire
from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.factors import Factor
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.refusals import Malformed, Unavailable

READER = Reader(reader="0123", machine="machine", boot="boot", host="host")
METER = Meter(device="boot", domain="cpu", component="cpu", max_power_mw=100_000)
FACTS = [
    METER,
    Window(meter=METER.key, start_ms=0, end_ms=1_000, energy_mj=7, method="model"),
    Window(meter=METER.key, start_ms=1_000, end_ms=2_000, reason="read_failed", estimate_mj=3),
    Use(meter=METER.key, start_ms=0, run="r", energy_mj=7, time_ms=1_000, method="cpu_time"),
    RunEvent(
        run="r",
        event="1",
        kind="started",
        at_ms=0,
        labels={"model": "a", "tag:owner": "me"},
        facts={"host": "h", "n": 1},
    ),
    Score(run="r", score="1", name="accuracy", value="0.97", at_ms=5, lower_is_better=False),
]


def batch_of(*facts, reader=READER, **more):
    """The bytes of a batch that holds these facts."""
    lists = {}
    for fact in facts:
        lists.setdefault(wire.list_of(fact), []).append(wire.to_wire(fact))
    return wire.encode_batch(reader=reader, sequence=1, lists=lists, **more)


def changed(**changes):
    """The bytes of a good batch with parts of its envelope changed."""
    return json.dumps(json.loads(batch_of(*FACTS)) | changes).encode()


def test_what_is_encoded_is_decoded_the_same():
    """Records to bytes and back are the same records."""
    batch = wire.decode_batch(batch_of(*FACTS, state="retired", complete_until_ms=9))
    assert set(map(str, batch.facts())) == set(map(str, FACTS))
    assert (batch.reader, batch.sequence, batch.state, batch.complete_until_ms) == (READER, 1, "retired", 9)


def test_the_digest_of_a_batch_depends_on_its_content_and_not_on_the_order_of_fields():
    """A resent batch is known again whatever serialised it."""
    data = batch_of(*FACTS)
    shuffled = json.dumps(dict(reversed(json.loads(data).items())), indent=1).encode()
    assert wire.decode_batch(shuffled).digest == wire.decode_batch(data).digest
    assert wire.decode_batch(batch_of(*FACTS[:-1])).digest != wire.decode_batch(data).digest


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{", b"null", b"\xff\xfe", b"[" * 100_000, changed(wire=0), changed(wire="2"), changed(wire=True), changed(sequence=0),
        changed(sequence=1.0), changed(reader=None), changed(reader={"reader": ""}), changed(state="gone"), changed(uses={}),
        changed(complete_until_ms=-1), changed(surprise=1), b'{"wire":1,"wire":1}', changed(sequence=10**30),
        changed(gaps=[{}] * (wire.LARGEST_BATCH_ITEMS + 1)),
    ],
)  # fmt: skip
def test_bytes_that_are_no_batch_are_malformed_as_a_whole(data):
    """Nothing of a malformed delivery is looked at."""
    with pytest.raises(Malformed):
        wire.decode_batch(data)


@pytest.mark.parametrize(
    ("reason", "kind", "item"),
    [
        ("not_an_integer", "readings", {"meter": "m", "start_ms": 0, "end_ms": 5, "energy_mj": 1.0, "method": "counter"}),
        ("not_an_integer", "runs", {"run": "r", "event": "1", "kind": "started", "at_ms": 0, "facts": {"n": 0.5}}),
        ("not_a_text", "scores", {"run": "r", "score": "1", "name": "accuracy", "value": 0.761, "at_ms": 0}),
        ("unknown_field", "readings", {"meter": "m", "start_ms": 0, "end_ms": 5, "energy_mj": 1, "method": "counter", "x": 1}),
        ("missing_field", "readings", {"meter": "m", "start_ms": 0}),
        ("ill_typed_field", "runs", {"run": "r", "event": "1", "kind": "started", "at_ms": 0, "labels": "model"}),
        ("ill_typed_field", "readings", {"meter": ["m"], "start_ms": 0, "end_ms": 5, "energy_mj": 1, "method": "counter"}),
        ("not_an_object", "readings", 5),
        ("reading_or_gap", "readings", {"meter": "m", "start_ms": 0, "end_ms": 5, "reason": "read_failed"}),
        ("reading_or_gap", "gaps", {"meter": "m", "start_ms": 0, "end_ms": 5, "energy_mj": 1, "method": "counter"}),
        ("window_crosses_an_hour", "readings", {"meter": "m", "start_ms": 0, "end_ms": 3_600_001, "energy_mj": 1, "method": "counter"}),
        ("only_the_desk", "factors", {}),
    ],
)  # fmt: skip
def test_a_bad_item_is_rejected_by_itself_and_the_good_ones_beside_it_stand(reason, kind, item):
    """One bad item never spoils a batch."""
    body = json.loads(batch_of(METER))
    batch = wire.decode_batch(json.dumps(body | {kind: [item]}).encode())
    rejected = [i.fact for i in batch.items if isinstance(i.fact, wire.Rejected)]
    assert [r.reason for r in rejected] == [reason]
    assert list(batch.facts()) == [METER]


def test_only_the_desk_enters_factors():
    """What people enter is a fact too, of reader `desk`."""
    factor = Factor(
        kind="pue", object="home", provider="desk", version="1", value=1_200_000, unit="ppm", source="operator"
    )
    desk = Reader(reader="desk:ada", rank=2, author="ada")
    assert list(wire.decode_batch(batch_of(factor, reader=desk)).facts()) == [factor]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_no_json_makes_the_decoder_fail_in_any_other_way(value):
    """Whatever arrives is a batch or is malformed; no other error leaves the decoder."""
    body = json.loads(batch_of(METER)) | {
        "runs": value,
        "readings": [value],
        "scores": [{"run": value, "value": value}],
    }
    try:
        batch = wire.decode_batch(json.dumps(body).encode())
    except Malformed:
        return
    assert METER in list(batch.facts())


@pytest.mark.parametrize("version", [2, 10**30])
def test_a_batch_of_a_newer_version_is_not_judged(version: int) -> None:
    """Whoever sends it keeps it, and learns what to do."""
    with pytest.raises(Unavailable, match=r"newer Joulebook.*pip install -U"):
        wire.decode_batch(changed(wire=version, surprise=1))
