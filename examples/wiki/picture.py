"""The picture of a demonstration: every request's latency over time, with the commands that were given meanwhile."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # after the backend is chosen: there may be no screen


def draw(path: Path, requests: list[dict[str, float]], steps: list[tuple[str, float, float]]) -> Path:
    """Write the picture; return its path."""
    start = min(each["began"] for each in requests)
    figure, axes = pyplot.subplots(figsize=(13, 6), dpi=110)
    times = [each["ended"] - start for each in requests]
    latencies = [(each["ended"] - each["began"]) * 1000 for each in requests]
    axes.scatter(times, latencies, s=3, alpha=0.25, linewidths=0, color="#28527a", label="a request that succeeded")
    failed = [(t, ms) for t, ms, each in zip(times, latencies, requests, strict=True) if each["problem"]]
    if failed:
        axes.scatter(*zip(*failed, strict=True), s=40, marker="x", color="#c1121f", label="a request that failed")
    axes.set_yscale("log")
    for title, began, ended in steps:
        axes.axvspan(began - start, ended - start, color="#f4a259", alpha=0.35, linewidth=0)
        axes.text(ended - start, 1.01, title, rotation=28, transform=axes.get_xaxis_transform(), fontsize=9)
    axes.set(xlabel="seconds", ylabel="latency of a request, ms", xlim=(0, max(times)))
    axes.grid(alpha=0.25, which="both")
    axes.legend(loc="upper right", markerscale=3)
    figure.suptitle(f"{len(requests):,} requests, {len(failed)} failed, while components were replaced", y=0.98)
    figure.tight_layout(rect=(0, 0, 0.94, 0.98))
    figure.savefig(path)
    pyplot.close(figure)
    return path
