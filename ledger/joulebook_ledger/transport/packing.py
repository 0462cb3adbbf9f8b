"""How the body of a request is packed, and said to be. Pure."""

from __future__ import annotations

import zlib

# Below it the header costs what the packing saves; above the lowest level, packing takes more time than the wire does.
LEAST_PACKED_BYTES = 1_024
PACKING_LEVEL = 1
GZIP_BITS = 16 + zlib.MAX_WBITS


def packed(batch: bytes) -> bytes:
    """Return a batch as one gzip; the same batch gives the same bytes."""
    packer = zlib.compressobj(PACKING_LEVEL, wbits=GZIP_BITS)
    return packer.compress(batch) + packer.flush()


def content_headers(content: bytes | None, encoding: str) -> dict[str, str]:
    """Return the headers that say what a body is; none where there is none."""
    if content is None:
        return {}
    return {"Content-Type": "application/json", **({"Content-Encoding": encoding} if encoding else {})}
