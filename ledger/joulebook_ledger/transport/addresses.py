"""The address of a service and the token it is asked with: what can be one, and what is refused before anything is sent. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote, urlsplit

from joulebook_ledger.core.refusals import BadInput

LONGEST_ECHO = 300
WHICH_URL = "set JOULEBOOK_LEDGER to the address of the service itself"
WHICH_TOKEN = "set JOULEBOOK_API_KEY or JOULEBOOK_API_KEY_FILE to the one in the service's JOULEBOOK_HOME/token"  # noqa: S105 - a sentence


def checked_url(url: str) -> str:
    """Return the address of a service without a slash at its end.

    Raises:
        BadInput: No http address, or one that holds a secret, which would end in logs.
    """
    try:
        parts = urlsplit(url)
        has_secret = "@" in parts.netloc
        good = (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
            and url.isascii()
            and " " not in url
        )
    except ValueError:
        has_secret, good = "@" in url, False
    if has_secret:
        raise BadInput(f"the address of a service holds no user or password: {WHICH_TOKEN}")
    if not good or parts.query or parts.fragment:
        raise BadInput(f"{url[:LONGEST_ECHO]!r} is no address of a service: write it as http://127.0.0.1:8420")
    return url.rstrip("/")


def checked_token(token: str) -> str:
    """Return the token; one that cannot stand in a header is refused and not shown."""
    if not token:
        raise BadInput(f"no token for the service: {WHICH_TOKEN}")
    if not all("!" <= character <= "~" for character in token):
        raise BadInput(f"the token for the service holds a character that no token has: {WHICH_TOKEN}")
    return token


def is_loopback(url: str) -> bool:
    """Say whether an address is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def path_part(text: str) -> str:
    """Return a text as one part of a path; dots are written out, since `..` would lead to another page."""
    return quote(text, safe="", errors="surrogatepass").replace(".", "%2E")
