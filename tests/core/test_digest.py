import hashlib

from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.booking import Target
from joulebook_ledger.core.digest import (
    FIRST_PREVIOUS,
    EntryFields,
    entries_digest,
    entry_digest,
    entry_text,
    link_digest,
    receipts_digest,
)

ENTRY = EntryFields(
    source="GPU-1/gpu~00000000", day=20_000, revision=1, period=202410, cause="first", known=None, link=7
)
ZEROS = (0,) * 19
AMOUNTS = Target(
    postings={("idle", "counter"): (-1, 2, *ZEROS), ("run-é", "model"): (3, 4, *ZEROS)}, leg=(2, 6, *ZEROS)
)


def test_the_text_of_an_entry_is_as_core_says():
    """Integers in decimal, null as nothing, strings as length:value, postings in account order whatever order they come in."""
    zeros = ",0" * 19
    assert entry_text(ENTRY, AMOUNTS) == (
        f"18:GPU-1/gpu~00000000,20000,1,202410,5:first,,7,2,6{zeros};5:run-é,5:model,3,4{zeros};4:idle,7:counter,-1,2{zeros}"
    )


def test_the_digest_of_an_entry_is_sha256_of_its_text():
    """Anybody can recompute it with a shell."""
    assert entry_digest(ENTRY, AMOUNTS) == hashlib.sha256(entry_text(ENTRY, AMOUNTS).encode()).hexdigest()


def test_the_chain_is_what_it_always_was():
    """These digests are written into books: a change here breaks every book there is. Computed once by sha256 of the texts by hand."""
    link = link_digest(
        previous=FIRST_PREVIOUS,
        sequence=1,
        at_ms=1_727_996_400_000,
        receipts=receipts_digest([("reader-b", 1, "bb"), ("reader-a", 2, "aa")]),
        entries=entries_digest([entry_digest(ENTRY, AMOUNTS)]),
    )
    assert link == "182f526f8d51e3d26460bf65f3ecb60fac5943ef572366fb0ecb869b32a0af8e"


def test_the_order_in_which_receipts_are_read_changes_nothing():
    """Receipts are ordered by reader and sequence."""
    assert receipts_digest([("a", 1, "x"), ("b", 1, "y")]) == receipts_digest([("b", 1, "y"), ("a", 1, "x")])


FIELDS = st.fixed_dictionaries(
    {
        "source": st.text(max_size=5),
        "day": st.integers(0, 30_000),
        "revision": st.integers(1, 99),
        "period": st.integers(197_001, 299_912),
        "cause": st.sampled_from(["first", "late", "factor"]),
        "known": st.one_of(st.none(), st.integers(0, 99)),
        "link": st.integers(0, 99),
    }
)


@given(FIELDS, FIELDS)
def test_two_entries_have_one_text_only_if_they_are_the_same(one, other):
    """No separator can be smuggled into a name: a length stands before every string."""
    same = entry_text(EntryFields(**one), AMOUNTS) == entry_text(EntryFields(**other), AMOUNTS)
    assert same == (one == other)


@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
def test_two_lists_have_one_digest_only_if_they_are_the_same(one, other):
    """What an entry cannot hide, a list of entries cannot either; no entry is not one empty entry."""
    assert (entries_digest(one) == entries_digest(other)) == (one == other)
