"""A small wiki: it renders the Markdown documents of some folders, and counts who reads what.

The program knows its two components by their interfaces only, holds one handle of each for its whole life, and never
learns that they were replaced. Its endpoints are plain functions, so the server runs them on several threads at once.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

import lcr

HERE = Path(__file__).parent
FOLDERS = (HERE / "documents", HERE.parents[1] / "docs", HERE.parents[1] / "docs" / "reference")
PAGE = "<!doctype html><meta charset=utf-8><title>{title}</title><article>{body}</article><footer>read {views} times</footer>"


class Renderer(Protocol):
    """What turns a document into HTML."""

    def render(self, text: str) -> str:
        """Return the HTML of a Markdown text."""
        ...


class Counter(Protocol):
    """What counts the views of pages."""

    def count(self, page: str) -> int:
        """Count a view; return how often the page was seen."""
        ...

    def totals(self) -> dict[str, int]:
        """Return the views of every page."""
        ...


def documents() -> dict[str, Path]:
    """Return the documents by name: those of the library, and the project's own."""
    return {path.name: path for folder in FOLDERS for path in sorted(folder.glob("*.md"))}


def make_app(renderer: Renderer, counter: Counter) -> Starlette:
    """Return the web application."""
    pages = documents()

    def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.md")
        document = pages.get(name)
        if document is None:
            return HTMLResponse("<h1>There is no such page</h1>", 404)
        body = renderer.render(document.read_text())
        return HTMLResponse(PAGE.format(title=document.stem, body=body, views=counter.count(name)))

    def views(request: Request) -> Response:
        return JSONResponse(counter.totals())

    return Starlette(routes=[Route("/", page), Route("/views", views), Route("/{name}", page)])


def main(host: lcr.Host) -> None:
    """Serve until a signal comes."""
    renderer = host.reference(Renderer, "renderer", ">=1,<2", holder="wiki")
    counter = host.reference(Counter, "counter", ">=1,<2", holder="wiki")
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is, which saves 40 ms a request.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", int(os.environ.get("WIKI_PORT", "8000"))))
        print(f"serving http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(make_app(renderer, counter), log_level="warning")).run([listening])
