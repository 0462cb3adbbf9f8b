"""Why a figure is null, and the command that supplies it: one sentence per kind of factor and reason, used everywhere."""

from __future__ import annotations

from joulebook_ledger.core.resolution import (
    IN_INSTANCE_PRICE,
    NO_FACTOR,
    NO_PLACEMENT,
    NO_PRICE_OF_HOURS,
    NO_ZONE,
    NOT_PRICED_BY_TIME,
)

SET_ZONE = "joulebook init --zone FR"
SET_PRICE = "joulebook init --price 0.25 --currency EUR"
LINES_OF_A_BILL, NO_EXCHANGE_RATE = "lines_of_a_bill", "no_exchange_rate"
NO_ENERGY = "no meter read anything: `joulebook doctor` says which meters this machine has and how to open the others"
NO_TIME = "it bore none of a machine's hours"
NO_PUE = "no PUE is set for the site: `joulebook init --pue 1.2`"
ONLY_RUNS = "only runs have a duration"
UNKNOWN = "nothing is known of it"

_UNPLACED = "nobody has said where the machine stands: `{command}`"
_COMMANDS = {
    "pue": "joulebook init --pue 1.2",
    "grid_location": SET_ZONE,
    "grid_market": "joulebook init --market grid",
    "tariff": SET_PRICE,
    "instance_price": "joulebook init --price-per-hour 2.50 --currency EUR",
    "embodied": "joulebook init --embodied 250",
    "water_site": "joulebook init --water 0.2",
    "water_source": "joulebook init --water-source 1.5",
    "residual_mix": "joulebook factors set residual_mix 450",
    "grid_marginal": "joulebook factors set grid_marginal 600",
    "upstream": "joulebook factors set upstream 80",
    "transmission_loss": "joulebook factors set transmission_loss 0.07",
}
_MISSING = {
    "pue": "no PUE is set for the site",
    "grid_location": "no grid intensity is known for the zone",
    "grid_market": "no contract, supplier rate or residual mix is known; the grid average may stand in, disclosed",
    "tariff": "no price of electricity is set",
    "instance_price": "no price of the machine's hours is set",
    "embodied": "what making the machine emitted is not set (kg per year of service)",
    "water_site": "the site's water per kWh is not set (0 where cooling evaporates none)",
    "water_source": "the water behind the zone's electricity is not set (litres per kWh)",
    "residual_mix": "no residual mix of the zone is known (g CO2e per kWh)",
    "grid_marginal": "no marginal intensity of the zone is known (g CO2e per kWh)",
    "upstream": "what making and bringing the zone's fuels emits is not set (g CO2e per kWh)",
    "transmission_loss": "what is lost on the way to the site is not set (a share, such as 0.07)",
}


def remedy(kind: str, reason: str) -> str:
    """Return why a factor of this kind prices nothing, and the command that would supply it.

    Args:
        kind: Key of `core.factors.FACTOR_UNITS`.
        reason: A word of `core.resolution`.
    """
    command = _COMMANDS[kind]
    if reason == NO_PLACEMENT:
        return _UNPLACED.format(command=command)
    if reason == NO_ZONE:
        return f"the site has no grid zone: `{SET_ZONE}`"
    if reason == IN_INSTANCE_PRICE:
        return "in_instance_price: in the cloud, electricity is within the price of the machine's hours"
    if reason == NO_PRICE_OF_HOURS:
        return f"no_price_of_hours: an owned machine needs none; where there is a rate: `{command}`"
    if reason == NOT_PRICED_BY_TIME:
        return "the machine's hours carry it, not this meter"
    if reason == LINES_OF_A_BILL:
        return "lines of a bill that match no machine are money alone"
    if reason == NO_EXCHANGE_RATE:
        return "it is billed in another currency than the book's, and no rate of that is known"
    assert reason == NO_FACTOR, reason
    return f"{_MISSING[kind]}: `{command}`"
