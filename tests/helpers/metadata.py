"""A server that plays the metadata services of three clouds, and the firmware of their machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

AWS = {"sys_vendor": "Amazon EC2", "product_name": "p4d.24xlarge"}


class Metadata(BaseHTTPRequestHandler):
    """All three services on one address, each in its own form, and nothing to who does not keep it."""

    asked: ClassVar[list[tuple[str, str]]] = []
    answers: ClassVar[dict[str, str]] = {}

    def do_PUT(self) -> None:
        """Give the token of IMDSv2."""
        self._answer("the-token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else "")

    def do_GET(self) -> None:
        """Say a region to who asks in the form of its cloud."""
        headers = self.headers
        if self.path == "/latest/meta-data/placement/region" and headers["X-aws-ec2-metadata-token"] == "the-token":
            self._answer(self.answers.get("aws", "eu-west-3"))
        elif self.path == "/computeMetadata/v1/instance/zone" and headers["Metadata-Flavor"] == "Google":
            self._answer(self.answers.get("gcp", "projects/12345/zones/europe-west9-b"))
        elif self.path.startswith("/metadata/instance/compute/location?") and headers["Metadata"] == "true":
            self._answer(self.answers.get("azure", "francecentral"))
        else:
            self._answer("")

    def _answer(self, text: str) -> None:
        self.asked.append((self.command, self.path))
        self.send_response(200 if text else 401)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def metadata_service(**answers: str) -> Iterator[tuple[str, int]]:
    """Yield the address of a service that plays all three clouds'."""
    Metadata.asked, Metadata.answers = [], answers
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield ("127.0.0.1", server.server_port)
    server.shutdown()
    server.server_close()


def machine(root: Path, firmware: dict[str, str]) -> str:
    """Lay out what the firmware says; return the root."""
    folder = root / "class/dmi/id"
    folder.mkdir(parents=True)
    for name, text in firmware.items():
        (folder / name).write_text(f"{text}\n")
    return str(root)
