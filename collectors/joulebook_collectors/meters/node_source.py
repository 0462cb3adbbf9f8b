"""From the section `[node]` of the agent's configuration to the source of the node's power."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulebook_collectors.meters.node_power import SAMPLE_SECONDS, AcpiSource
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.slotted import Slotted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_collectors.meters.node_power import NodeSource

KEYS = ("source", "url", "credentials_file", "ca_file", "chassis", "sample_seconds", "command")
SOURCES = ("none", "acpi", "ipmi", "redfish")
LEAST_SECONDS, MOST_SECONDS = 1.0, 300.0


class ConfiguredNode(Slotted):
    """Where the node's power comes from, and the time between two samples."""

    __slots__ = ("sample_seconds", "source")

    def __init__(self, *, source: NodeSource, sample_seconds: float) -> None:
        self.source = source
        self.sample_seconds = sample_seconds


def configured_node(section: Mapping[str, Any], *, sysfs_root: str = "/sys") -> ConfiguredNode | None:
    """Return what `[node]` asks for; None where it asks for nothing. Nothing is asked of any controller yet.

    Raises:
        BadInput: Something cannot be taken; the message names it and what to write instead.
    """
    unknown = [key for key in section if key not in KEYS]
    if unknown:
        raise BadInput(f"[node] has no key {unknown[0]!r}: there are {', '.join(KEYS)}")
    kind = section.get("source", "none")
    if kind not in SOURCES:
        raise BadInput(f"[node] source {kind!r} is none of: {', '.join(SOURCES)}")
    if kind == "none":
        return None
    seconds = section.get("sample_seconds", SAMPLE_SECONDS)
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise BadInput(
            f"[node] sample_seconds must be a number from {LEAST_SECONDS:g} to {MOST_SECONDS:g}, not {seconds!r}"
        )
    return ConfiguredNode(source=_source(kind, section, sysfs_root), sample_seconds=float(seconds))


def _source(kind: str, section: Mapping[str, Any], sysfs_root: str) -> NodeSource:
    if kind == "acpi":
        return AcpiSource(sysfs_root)
    if kind == "ipmi":
        from joulebook_collectors.meters.ipmi import IpmiSource

        return IpmiSource(_text(section, "command") or "ipmitool")
    from joulebook_collectors.meters.redfish import RedfishSource, read_credentials

    if not _text(section, "url") or not _text(section, "credentials_file"):
        raise BadInput('[node] source "redfish" needs url and credentials_file')
    user, password = read_credentials(_text(section, "credentials_file"))
    return RedfishSource(
        _text(section, "url"),
        user=user,
        password=password,
        ca_file=_text(section, "ca_file"),
        chassis=_text(section, "chassis"),
    )


def _text(section: Mapping[str, Any], key: str) -> str:
    value = section.get(key, "")
    if not isinstance(value, str):
        raise BadInput(f"[node] {key} must be a text, not {value!r}")
    return value
