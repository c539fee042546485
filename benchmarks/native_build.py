"""Compiles the libraries that the benchmarks of native components load."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import lcr

SOURCES = Path(__file__).with_name("native")
EXAMPLES = Path(__file__).parent.parent / "examples" / "native"
_INCLUDE = Path(lcr.__file__).parent / "native" / "include"
_FLAGS = (
    *("-O2", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread"),
    *("-Wl,-Bsymbolic", "-Wl,-z,now", "-Wl,-z,noexecstack"),
    *(f"-I{_INCLUDE}", f"-I{EXAMPLES / 'original'}"),
)


def compiler(*, cxx: bool = False) -> list[str]:
    """Return the command: what $CC or $CXX says, what is on the PATH, or the one that comes from PyPI as ``ziglang``."""
    if named := os.environ.get("CXX" if cxx else "CC"):
        return shlex.split(named)
    for name in ("c++", "g++", "clang++") if cxx else ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", "ziglang", "c++" if cxx else "cc"]


def build(source: Path, target: Path, *flags: str) -> Path:
    """Compile a file into a shared object. Raises RuntimeError with what the compiler says against it."""
    cxx = source.suffix == ".cpp"
    own = ["-std=c++20", *_unique()] if cxx else ["-std=c11"]
    command = [*compiler(cxx=cxx), *own, *_FLAGS, *flags, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}")
    return target


def _unique() -> list[str]:
    """Return the flag by which g++ makes no variables that are one for all versions; clang++ makes none, and knows none."""
    command = [*compiler(cxx=True), "-fno-gnu-unique", "-E", "-xc++", os.devnull]
    knows = subprocess.run(command, capture_output=True, check=False).returncode == 0
    return ["-fno-gnu-unique"] if knows else []
