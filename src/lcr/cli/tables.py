"""The answers as tables that a person likes to read."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from lcr.cli.text import one_line, plain

Json = dict[str, Any]
Cells = Sequence[object]
_NARROWEST = 20  # characters, of the last column, which is the one that wraps
_WIDE = 100_000  # characters: in a pipe nothing is cut or wrapped
_COLOURS = {"serving": "green", "committed": "green", "holding": "yellow", "quiet": "yellow"}
_COLOURS |= {"rolled_back": "red", "refused": "red", "no answer": "red"}


def ps(answer: Json) -> None:
    """Print the hosts that run."""
    rows = []
    for host in answer["hosts"]:
        if not host["answers"]:
            rows.append((host["host"], host["pid"], "", "", "", "no answer", host["socket"]))
            continue
        doing = host["replacing"] or ("threads abandoned" if host["abandoned"] else "serving")
        up = age(time.time() - host["started"])
        rows.append((host["host"], host["pid"], host["python"], up, host["interfaces"], doing, host["socket"]))
    _table(
        ("HOST", "PID", "PYTHON", "UP", "INTERFACES", "STATE", "SOCKET"), rows, "no host of yours runs on this machine"
    )
    _lines("problem", answer["problems"])


def interfaces(answer: Json) -> None:
    """Print what serves."""
    columns = ("NAME", "VERSION", "STATE", "REFS", "INSIDE", "REPLACED", "BEFORE", "SERVES FOR", "SOURCE")
    _table(
        columns,
        [
            (
                each["name"],
                each["version"],
                each["state"],
                each["references"],
                each["inside"],
                each["generation"],
                each["previous"] or "-",
                age(time.time() - each["since"]),
                each["source"],
            )
            for each in answer["interfaces"]
        ],
        "nothing serves yet: no interface was referenced",
    )


def details(answer: Json) -> None:
    """Print everything about the versions of one name."""
    for place, each in enumerate(answer["interfaces"]):
        if place:
            click.echo()
        click.echo(f"{click.style(each['name'], bold=True)} {each['version']}  {_coloured(each['state'])}")
        _pairs(_detail(each))
    _lines("abandoned", answer["host"]["abandoned"])
    _lines("leaving", answer["host"]["leaving"])
    if answer["host"]["gates_reason"]:
        _lines("slower", [f"calls are counted by {answer['host']['gates']}: {answer['host']['gates_reason']}"])


def calls(answer: Json) -> None:
    """Print who is inside."""
    rows = [
        (
            each["interface"],
            each["function"],
            each["state"],
            f"thread {each['thread']}" if each["thread"] else f"task {each['task']}" if each["task"] else "-",
            f"{each['seconds']:.1f} s" if each["seconds"] else "just seen",
            each["place"] or "at the gate",
        )
        for each in answer["calls"]
    ]
    _table(("INTERFACE", "FUNCTION", "STATE", "WHO", "AT LEAST", "WHERE"), rows, "nobody is inside")


def leaks(answer: Json) -> None:
    """Print what keeps versions that are over."""
    if not answer["leaks"]:
        click.echo("nothing of a version that is over is left")
    for each in answer["leaks"]:
        click.echo(plain(f"old {each['interface']}: {each['what']} is kept by {each['kept_by']}"))


def unloaded(answer: Json) -> None:
    """Print what became of the libraries that are out."""
    if not answer["libraries"]:
        click.echo("no library that is out is left in memory")
    for each in answer["libraries"]:
        what = f"{each['library']} ({each['size']:,} bytes)"
        click.echo(plain(f"{what} stays" if each["reasons"] else f"{what} is unloaded"))
        for reason in each["reasons"]:
            click.echo(plain(f"  - {reason}"))


def _detail(each: Json) -> Iterator[tuple[str, object]]:
    yield "source", each["source"]
    yield "sha256", each["sha"] or "-"
    yield "scope", f"{each['scope']}, {_count(each['instances'], 'instance')}"
    yield "schema", each["schema"]
    yield "serves for", f"{age(time.time() - each['since'])}, replaced {_count(each['generation'], 'time')} so far"
    yield "rollback to", each["previous"] or "nothing is kept"
    yield "calls inside", each["inside"]
    if each["abi"] != "python":
        yield "in C", _in_c(each)
    yield "functions", each["functions"]
    yield "requires", each["dependencies"] or "nothing"
    yield "held by", each["holders"]


def _in_c(each: Json) -> str:
    kind = "built for the original's header" if each["abi"] == "original" else "built for lcr_component.h"
    where = f", in a process of its own{_restarted(each)}" if each["isolation"] == "process" else ""
    libraries = "library stays" if each["retired"] == 1 else "libraries stay"
    left = (
        f"; {each['retired']} older {libraries} in memory, {each['retired_bytes']:,} bytes" if each["retired"] else ""
    )
    return f"{kind}{where}{left}"


def _restarted(each: Json) -> str:
    return f" (restarted {_count(each['restarts'], 'time')}, each time without its state)" if each["restarts"] else ""


def catalog(answer: Json) -> None:
    """Print what could be loaded."""
    columns = ("NAME", "VERSION", "SERVING", "REPLACES", "SCHEMA", "REQUIRES", "SOURCE")
    _table(
        columns,
        [
            (
                each["name"],
                each["version"],
                "yes" if each["serving"] else "",
                each["replaces"] or "none",
                each["schema"],
                ", ".join(each["dependencies"]) or "-",
                each["source"],
            )
            for each in answer["entries"]
        ],
        "the path offers nothing",
    )
    _lines("cannot be loaded", [f"{each['path']}: {each['message']}" for each in answer["problems"]])


def history(answer: Json) -> None:
    """Print the replacements so far."""
    columns = ("#", "TIME", "ACTION", "NAME", "FROM", "TO", "OUTCOME", "PAUSE", "WAITED", "WHY")
    _table(columns, [_record(each) for each in answer["records"]], "nothing was replaced yet")


def _record(each: Json) -> Cells:
    report = each["report"]
    pause = f"{report['pause'] * 1000:.2f} ms" if report else "-"
    why = _why(str(each["message"]))
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each["time"]))
    held = report["held"] if report else "-"
    names = (each["name"], each["old"] or "-", each["new"] or "-")
    return (each["number"], at, each["action"], *names, each["outcome"], pause, held, why)


def _why(message: str) -> str:
    first, *rest = message.splitlines() or [""]
    if " -> " not in first:  # it says itself what was wrong; the lines below tell what there is instead
        return first
    reasons = [line.removeprefix("  - ") for line in rest if line.startswith("  - ")]
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else first


def plan(answer: Json) -> None:
    """Print what a replacement would do."""
    made = answer["plan"]
    verdict = click.style("possible", fg="green") if answer["accepted"] else click.style("refused", fg="red")
    for each in made["members"] or [made]:
        click.echo(f"{each['kind']} {click.style(each['name'], bold=True)} {each['old']} -> {each['new']}: {verdict}")
        _pairs(
            [
                ("from", each["source"]),
                ("loads", each["loads"] or "nothing"),
                ("state", f"{each['transfer']}, schema {' -> '.join(map(str, each['schema']))}"),
                ("serves", each["touches"] or "nobody"),
            ]
        )
    _lines("brought along", made["brings"])
    _lines("against it", made["reasons"])
    _lines("warning", made["warnings"])
    _lines("note", made["notes"])


# -- printing -----------------------------------------------------------------------------------------------------------


def age(seconds: float) -> str:
    """Say how long something has lasted, in its two largest units."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _coloured(text: str) -> str:
    return click.style(text, fg=_COLOURS.get(text))


