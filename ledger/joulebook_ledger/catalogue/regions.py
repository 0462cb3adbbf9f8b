"""In which country's grid a cloud's region stands, for sites whose zone nobody names.

`regions.tsv` holds what the providers say of where their regions are: docs.aws.amazon.com/global-infrastructure (AWS Regions),
cloud.google.com/compute/docs/regions-zones, learn.microsoft.com/azure/reliability/regions-list. A region that is not there has no
zone: nothing stands in for it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

PROVIDERS = ("aws", "gcp", "azure")


@cache
def all_regions() -> dict[tuple[str, str], str]:
    """Return (provider, region) -> zone."""
    text = resources.files(__package__).joinpath("regions.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines()[1:]]
    return {(provider, region): zone for provider, zone, regions in lines for region in regions.split()}


def zone_of_region(provider: str, region: str) -> str:
    """Return the zone of a cloud's region, or "" where it is not known.

    >>> zone_of_region("aws", "eu-west-3")
    'FR'
    """
    return all_regions().get((provider.casefold(), region.casefold()), "")
