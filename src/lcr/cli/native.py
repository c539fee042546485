"""``lcr native``: help for authors of components in C. It needs no host."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from lcr.cli.exits import REFUSED, told
from lcr.cli.text import plain
from lcr.errors import Refused


def _tool() -> ModuleType:
    try:
        from lcr.native import tool
    except ImportError as error:
        raise Refused(
            f"`lcr native` needs {error.name}, which is not installed: pip install 'pylcr[native]'"
        ) from error
    return tool


@click.group()
def native() -> None:
    """Help with components in C: describe a library, declare its functions, write a new one."""


_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@native.command()
@_FILE
@_JSON
@told
def describe(file: Path, as_json: bool) -> None:
    """Tell what a library offers. It is not loaded into this process.

    One for the original's header says so only when it is loaded, so it is loaded in a child process.
    """
    found, offered = _tool().describe(file)
    if as_json:
        click.echo(json.dumps({"interfaces": [asdict(each) for each in offered], "problems": found.problems}))
    else:
        for each in offered:
            _show(asdict(each))
        for problem in found.problems:
            click.echo(f"problem: {plain(problem)}", err=True)
    if not offered:
        raise click.exceptions.Exit(REFUSED)


def _show(each: dict[str, Any]) -> None:
    kind = "the original's header" if each["abi"] == "original" else "lcr_component.h"
    click.echo(f"{plain(each['name'])} {plain(each['version'])}, built for {kind}, scope {each['scope']}")
    for what in ("replaces", "requires"):
        value = each[what] if isinstance(each[what], str) else ", ".join(each[what])
        click.echo(f"  {what:10}{plain(value) or '-'}")
    click.echo(f"  schema    {each['schema']}")
    for place, function in enumerate(each["functions"]):
        click.echo(f"  {'functions' if not place else '':10}{plain(function)}")
    if not each["is_declared"]:
        sure = "" if each["is_sure"] else " (their number is a guess, too)"
        click.echo(f"  their C signatures are not declared{sure}: `lcr native stub` writes a first version")


@native.command()
@_FILE
@click.option("--header", is_flag=True, help="Write C declarations (a .h) instead of a .pyi.")
@click.option("--write", is_flag=True, help="Write it beside the library, instead of printing it.")
@told
def stub(file: Path, header: bool, write: bool) -> None:
    """Write a first version of the declarations of a library's functions."""
    text = _tool().stub(file, header=header)
    if not write:
        click.echo(text, nl=False)
        return
    target = file.with_suffix(".h" if header else ".pyi")
    try:
        with open(target, "x") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise Refused(f"{target} is there already. It is unchanged.") from error
    except OSError as error:
        raise Refused(f"{target} cannot be written: {error.strerror}.") from error
    click.echo(str(target))


@native.command()
@click.option("--cxx", is_flag=True, help="For C++ with g++.")
@told
def cflags(cxx: bool) -> None:
    """Print what to compile a component with: where lcr_component.h is, and the flags that it needs."""
    click.echo(_tool().compiling(cxx=cxx))


@native.command()
@told
def ldflags() -> None:
    """Print what to link a component with."""
    click.echo(_tool().linking())


@native.command()
@click.argument("name")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=".", help="Where to make its folder; here by default."
)
@told
def new(name: str, folder: Path) -> None:
    """Write a component in C, with a test, that builds with `make`."""
    for path in _tool().new(name, folder):
        click.echo(str(path))


@native.command()
@_FILE
@told
def shim(file: Path) -> None:
    """Write a library with the original's symbols, liblcr.so.4, for a program to be linked against.

    Components that are linked into such a program are found by its host without a file.
    """
    _tool().write_shim(file)
    click.echo(str(file))