def _lines(label: str, texts: Iterable[str]) -> None:
    for text in texts:
        click.echo(f"{click.style(label, fg='yellow')}: {plain(text)}")


def _pairs(pairs: Iterable[tuple[str, object]]) -> None:
    for label, value in pairs:
        values = value if isinstance(value, list) else [value]
        for place, each in enumerate(values):
            click.echo(f"  {label if not place else '':<12}  {one_line(each)}")


def _table(columns: Sequence[str], rows: Iterable[Cells], empty: str) -> None:
    rows = list(rows)
    if not rows:
        click.echo(empty)
        return
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        is_number = all(isinstance(row[place], int) for row in rows)
        is_last = place == len(columns) - 1
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", no_wrap=not is_last)
    for row in rows:
        table.add_row(*(Text(one_line(cell), style=_COLOURS.get(str(cell), "")) for cell in row))
    _print(table)


def _print(table: Table) -> None:
    is_terminal = sys.stdout.isatty()
    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, no_color=bool(os.environ.get("NO_COLOR")))
    wide = Console(file=out, width=_WIDE)
    last = wide.measure(Group(*table.columns[-1].cells)).maximum
    if not is_terminal or wide.measure(table).maximum - max(0, last - _NARROWEST) > console.width:
        console.width = _WIDE  # or columns would be cut, or left out, without a word
    console.print(table)
    for line in out.getvalue().splitlines():
        click.echo(line.rstrip(), color=is_terminal)
