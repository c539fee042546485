"""The results as one table."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
BASE = "plain method"
GROUPS = f"{'':28}{'no argument':>15}{'two arguments':>15}{'':>15}{'usual way':>19}{'stashed function':>19}"
HEADS = (
    f"{'':28}{'ns':>7}{'ratio':>8}{'ns':>7}{'ratio':>8}{'update':>7}{'calls':>8}"
    f"{'lost':>6}{'torn':>6}{'stale':>7}{'lost':>6}{'torn':>6}{'stale':>7}{'state':>7}{'gap':>6}{'ratio':>7}"
)
UNITS = f"{'':58}{'ms':>7}{'':53}{'lost':>7}{'ms':>6}"


def cell(value: float | None, width: int, form: str = ",.0f", unit: str = "") -> str:
    """Return the value to the right; a dash where there is none."""
    text = "-" if value is None else f"{value:{form}}{unit}"
    return f"{text:>{width}}"


def ratios(rows: list[Row]) -> None:
    """Add to each row its ratios to the plain method and to the control."""
    base = next((row["cost"] for row in rows if row["name"] == BASE), None)
    control = next((row["load"] for row in rows if row["name"].startswith("control")), None)
    for row in rows:
        cost, load = row["cost"], row["load"]
        row["ratio"] = {key: cost[key] / base[key] for key in cost} if cost and base else None
        row["gap_ratio"] = load["gap_ms"] / control["gap_ms"] if load and control else None


def line(row: Row) -> str:
    cost, ratio = row["cost"] or {}, row["ratio"] or {}
    cells = [f"{row['name']:28}"]
    for call in ("none", "two"):
        cells += [cell(cost.get(call), 7, ".1f"), cell(ratio.get(call), 8, ".2f", "x")]
    load = row["load"] or {}
    cells += [cell(load.get("update_ms"), 7, ".1f"), cell(load.get("calls"), 8)]
    for by in ("own", "stashed"):
        counts = load.get(by, {})
        cells += [cell(counts.get("lost"), 6), cell(counts.get("torn"), 6), cell(counts.get("stale"), 7)]
    cells += [cell(load.get("state_lost"), 7), cell(load.get("gap_ms"), 6), cell(row["gap_ratio"], 7, ".1f", "x")]
    return "".join(cells).rstrip()


def text(rows: list[Row], about: str) -> str:
    """Return the table, with what it is about above it and what was lost below."""
    lines = [about, "", GROUPS.rstrip(), HEADS, UNITS, *(line(row) for row in rows)]
    reasons = [reason for row in rows for reason in why(row)]
    return "\n".join([*lines, *(["", "lost, and updates that failed:", *reasons] if reasons else [])])


def why(row: Row) -> list[str]:
    """Return how often calls were lost by which error, and how updates failed."""
    load = row["load"]
    if not load:
        return []
    found = [(load[by]["why"], kind) for by, kind in (("own", ""), ("stashed", ", stashed"))]
    found.append((load["updates_failed"], ", update"))
    return [
        f"  {row['name']}{kind}: {count:,} x {reason}"[:125]
        for reasons, kind in found
        for reason, count in reasons.items()
    ]
