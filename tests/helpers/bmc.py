"""A management controller that speaks Redfish over real HTTPS on this machine, and one that `ipmitool` seems to ask."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "reader", "not a secret"


class Bmc:
    """What the controller says, by path, and how it behaves."""

    def __init__(self) -> None:
        """Say nothing yet."""
        self.url = ""
        self.ca_file = ""
        self.bodies: dict[str, bytes] = {}
        self.status: dict[str, int] = {}
        self.seconds = 0.0
        self.asked: list[str] = []

    def say(self, path: str, document: Any) -> None:
        """Answer this at a path."""
        self.bodies[path] = document if isinstance(document, bytes) else json.dumps(document).encode()

    def has_chassis(self, name: str, *, power: Any = None, metrics: Any = None, within: str = "") -> None:
        """Have one more chassis."""
        path = f"/redfish/v1/Chassis/{name}"
        chassis: dict[str, Any] = {"@odata.id": path, "Id": name}
        for link, document in (("Power", power), ("EnvironmentMetrics", metrics)):
            if document is not None:
                chassis[link] = {"@odata.id": f"{path}/{link}"}
                self.say(f"{path}/{link}", document)
        if within:
            chassis["Links"] = {"ContainedBy": {"@odata.id": f"/redfish/v1/Chassis/{within}"}}
        self.say(path, chassis)
        listed = json.loads(self.bodies.get("/redfish/v1/Chassis", b'{"Members": []}'))
        listed["Members"].append({"@odata.id": path})
        self.say("/redfish/v1/Chassis", listed)


@contextmanager
def serving(folder: Path) -> Iterator[Bmc]:
    """Serve a controller with a certificate of its own."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bmc",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    bmc = Bmc()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(bmc))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    bmc.url, bmc.ca_file = f"https://127.0.0.1:{server.server_address[1]}", str(certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield bmc
    server.shutdown()
    server.server_close()


def _handler(bmc: Bmc) -> type[BaseHTTPRequestHandler]:
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            bmc.asked.append(self.path)
            time.sleep(bmc.seconds)
            body = bmc.bodies.get(self.path)
            status = bmc.status.get(self.path, 404 if body is None else 200)
            if self.headers["Authorization"] != expected:
                status = 401
            body = body or b"{}"
            self.send_response(status)
            self.send_header("Location", "/redfish/v1/Chassis")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def ipmitool(folder: Path, answers: dict[str, tuple[int, str, str]]) -> str:
    """Put an `ipmitool` into a folder that prints recorded answers, by its arguments: exit status, output, errors."""
    folder.mkdir(exist_ok=True)
    cases = []
    for place, (arguments, (status, output, errors)) in enumerate(answers.items()):
        (folder / f"out{place}").write_text(output)
        (folder / f"err{place}").write_text(errors)
        cases.append(f'"{arguments}") cat {folder}/out{place}; cat {folder}/err{place} >&2; exit {status};;')
    program = folder / "ipmitool"
    program.write_text('#!/bin/sh\ncase "$*" in\n' + "\n".join(cases) + "\n*) exit 9;;\nesac\n")
    program.chmod(0o755)
    return str(program)
