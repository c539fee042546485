"""The C compiler of the machine, or the one that comes from PyPI as ``ziglang``: what builds the tests' libraries."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

FLAGS = ("-fPIC", "-shared", "-O2")


def compiler(*, cxx: bool = False) -> list[str]:
    """Return the command: what $CC (or $CXX) says, what is on the PATH, or zig's, which is then installed."""
    named = os.environ.get("CXX" if cxx else "CC")
    if named:
        return shlex.split(named)
    for name in ("c++", "g++", "clang++") if cxx else ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", "ziglang", "c++" if cxx else "cc"]


def known(*flags: str, cxx: bool = False) -> list[str]:
    """Return those of some flags that the compiler knows."""
    return [flag for flag in flags if _is_known(flag, cxx)]


@cache
def _is_known(flag: str, cxx: bool) -> bool:
    command = [*compiler(cxx=cxx), flag, "-E", "-xc++" if cxx else "-xc", os.devnull]
    return subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0


def build(source: str, target: Path, *flags: str, cxx: bool = False) -> Path:
    """Compile a text into a file; what the compiler says against it is in the error."""
    written = target.with_name(f"{target.name}.{'cc' if cxx else 'c'}")
    written.write_text(source)
    command = [*compiler(cxx=cxx), "-o", str(target), str(written), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    return target


def build_library(source: str, target: Path, *flags: str, cxx: bool = False) -> Path:
    """Compile a text into a shared object."""
    return build(source, target, *FLAGS, *flags, cxx=cxx)


def build_with_one_of(source: str, target: Path, *options: tuple[str, ...]) -> Path:
    """Compile into a shared object with the first set of flags that the linker knows; they differ in these."""
    *others, last = options
    for flags in others:
        try:
            return build_library(source, target, *flags)
        except AssertionError:
            continue
    return build_library(source, target, *last)
