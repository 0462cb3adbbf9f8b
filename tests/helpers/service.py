"""Asking a service, and what every refusal of it looks like."""

from __future__ import annotations

import json
from typing import Any

import anyio
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

TOKEN = "a-secret-of-the-tests-0123456789"
ADDRESS = "http://127.0.0.1:8420"


def asked_as_owner(app: FastAPI, **headers: str) -> TestClient:
    """Return a client of an application with the right token; an unexpected error is an answer, as behind a real server."""
    headers = {"authorization": f"Bearer {TOKEN}", **headers}
    return TestClient(app, base_url=ADDRESS, headers=headers, raise_server_exceptions=False)


def batch(**changes: Any) -> bytes:
    """Return a small well-formed batch with some of its parts changed; a part set to None is left out."""
    start_ms = 1_796_000_400_000
    meter = {"device": "boot-1", "domain": "cpu-model", "component": "cpu", "max_power_mw": 65_000}
    body = {
        "wire": 1, "sequence": 1, "reader": {"reader": "reader-1", "machine": "m1", "boot": "boot-1"},
        "meters": [meter],
        "runs": [{"run": "run-1", "event": "e1", "kind": "started", "at_ms": start_ms, "labels": {"model": "m"}}],
        **changes,
    }  # fmt: skip
    return json.dumps({name: part for name, part in body.items() if part is not None}).encode()


def problem(response: Response, status: int, name: str) -> str:
    """Check that an answer is the one shape of every refusal, and return its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "request_id"}
    assert body["type"] == f"urn:joulebook:problem:{name}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert TOKEN not in response.text
    detail: str = body["detail"]
    return detail


def deliver(client: TestClient, content: bytes, **headers: str) -> Response:
    """Send a batch."""
    return client.post("/v1/facts", content=content, headers={"content-type": "application/json", **headers})


def asked_in_chunks(app: FastAPI, chunks: list[bytes]) -> tuple[int, list[dict[str, Any]]]:
    """Post a body of unknown length in pieces; return how many messages were taken, and what was sent.

    A last piece that is empty ends the body; without one, the client goes away after the last piece.
    """
    names = {
        "host": "localhost",
        "authorization": f"Bearer {TOKEN}",
        "content-type": "application/json",
        "transfer-encoding": "chunked",
    }
    scope = {
        "type": "http", "method": "POST", "path": "/v1/facts", "raw_path": b"/v1/facts", "query_string": b"", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in names.items()],
    }  # fmt: skip
    messages = [{"type": "http.request", "body": chunk, "more_body": chunk != b""} for chunk in chunks]
    messages.append({"type": "http.disconnect"})
    sent: list[dict[str, Any]] = []
    before = len(messages)

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    anyio.run(app, scope, receive, send)
    return before - len(messages), sent
