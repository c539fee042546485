"""Writes the results into docs/benchmarks.md, between its two marks, and the picture beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
PICTURE = DOCS / "images" / "benchmarks-peers.png"
BEGIN, END = "<!-- measured: written by benchmarks/peers --write-docs -->", "<!-- end of measured -->"


def means(rows: list[dict[str, Any]]) -> str:
    """Return a table of the ways, with how each replaces the component."""
    return "\n".join(["| way | replaces |", "|---|---|", *(f"| {row['name']} | {row['means']} |" for row in rows)])


def write(rows: list[dict[str, Any]], table: str) -> None:
    """Put the table and the ways in place of those that stand there."""
    path = DOCS / "benchmarks.md"
    before, _, rest = path.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{path} has not the two marks between which the results go")
    body = f"\n\n```text\n{table}\n```\n\n![The same as a picture](images/{PICTURE.name})\n\n{means(rows)}\n\n"
    path.write_text(f"{before}{BEGIN}{body}{END}{after}")
