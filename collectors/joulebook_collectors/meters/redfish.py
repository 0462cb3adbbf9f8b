"""A node's power by Redfish: its management controller, asked over HTTPS. Only the agent does so.

Asked in this order (DMTF DSP0268): the chassis' EnvironmentMetrics (`PowerWatts.Reading`, else the sensor it names), the older Power
(`PowerControl[].PowerConsumedWatts`). Which chassis it is, is found once: the one that is named, else the only one that shows power,
else the only one of these that lies in no other. Where that leaves several, one must be named, for they may hold each other.

Certificates are checked, against a file of authorities where one is given. The credentials lie in a file that only its owner may
read. No redirect is followed, no proxy is used, and a path that the controller names is followed only below /redfish/ on itself. An
answer may take ten seconds in all and have a mebibyte.
"""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from joulebook_collectors.meters.meter import (
    NOT_FOUND,
    NOT_SUPPORTED,
    PERMISSION_DENIED,
    READ_FAILED,
    NoData,
    PowerValue,
)
from joulebook_collectors.meters.node_power import HIGHEST_NODE_MW, plausible
from joulebook_ledger.core.refusals import BadInput

if TYPE_CHECKING:
    import ssl

TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER_BYTES = 1 << 20
MOST_CHASSIS = 64
_OK, _UNAUTHORISED, _FORBIDDEN, _MISSING = 200, 401, 403, 404


class RedfishSource:
    """Asks one management controller."""

    label = "Redfish"

    def __init__(
        self,
        url: str,
        *,
        user: str,
        password: str,
        ca_file: str = "",
        chassis: str = "",
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: Address of the controller, such as https://10.0.0.7.
            user: Who asks; a user with the role ReadOnly is enough.
            password: Its password.
            ca_file: Certificates of authorities, or the controller's own; empty for the system's.
            chassis: Id of the chassis whose power is the node's; empty to find it.
            timeout_seconds: Longest time for one answer.

        Raises:
            BadInput: The address is no https address, or the file of certificates cannot be read.
        """
        import httpx2

        self._url = _checked_url(url)
        self._chassis = chassis
        self._timeout_seconds = timeout_seconds
        self._found: list[str] = []
        self._client = httpx2.Client(
            verify=_context(ca_file),
            auth=(user, password),
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "application/json", "OData-Version": "4.0"},
        )

    def power(self) -> PowerValue | NoData:
        """Answer the power now."""
        if not self._found:
            found = self._find()
            if isinstance(found, NoData):
                return found
            self._found = found
        answer = self._power_of(self._found[0])
        if isinstance(answer, NoData) and answer.reason in {NOT_SUPPORTED, NOT_FOUND}:
            self._found = []  # the controller was changed: look again at the next question
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _find(self) -> list[str] | NoData:
        """Return the path of the node's chassis, alone in a list."""
        listed = self._get("/redfish/v1/Chassis")
        if isinstance(listed, NoData):
            return listed
        paths = [path for member in _items(listed, "Members")[:MOST_CHASSIS] if (path := _link(member))]
        if self._chassis:
            named = [path for path in paths if path.rstrip("/").rpartition("/")[2] == self._chassis]
            return named or NoData(NOT_FOUND)
        powers = {path: self._power_of(path) for path in paths}
        shown = [path for path, answer in powers.items() if isinstance(answer, PowerValue)]
        if len(shown) > 1:
            shown = [path for path in shown if not self._lies_in_another(path)]
        if len(shown) == 1:
            return shown
        failed = [answer for answer in powers.values() if isinstance(answer, NoData) and answer.reason != NOT_SUPPORTED]
        return failed[0] if failed and not shown else NoData(NOT_SUPPORTED)

    def _lies_in_another(self, path: str) -> bool:
        chassis = self._get(path)
        return isinstance(chassis, dict) and bool(_link(_item(_item(chassis, "Links"), "ContainedBy")))

    def _power_of(self, path: str) -> PowerValue | NoData:
        chassis = self._get(path)
        if isinstance(chassis, NoData):
            return chassis
        for link, ask in (("EnvironmentMetrics", self._metrics_power), ("Power", _control_power)):
            target = _link(_item(chassis, link))
            if not target:
                continue
            found = self._get(target)
            answer = found if isinstance(found, NoData) else ask(found)
            if not isinstance(answer, NoData) or answer.reason != NOT_SUPPORTED:
                return answer
        return NoData(NOT_SUPPORTED)

    def _metrics_power(self, metrics: dict[str, Any]) -> PowerValue | NoData:
        excerpt = _item(metrics, "PowerWatts")
        if excerpt.get("Reading") is not None:
            return _watts(excerpt["Reading"])
        sensor = _link({"@odata.id": excerpt.get("DataSourceUri")})
        if not sensor:
            return NoData(NOT_SUPPORTED)
        found = self._get(sensor)
        return found if isinstance(found, NoData) else _watts(found.get("Reading"))

    def _get(self, path: str) -> dict[str, Any] | NoData:
        """Return what lies at a path, or why nothing does."""
        import httpx2

        body = bytearray()
        latest = time.monotonic() + self._timeout_seconds
        try:
            with self._client.stream("GET", f"{self._url}{path}") as response:
                if response.status_code != _OK:
                    return NoData(_why_refused(response.status_code))
                for part in response.iter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER_BYTES or time.monotonic() > latest:
                        return NoData(READ_FAILED)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError, ValueError):
            return NoData(READ_FAILED)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return NoData(READ_FAILED)
        return document if isinstance(document, dict) else NoData(READ_FAILED)


