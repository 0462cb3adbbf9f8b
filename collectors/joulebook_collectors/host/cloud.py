"""Which cloud a machine is of, and in which of its regions: asked of nobody but the cloud itself, and only where the machine is its.

What the firmware says decides whether anybody is asked: `/sys/class/dmi/id`. A cloud's metadata service has one link-local address,
answers only its own machines, and is asked in the form that each demands (AWS IMDSv2, Google Compute Engine, Azure IMDS), once, within
a second, without a proxy, and no redirect is followed. Never on the path of a job: `joulebook init` asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

METADATA = ("169.254.169.254", 80)
WAIT_SECONDS = 1.0
_LONGEST = 256
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{1,40}")
# Microsoft's own tag of an Azure machine; Hyper-V elsewhere has the same vendor and another tag.
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"


class CloudPlace(NamedTuple):
    """Where in a cloud a machine is.

    Attributes:
        provider: aws, gcp or azure.
        region: As the provider writes it; empty where its metadata did not answer.
    """

    provider: str
    region: str


def cloud_place(sysfs_root: str, address: tuple[str, int] = METADATA) -> CloudPlace | None:
    """Return where in a cloud this machine is, or None where its firmware names none; then nobody is asked.

    Args:
        sysfs_root: Root of `/sys`.
        address: Of the metadata service; another one for tests.
    """
    provider = cloud_of(sysfs_root)
    return CloudPlace(provider, region_of(provider, address)) if provider else None


def cloud_of(sysfs_root: str) -> str:
    """Return aws, gcp, azure, or "" where the firmware names no cloud that is known here."""
    said = {name: _line(Path(sysfs_root, "class/dmi/id", name)) for name in _FIRMWARE}
    if said["sys_vendor"] == "Amazon EC2" or said["product_version"].endswith(".amazon"):
        return "aws"
    if said["product_name"] == "Google Compute Engine":
        return "gcp"
    return "azure" if said["chassis_asset_tag"] == _AZURE_TAG else ""


_FIRMWARE = ("sys_vendor", "product_name", "product_version", "chassis_asset_tag")


def region_of(provider: str, address: tuple[str, int] = METADATA) -> str:
    """Return the region that a cloud's metadata service names, or "" where it does not answer as that cloud does."""
    if provider == "aws":
        token = _asked(address, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        said = (
            _asked(address, "GET", "/latest/meta-data/placement/region", {"X-aws-ec2-metadata-token": token})
            if token
            else ""
        )
    elif provider == "gcp":
        # projects/123/zones/europe-west9-b
        zone = _asked(address, "GET", "/computeMetadata/v1/instance/zone", {"Metadata-Flavor": "Google"})
        said = zone.rpartition("/")[2].rpartition("-")[0]
    else:
        path = "/metadata/instance/compute/location?api-version=2021-02-01&format=text"
        said = _asked(address, "GET", path, {"Metadata": "true"})
    return said if _REGION.fullmatch(said) else ""


def _line(path: Path) -> str:
    try:
        return path.read_bytes()[:_LONGEST].decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _asked(address: tuple[str, int], method: str, path: str, headers: Mapping[str, str]) -> str:
    """Return the text of an answer 200, or "" for any other and for none."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(*address, timeout=WAIT_SECONDS)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        text = answer.read(_LONGEST).decode("ascii", "replace").strip()
        return text if answer.status == 200 and text.isprintable() else ""
    except (OSError, HTTPException, ValueError):
        return ""
    finally:
        connection.close()
