"""What making some hardware emitted, as published: cradle to gate, each with who says so. A small table; for anything else say the kilograms.

The figures do not add up to each other: a board is not a card, and a server's is of one configuration. Each says what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from joulebook_ledger.core.embodied import server_ug
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MICROGRAMS_PER_KILOGRAM, scale_decimal

# One standard deviation, standards.md §9: a vendor's footprint, another's assessment, a default.
_VENDOR_SIGMA_PPM, _ASSESSED_SIGMA_PPM, _DEFAULT_SIGMA_PPM = 300_000, 600_000, 850_000
MOST_OF_ONE = 10_000


class Product(NamedTuple):
    """Published emissions of making one thing.

    Attributes:
        name: How it is asked for.
        total_ug: Micrograms CO2e.
        sigma_ppm: One relative standard deviation.
        holds: What is in the figure and what is not.
        source: Who says so.
        licence: Of the table it stands in; a single figure is a fact.
    """

    name: str
    total_ug: int
    sigma_ppm: int
    holds: str
    source: str
    licence: str


def _kg(text: str) -> int:
    return scale_decimal(text, MICROGRAMS_PER_KILOGRAM, "kg")


_NVIDIA = "NVIDIA, HGX H100 Product Carbon Footprint Summary (ISO 14067, reviewed by WSP)"
PRODUCTS: Mapping[str, Product] = {
    product.name: product
    for product in (
        Product("hgx-h100", _kg("1312"), _VENDOR_SIGMA_PPM, "board with 8 GPUs, switches and heat sinks, without host", _NVIDIA, ""),
        Product("h100-sxm", _kg("164"), _VENDOR_SIGMA_PPM, "an eighth of an HGX H100 board, without host", _NVIDIA, ""),
        Product("a100-sxm4-40gb", _kg("127.6"), _ASSESSED_SIGMA_PPM, "one card, without host", "Falk et al. 2025, arXiv:2509.00093 (ISO 14040)", ""),
        Product(
            "dell-r740", _kg("1313.28"), _DEFAULT_SIGMA_PPM, "server of a small configuration: manufacture, 15.2 % of 8,640 kg; its use phase is left out",
            "Dell product carbon footprint, in Boavizta environmental-footprint-data", "ODbL 1.0",
        ),
        Product("server", _kg("900"), _DEFAULT_SIGMA_PPM, "a server nothing is known of: 462 to 2,089 kg", "Boavizta, archetype platform_compute_medium", ""),
        Product(
            "p4d.24xlarge", server_ug(memory_gb=1_152, processors=2, gpus=8, ssds=8), _DEFAULT_SIGMA_PPM,
            "a whole instance: server, 1,152 GB, 2 processors, 8 GPUs, 8 SSDs", "Cloud Carbon Footprint, formula of ccf-coefficients", "",
        ),
    )
}  # fmt: skip


def hardware_of(text: str) -> tuple[int, int, str]:
    """Return what making the hardware of a list emitted: micrograms, one relative sigma in ppm, and the source in words.

    Errors of the parts are taken for one: sigmas of generic figures lean the same way.

    >>> hardware_of("dell-r740,h100-sxm:8")[0]
    2625280000000

    Raises:
        BadInput: A name is not in the table, or a number is none.
    """
    total = spread = 0
    told = []
    for word in text.split(","):
        name, _, number = word.strip().partition(":")
        product = PRODUCTS.get(name.lower())
        if product is None:
            raise BadInput(
                f"hardware {name[:60]!r} is none of: {', '.join(PRODUCTS)}; of anything else give --embodied-kg"
            )
        if number and not (number.isascii() and number.isdigit() and 1 <= int(number[:6]) <= MOST_OF_ONE):
            raise BadInput(
                f"{number[:20]!r} of {product.name} is no whole number from 1 to {MOST_OF_ONE}: write {name}:8"
            )
        count = int(number or "1")
        total += count * product.total_ug
        spread += count * product.total_ug * product.sigma_ppm
        told.append(f"{f'{count} x ' if count > 1 else ''}{product.name} ({product.source})")
    return total, spread // total, " + ".join(told)
