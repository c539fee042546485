"""A replacement told as it happens: a line for each stage, then how it ended; and the events of a host, one a line."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import click

from lcr.cli.exits import tell_error
from lcr.cli.text import one_line, plain

Json = dict[str, Any]
_WHAT = {
    "prepare": "loaded and constructed beside the old",
    "quiesce": "nobody is inside",
    "transfer": "the state is over",
    "commit": "the new version serves",
    "retire": "the old version is taken apart",
}


def follow(lines: Iterable[Json], *, is_quiet: bool) -> Json:
    """Show the lines of a replacement as they come; return the last, which holds the report or the error."""
    screen, last = _Screen(sys.stdout.isatty()), Json()
    for last in lines:
        if is_quiet:
            continue
        if "event" in last:
            _show_event(screen, last["event"])
        elif "report" in last:
            screen.line(_ending(last["report"]))
        else:
            screen.clear()
            tell_error(last["error"], as_json=False)
    return last


class _Screen:
    """Lines that stay, and on a terminal one at the end that is written over."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def clear(self) -> None:
        if self._is_terminal:
            click.echo("\r\033[K", nl=False, color=True)  # no colour, but click would take it out like one

    def line(self, text: str) -> None:
        self.clear()
        click.echo(text)

    def passing(self, text: str) -> None:
        if self._is_terminal:
            self.clear()
            click.echo(plain(text)[: shutil.get_terminal_size().columns - 1], nl=False)  # a second row would stay


def _show_event(screen: _Screen, event: Json) -> None:
    data = event["data"]
    match event["kind"]:
        case "replacement.started":
            screen.line(f"{data['kind']} {click.style(data['name'], bold=True)} {data['old']} -> {data['new']}")
        case "stage.started":
            screen.passing(f"  {data['stage']:<9} ...")
        case "progress":
            screen.passing(f"  {data['stage']:<9} {data['message']}")
        case "stage.done":
            screen.line(f"  {data['stage']:<9} {milliseconds(data['seconds'])}  {_what(data)}")


def _what(data: Json) -> str:
    text = _WHAT.get(data["stage"], "")
    if data["stage"] == "quiesce" and data["drained"]:
        return f"{text}: {_count(data['drained'], 'call')} drained"
    if data["stage"] == "transfer":
        return f"{text}: {_count(data['moved'], 'object')} moved"
    return text


def milliseconds(seconds: float) -> str:
    """Say a time in a column of fixed width."""
    return f"{seconds * 1000:9.2f} ms"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _ending(report: Json) -> str:
    name, new = click.style(report["name"], bold=True), report["new"]
    if report["outcome"] == "planned":
        text = f"{click.style('dry run passed', fg='green')}: {name} {new} could take over; {report['old']} is serving"
    else:
        held = _count(report["held"], "call") if report["held"] else "no call"
        pause = f" for {report['pause'] * 1000:.2f} ms at most" if report["held"] else ""
        text = f"{click.style('committed', fg='green')}: {name} {new} {_serves(report)}; {held} had to wait{pause}"
    if report["finishing"]:
        text += f"; {_count(report['finishing'], 'call')} to finish on {report['old']}, which is retired after that"
    warnings = [f"{click.style('warning', fg='yellow')}: {plain(each)}" for each in report["warnings"]]
    return "\n".join([text, *warnings, *(f"note: {plain(each)}" for each in report["notes"])])


def _serves(report: Json) -> str:
    return "are serving" if report["members"] else "is serving"


# -- events -------------------------------------------------------------------------------------------------------------


def event_line(event: Json) -> str:
    """Put an event of a host in one line."""
    told: dict[str, Callable[[Json], str]] = {
        "replacement.started": lambda d: f"{d['kind']} {d['old']} -> {d['new']}",
        "stage.started": lambda d: d["stage"],
        "stage.done": lambda d: f"{d['stage']} {d['seconds'] * 1000:.2f} ms",
        "replacement.done": lambda d: " ".join(filter(None, [d["outcome"], _first_line(d["message"])])),
        "progress": lambda d: d["message"],
        "retired": lambda d: " ".join([f"{d['old']} has left", *d["warnings"]]),
        "reference": lambda d: d["holder"],
    }
    data = event["data"]
    text = told[event["kind"]](data) if event["kind"] in told else ""
    return one_line(f"{clock(event['time'])}  {event['kind']:<19}  {data.get('name', ''):<16}  {text}".rstrip())


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def clock(seconds: float) -> str:
    """Say a Unix time as the local time of day, to the millisecond."""
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{int(seconds % 1 * 1000):03d}"
