"""What the host tells about itself: frozen values, ready for JSON, that hold no reference to anything that runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


class Jsonable:
    """Gives a frozen dataclass ``as_dict()``: its fields as what JSON knows, nested values included."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as dicts, lists, strings and numbers."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True)
class Stage(Jsonable):
    """One stage of a replacement and the seconds it took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report(Jsonable):
    """How a replacement went that was committed, or (``outcome == "planned"``) how a dry run went."""

    outcome: str  # "committed" | "planned"
    name: str  # of a group: "a + b", and in the same way the versions
    old: str
    new: str
    kind: str  # "upgrade" | "downgrade" | "repair" | "rollback"; "group" when its members differ in it
    pause: float = 0.0  # seconds from the first caller held to the gate's opening; 0.0 when nobody was held
    drained: int = 0  # calls that were inside when the gate closed, and were waited for
    held: int = 0  # calls that arrived while it was closed, and waited
    moved: int = 0  # entries of state that went over (entries of the outermost container, all instances together)
    stages: tuple[Stage, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what would serve after a restart, where that is something else
    mode: str = "drain"  # "drain" | "immediate"
    finishing: int = 0  # immediate: calls that were inside, and finish on the old version
    members: tuple[Report, ...] = ()  # of a group: one for each; what was asked for comes first


@dataclass(frozen=True, slots=True)
class Plan(Jsonable):
    """What a replacement would do, found without running a line of the candidate's code."""

    name: str
    old: str
    new: str
    kind: str
    source: str  # where the candidate comes from: a path, or "registered"
    reasons: tuple[str, ...] = ()  # why it is refused; all of them
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what would serve after a restart, where that is something else
    loads: tuple[str, ...] = ()  # what will be loaded and constructed beside the old, in order
    touches: tuple[str, ...] = ()  # who holds references that will be served by the new
    schema: tuple[int, ...] = ()  # the chain of state schemas, such as (1, 2, 3); one entry when unchanged
    transfer: str = ""  # how the state moves
    mode: str = "drain"  # "drain" | "immediate"
    brings: tuple[str, ...] = ()  # what is replaced as well, because a new version needs it: "clock 1.0 -> 2.0"
    members: tuple[Plan, ...] = ()  # of a group: one for each; what was asked for comes first

    @property
    def change(self) -> str:
        """What would change: ``clock 1.0 -> 2.0``, or for a group that of each member."""
        return " and ".join(member.change for member in self.members) or f"{self.name} {self.old} -> {self.new}"

    @property
    def serving(self) -> str:
        """What serves as long as it is not done: ``clock 1.0 is serving``."""
        olds = [f"{each.name} {each.old}" for each in self.members or (self,)]
        return f"{' and '.join(olds)} {'is' if len(olds) == 1 else 'are'} serving"

    @property
    def accepted(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class InterfaceStatus(Jsonable):
    """One interface that serves now."""

    name: str
    version: str
    scope: str
    schema: int
    source: str
    sha: str  # of the bytes it was executed from; "" for a registered class
    state: str  # "serving" | "holding" | "quiet"
    generation: int  # replacements committed at this place so far
    previous: str | None  # the version that a rollback goes back to
    instances: int
    references: int
    inside: int  # calls that are running or suspended in it now
    functions: tuple[str, ...]
    dependencies: tuple[str, ...]
    holders: tuple[str, ...]
    since: float  # Unix time at which this version began to serve
    abi: str = "python"  # "python", or how a component in C describes itself: "original" | "lcr"
    isolation: str = "none"  # "process": its instances run in processes of their own
    retired: int = 0  # libraries of this interface that are out, and still in memory
    retired_bytes: int = 0  # the size of their files together
    restarts: int = 0  # of the processes of its instances: how often one began anew, without its state


@dataclass(frozen=True, slots=True)
class Call(Jsonable):
    """One call that is inside a component now, or waits at its gate."""

    interface: str  # "greeter 1.0"
    function: str
    state: str  # "running" | "suspended" | "held"
    thread: str  # its name; empty for a task that does not run
    task: str  # the name of the task; empty where there is none
    place: str  # where in the component's source it is; empty when it waits at the gate
    seconds: float  # for how long it is known to be inside: since the host's first look at it, which gives 0


@dataclass(frozen=True, slots=True)
class Leak(Jsonable):
    """Something of a version that is out, and what keeps it."""

    interface: str  # the old version: "greeter 1.0"
    what: str  # "function greet", "class Greeter", "instance of Greeter", "module greeter__lcr1"
    kept_by: str  # "app.handlers['greet'] (bound method)"


@dataclass(frozen=True, slots=True)
class Unloaded(Jsonable):
    """What became of a library that is out, when it was to be unloaded: with ``reasons`` it stays; without, it is gone."""

    library: str  # the versions that it offered: "counter 1.0"
    path: str  # the private copy that it was loaded from
    size: int  # of its file, in bytes
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot(Jsonable):
    """The host at one instant."""

    host: str
    pid: int
    python: str
    started: float  # Unix time
    path: tuple[str, ...]
    interfaces: tuple[InterfaceStatus, ...] = ()
    replacing: str | None = None  # the replacement that is under way
    abandoned: tuple[str, ...] = ()  # threads of authors' code that hang and could not be ended
    leaving: tuple[str, ...] = ()  # versions that are out, and are retired when their last call has ended
    gates: str = "references"  # how calls inside are counted: "references" | "wrappers"
    gates_reason: str = ""  # why not by references


@dataclass(frozen=True, slots=True)
class Record(Jsonable):
    """One entry of the history: a replacement that was committed, rolled back or refused."""

    number: int
    time: float  # Unix time at which it ended
    action: str  # "replace" | "rollback"
    name: str
    old: str
    new: str
    outcome: str  # "committed" | "rolled_back" | "refused"
    stage: str = ""
    message: str = ""
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class CatalogueEntry(Jsonable):
    """One version of one interface that could be loaded."""

    name: str
    version: str
    source: str
    sha: str
    replaces: str
    schema: int
    scope: str
    dependencies: tuple[str, ...]
    functions: tuple[str, ...]
    serving: bool


@dataclass(frozen=True, slots=True)
class Problem(Jsonable):
    """Something on the path that could not be read, and why."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Catalogue(Jsonable):
    """All that could be loaded, and what on the path is in the way."""

    entries: tuple[CatalogueEntry, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Event(Jsonable):
    """Something that happened in a host, for whoever watches."""

    number: int
    time: float  # Unix time
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
