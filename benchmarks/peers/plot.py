"""The results as a picture: what a call costs, what went wrong, how long a caller waited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

Row = dict[str, Any]
COLOURS = {"lost": "#c0392b", "torn": "#e08e0b", "stale": "#7d6bb0"}
BLUE, LIGHT, GREY, GREEN = "#2c6fad", "#9cc3e6", "#8a8a8a", "#2e7d32"


def draw(rows: list[Row], path: Path, updates: int) -> None:
    """Write the picture."""
    shown = [row for row in rows if row["ratio"] or row["load"]]
    figure, axes = plt.subplots(
        1, 3, figsize=(14.5, 0.55 * len(shown) + 2), sharey=True, gridspec_kw={"width_ratios": [1, 1.6, 0.75]}
    )
    costs(axes[0], shown)
    wrong(axes[1], shown, updates)
    gaps(axes[2], shown)
    axes[0].set_yticks(range(len(shown)), [row["name"] for row in shown])
    axes[0].set_ylim(len(shown) - 0.5, -0.5)
    for axis in axes:
        for place in range(0, len(shown), 2):
            axis.axhspan(place - 0.5, place + 0.5, color="#f4f6f8", zorder=-1)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", alpha=0.25)
        axis.set_axisbelow(True)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def label(axis: Axes, x: float, y: float, text: str, colour: str = "black", size: float = 8) -> None:
    box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.6}
    words = axis.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", bbox=box)
    words.set(color=colour, fontsize=size)


def costs(axis: Axes, rows: list[Row]) -> None:
    axis.set_title("cost of a call,\nas a multiple of a plain method call", fontsize=10)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    for place, row in enumerate(rows):
        if not row["ratio"]:
            label(axis, 1, place, "-", GREY, 12)
            continue
        for key, colour, shift in (("none", BLUE, -0.19), ("two", LIGHT, 0.19)):
            ratio = row["ratio"][key]
            axis.plot([1, ratio], [place + shift] * 2, color=colour, linewidth=6, solid_capstyle="butt")
            label(axis, max(1, ratio), place + shift, f"{ratio:.2f}x", size=7)
    axis.set_xlim(0.9, 2.6 * max((max(row["ratio"].values()) for row in rows if row["ratio"]), default=10))
    axis.plot([], [], color=BLUE, linewidth=6, label="no argument")
    axis.plot([], [], color=LIGHT, linewidth=6, label="two arguments")
    legend(axis)


def legend(axis: Axes) -> None:
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, fontsize=8, frameon=False)


def wrong(axis: Axes, rows: list[Row], updates: int) -> None:
    axis.set_title(
        f"calls that went wrong over {updates} updates\n(above: called the usual way; below: a stashed function)",
        fontsize=10,
    )
    axis.set_xscale("symlog", linthresh=1, linscale=0.6)
    most = 10.0
    for place, row in enumerate(rows):
        if not row["load"]:
            label(axis, 0, place, "-", GREY, 12)
            continue
        for by, start in (("own", -0.36), ("stashed", 0.04)):
            counts = row["load"][by]
            most = max(most, *(counts[what] for what in COLOURS))
            pair(axis, place + start, counts)
    axis.set_xlim(0, most * 150)
    axis.set_xticks([tick for tick in (0, 1, 10, 100, 1000, 10_000, 100_000) if tick <= most * 2])
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for what, colour in COLOURS.items():
        axis.plot([], [], color=colour, linewidth=5, label=what)
    legend(axis)


def pair(axis: Axes, y: float, counts: dict[str, int]) -> None:
    """Draw what is not zero, each as a thin bar, with the numbers behind the longest; and a 0 where all is well."""
    found = [(what, counts[what]) for what in COLOURS if counts[what]]
    if not found:
        label(axis, 0, y + 0.16, "0", GREEN)
        return
    height = 0.32 / len(found)
    for index, (what, count) in enumerate(found):
        axis.barh(y + height * (index + 0.5), count, height=height * 0.9, color=COLOURS[what])
    text = ", ".join(f"{count:,} {what}" for what, count in found)
    label(axis, max(count for _, count in found), y + 0.16, text)


def gaps(axis: Axes, rows: list[Row]) -> None:
    axis.set_title("longest gap between two answers\nto one thread, ms", fontsize=10)
    loads = [(place, row["load"]) for place, row in enumerate(rows)]
    for place, load in loads:
        if not load:
            label(axis, 0, place, "-", GREY, 12)
            continue
        axis.barh(place, load["gap_ms"], height=0.5, color=BLUE)
        label(axis, load["gap_ms"], place, f"{load['gap_ms']:,.0f}")
    control = next((row["load"] for row in rows if row["name"].startswith("control")), None)
    if control:
        axis.axvline(control["gap_ms"], color=GREY, linestyle="--", linewidth=1, label="control")
        legend(axis)
    axis.set_xlim(0, 1.2 * max((load["gap_ms"] for _, load in loads if load), default=1))