def read_credentials(path: str) -> tuple[str, str]:
    """Return user and password: the first two lines of a file that only its owner may read.

    Raises:
        BadInput: The file cannot be read, is open to others, or does not hold the two.
    """
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            lines = file.read(4096).splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(f"credentials_file {path!r} cannot be read by user id {os.geteuid()} ({error})") from error
    if mode & 0o077:
        raise BadInput(f"credentials_file {path!r} is open to others (mode {mode:04o}): chmod 600 {path}")
    if len(lines) < 2 or not lines[0] or not lines[1]:
        raise BadInput(f"credentials_file {path!r} must hold the user in its first line and the password in its second")
    return lines[0], lines[1]


def _control_power(power: dict[str, Any]) -> PowerValue | NoData:
    """Return what the older resource says: its first control is the chassis', further ones are parts of it."""
    controls = _items(power, "PowerControl")
    if not controls or controls[0].get("PowerConsumedWatts") is None:
        return NoData(NOT_SUPPORTED)
    return _watts(controls[0]["PowerConsumedWatts"])


def _watts(value: object) -> PowerValue | NoData:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NoData(READ_FAILED)
    if not 0 < value <= HIGHEST_NODE_MW / 1000:
        return NoData(READ_FAILED)
    return plausible(int(value * 1000))


def _item(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _items(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = document.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _link(reference: dict[str, Any]) -> str:
    """Return the path that a reference names, if it is one of the controller's own."""
    path = reference.get("@odata.id")
    if not isinstance(path, str) or not path.startswith("/redfish/") or ".." in path or not path.isprintable():
        return ""
    return path.partition("#")[0]


def _why_refused(status: int) -> str:
    if status in {_UNAUTHORISED, _FORBIDDEN}:
        return PERMISSION_DENIED
    return NOT_SUPPORTED if status == _MISSING else READ_FAILED


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme == "https" and bool(parts.hostname) and not parts.username and parts.path in {"", "/"}
        _ = parts.port
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment:
        raise BadInput(f"url {url!r} must be an address such as https://10.0.0.7, without a path or a user")
    return url.rstrip("/")


def _context(ca_file: str) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ValueError) as error:
        raise BadInput(f"ca_file {ca_file!r} holds no certificates that can be read ({error})") from error
