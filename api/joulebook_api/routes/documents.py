"""The page for people who write against the service: made here from the schema, with nothing loaded from anywhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

router = APIRouter()


@router.get("/docs", include_in_schema=False)
def get_documents(request: Request) -> Response:
    """Return every page of the service with its parameters and answers, as plain HTML."""
    return HTMLResponse("".join(_page(request.app.openapi())))


def _page(schema: dict[str, Any]) -> Iterator[str]:
    title = escape(schema["info"]["title"])
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}: the service</title>'
    yield f"<h1>{title}: the service</h1><p>{escape(schema['info']['summary'])} "
    yield "Every page below /v1 asks for <code>Authorization: Bearer TOKEN</code>; errors are "
    yield '<code>application/problem+json</code>. The same as JSON: <a href="/openapi.json">openapi.json</a>.</p>'
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation)
    yield "</html>"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        yield "<table><caption>Parameters</caption><tr><th>name<th>default<th>meaning"
        for parameter in parameters:
            default = "required" if parameter.get("required") else str(parameter["schema"].get("default", ""))
            meaning = parameter.get("description", "")
            yield f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(default)}<td>{escape(meaning)}"
        yield "</table>"
    yield "<table><caption>Answers</caption><tr><th>status<th>meaning"
    for status, answer in operation["responses"].items():
        yield f"<tr><td>{escape(status)}<td>{escape(answer['description'])}"
    yield "</table>"
