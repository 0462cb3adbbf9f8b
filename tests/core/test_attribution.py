import subprocess
import sys
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.attribution import UNTRACKED, Claim, method_text, split_window
from joulebook_ledger.core.records import Use

MINUTE = 60_000


def claim(account, holding=1, activity=0, *, bears_static=True):
    """A claim on a device."""
    return Claim(account, holding=holding, activity=activity, bears_static=bears_static)


def split(energy, static, *claims, capacity=0):
    """Account -> (energy, static, time, active) of a minute."""
    shares = split_window(energy, static, MINUTE, list(claims), capacity=capacity)
    return {s.account: (s.energy_mj, s.static_mj, s.time_ms, s.active_ms) for s in shares}


def test_the_static_part_goes_to_holders_and_the_active_part_to_the_active():
    """1,000 mJ of which 400 static: a held and slept, b held and worked, somebody else worked too."""
    assert split(1_000, 400, claim("a"), claim("b", activity=30), claim(UNTRACKED, holding=0, activity=10)) == {
        "a": (200, 200, 30_000, 0),
        "b": (650, 200, 30_000, 30_000),
        UNTRACKED: (150, 0, 0, 0),
    }


def test_a_run_alone_on_a_device_bears_all_of_it():
    """Held by one, active by one: the whole window, static part included."""
    assert split(1_000, 400, claim("a", activity=1)) == {"a": (1_000, 400, MINUTE, MINUTE)}


def test_what_nobody_holds_is_left_for_idle():
    """Only foreign processes worked: the static part belongs to nobody."""
    assert split(1_000, 400, claim(UNTRACKED, holding=0, activity=5)) == {UNTRACKED: (600, 0, 0, 0)}


def test_energy_of_a_device_on_which_nothing_was_active_is_left_for_idle():
    """Above the static part, but nobody worked: no run is charged for it by guess."""
    assert split(1_000, 400, claim("a")) == {"a": (400, 400, MINUTE, 0)}


def test_a_run_of_its_own_process_only_bears_no_static_part():
    """scope="process": activity only; what it holds is idle, not its neighbour's."""
    assert split(1_000, 400, claim("a", activity=1, bears_static=False), claim("b", activity=1)) == {
        "a": (300, 0, 30_000, 30_000),
        "b": (500, 200, 30_000, 30_000),
    }


def test_two_devices_of_eight_are_a_quarter_of_the_machine():
    """A machine's time is shared by holding; six devices that nobody holds are idle."""
    assert split(0, 0, claim("a", holding=2, activity=1), capacity=8) == {"a": (0, 0, 15_000, 15_000)}


def test_a_static_part_above_the_energy_is_the_energy():
    """A device that drew less than it is said to draw when idle: all of it was static."""
    assert split(100, 400, claim("a", activity=1)) == {"a": (100, 100, MINUTE, MINUTE)}


def test_without_claims_there_are_no_uses():
    """Nobody was there."""
    assert split(1_000, 400) == {}


def test_the_text_of_a_split_names_its_basis_and_its_static_power():
    """CORE §10: the static power is written into the use's method."""
    assert method_text("gpu_utilisation", 71_000, "observed") == "gpu_utilisation, static 71000 mW observed"


CLAIMS = st.lists(
    st.builds(
        Claim,
        st.sampled_from(["a", "B", "c", "run-1", UNTRACKED]),
        holding=st.integers(0, 8),
        activity=st.integers(0, 10**12),
        bears_static=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda c: c.account,
)
ENERGY = st.integers(0, 10**12)


@given(ENERGY, ENERGY, st.integers(1, 3_600_000), CLAIMS, st.integers(0, 16))
def test_shares_never_exceed_their_window_and_make_uses(energy, static, length, claims, capacity):
    """Law 1: the sum of shares is at most the window, and every share is a fact that the ledger takes."""
    shares = split_window(energy, static, length, claims, capacity=capacity)
    assert sum(s.energy_mj for s in shares) <= energy
    assert sum(s.time_ms for s in shares) <= length
    for s in shares:
        Use(
            meter="m",
            start_ms=0,
            run=s.account,
            energy_mj=s.energy_mj,
            static_mj=s.static_mj,
            time_ms=s.time_ms,
            active_ms=s.active_ms,
            method="x",
        )


@given(ENERGY, ENERGY, CLAIMS)
def test_every_share_is_its_exact_fraction_less_than_two_millijoules_away(energy, static, claims):
    """Static by holding, active by activity; cumulative rounding moves each part by less than one."""
    static = min(static, energy)
    holding, activity = sum(c.holding for c in claims), sum(c.activity for c in claims)
    shares = {s.account: s for s in split_window(energy, static, MINUTE, claims)}
    for c in claims:
        held = Fraction(static * c.holding, holding) if holding and c.bears_static else 0
        used = Fraction((energy - static) * c.activity, activity) if activity else 0
        assert abs(shares[c.account].static_mj - held) < 1
        assert abs(shares[c.account].energy_mj - held - used) < 2


@given(ENERGY, CLAIMS, st.randoms(use_true_random=False))
def test_the_order_of_claims_changes_nothing(energy, claims, random):
    """Rounding follows the order of accounts, not of processes found."""
    shuffled = list(claims)
    random.shuffle(shuffled)
    assert split_window(energy, energy // 3, MINUTE, shuffled) == split_window(energy, energy // 3, MINUTE, claims)


def test_eight_processes_of_one_host_are_one_host():
    """Eight runs, strangers and idle: together 1.00 times the meter, to the millijoule."""
    runs = [claim(f"run-{i}", activity=1_000 + i) for i in range(8)]
    shares = split_window(123_456_789, 23_456_789, MINUTE, [*runs, claim(UNTRACKED, holding=0, activity=777)])
    assert sum(s.energy_mj for s in shares) == 123_456_789
    assert sum(s.time_ms for s in shares) == MINUTE


def test_the_measured_path_stays_light():
    """Neither metering nor attribution brings a module that costs a millisecond."""
    code = "import sys, joulebook_ledger.core.metering, joulebook_ledger.core.attribution; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert not {"dataclasses", "typing", "collections", "decimal", "enum"} & set(found.stdout.split())
