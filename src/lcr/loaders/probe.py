"""How an extension module initializes, found out in a process of its own before this one has anything to do with it.

A module that initializes in phases (PEP 489) returns a description of itself, from which as many modules can be made as
are wanted. One that initializes in a single phase returns the module, finished, and says by its ``m_size`` whether what it
keeps is in the module (0 or more) or in global variables (-1). Only calling its ``PyInit_`` function tells, and that is C, which
may crash; so it is called where nobody is hurt.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from lcr.errors import LcrError

TIMEOUT = 20  # seconds; less than a replacement's preparation has
GLOBAL = -1  # the m_size of a module that keeps its state in global variables

# Runs in the child, without the site module: what the program's own sys.path has is what an initializer may import.
_CHILD = """
import ctypes, json, os, resource, signal, sys
asked = json.loads(sys.argv[1])
signal.alarm(asked["timeout"] + 5)  # should nobody be there any more to end it
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path[:] = asked["path"]

answers = os.dup(1)
os.dup2(2, 1)  # what the initializer prints goes nowhere

def tell(*told):
    os.write(answers, json.dumps(told).encode())
    os._exit(0)

try:
    library = ctypes.PyDLL(asked["file"], asked["flags"])
except OSError as error:
    tell("unopened", str(error))
try:
    initialize = library[asked["symbol"]]
except AttributeError:
    tell("missing")
initialize.restype = ctypes.py_object
try:
    made = initialize()
except BaseException as error:
    tell("raised")
if type(made).__name__ == "moduledef":
    tell("phases")
definition = ctypes.pythonapi.PyModule_GetDef
definition.argtypes, definition.restype = [ctypes.py_object], ctypes.c_void_p
try:
    address = definition(made)
except BaseException:  # it is no module at all, and CPython has a word for that
    tell("raised")
# PyModuleDef: the head of an object, m_init, m_index, m_copy, m_name, m_doc, m_size
offset = object.__basicsize__ + 5 * ctypes.sizeof(ctypes.c_void_p)
tell("single", ctypes.c_ssize_t.from_address(address + offset).value if address else -1)
"""


@dataclass(frozen=True, slots=True)
class Initialization:
    """How a module initializes; ``size`` is the ``m_size`` of one that does so in a single phase."""

    in_phases: bool
    size: int = 0

    @property
    def keeps_global_state(self) -> bool:
        """Whether CPython lets it be made once in a process."""
        return not self.in_phases and self.size == GLOBAL


class NoExtension(LcrError, ImportError):
    """The file is no extension module of this name, which the import of it would say as well."""


_known: dict[tuple[str, str], Initialization] = {}  # by the hash of its bytes and its symbol; a few words each


def initialization(file: Path, sha: str, symbol: str) -> Initialization:
    """Return how the module in a file initializes, whose bytes have this hash.

    Raises :class:`NoExtension` where importing it would fail, and :class:`LcrError` where it would take this process along.
    One that only fails to initialize passes for one that keeps global state: in the child it is alone, without the package
    around it, and when it fails here as well the import says why.
    """
    found = _known.get((sha, symbol))
    if found is None:
        found, is_certain = _judge(_answer(file, symbol), symbol)
        if is_certain:
            _known[sha, symbol] = found
    return found


def _judge(answer: list[object], symbol: str) -> tuple[Initialization, bool]:
    match answer:
        case ["phases"]:
            return Initialization(True), True
        case ["single", int(size)]:
            return Initialization(False, size), True
        case ["raised"]:
            return Initialization(False, GLOBAL), False
        case ["missing"]:
            raise NoExtension(f"it has no function {symbol}, which CPython calls to make the module of this name")
        case ["unopened", str(why)]:
            raise NoExtension(f"the dynamic linker does not open it: {why}")
        case ["died", str(how)]:
            raise LcrError(f"tried in a process of its own, {symbol} {how}")
    raise LcrError(f"tried in a process of its own, it answered {answer}")


def _answer(file: Path, symbol: str) -> list[object]:
    import json  # whoever has extension modules pays for these; nobody else
    import subprocess

    if not sys.executable:
        raise LcrError("sys.executable does not say what to try it with in a process of its own")
    asked = {"file": str(file), "symbol": symbol, "timeout": TIMEOUT, "flags": sys.getdlopenflags()}
    command = [sys.executable, "-P", "-S", "-c", _CHILD, json.dumps(asked | {"path": list(map(str, sys.path))})]
    none = subprocess.DEVNULL
    try:
        done = subprocess.run(command, stdin=none, stdout=subprocess.PIPE, stderr=none, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return ["died", f"did not return within {TIMEOUT} s"]
    except OSError as error:
        raise LcrError(f"it cannot be tried in a process of its own: {error}") from error
    answer: list[object] = json.loads(done.stdout) if done.stdout else ["died", _how(done.returncode)]
    return answer


def _how(status: int) -> str:
    import signal

    if status < 0:
        known = {number.value: number.name for number in signal.Signals}
        return f"crashed ({known.get(-status, f'signal {-status}')})"
    return f"ended the process (status {status})"
