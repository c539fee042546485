"""The gate: why a call costs next to nothing, why none is lost, and what both rest on.

**What a caller holds.** A handle is an object of a type of its own, and that type has, for each function of the
interface, a Python function: the *alias* (``alias.py``), the host's own copy of the author's function. A call is a method
call like any other, which the interpreter specialises as such: no wrapper, no counter, no lock. Two instructions in front
of the alias's code (``bytecode.py``) exchange the handle for the instance. The handles of one instance share their type;
so the change of what serves is a change of one type, however many handles there are.

**Who is inside.** A running frame holds a reference to its function and another to its code; so does a suspended
generator or coroutine. CPython thus counts the calls inside for us: *references to the alias's code, less those that the
host itself holds*. A stashed bound method refers to the function only, and a coroutine that has ended, or a profiler, to
the code only; so both are counted, and the lower is taken. What holds both without being a call, such as the dead frames
of a kept traceback, is told apart by the census (``census.py``), and what the census cannot tell counts as inside: the
count may be too high, never too low. Where an interpreter does not count like this (``selfcheck.py`` tries it),
wrappers count (``counted.py``), and all else stays.

**Closing.** The gate gives each alias the code of a trampoline. Frames that run keep the author's code to their end.
Every later entry, be it through a handle, a function that somebody stashed, or one that was loaded a microsecond
before, lands in the alias's ``Entry`` and from there in :meth:`Gate.admit`, where it waits. Handles are not touched, so
closing costs the number of functions. From then on nobody enters the author's code, so the count can only fall.

**Who passes a closed gate.** A call made from inside must not wait, or a drain of A would wait for ever on A -> B -> A.
Who is inside is looked up on the waiting thread's own stack, only when it stands at a closed gate; a coroutine that runs
has the frames that await it below it, so one look serves both. A plain call *on an event loop's thread*, while
something of the component is suspended, passes too: if it waited, the loop could never end what is suspended. Both pass
into the old version, through aliases made before (``spare``), and count as inside until they end.

**No lock.** A thread can be interrupted anywhere, by the collector running a ``__del__`` or by a signal handler, and
that code may call an interface as well: with a lock held, it would wait for itself. So both sides *announce, then
look*. A call that passes enters itself in ``_passing`` and then looks whether the gate is still ``HOLDING``; the drainer
sets ``QUIET`` and then counts. A call that waits enters itself in ``_waiters`` and then looks whether the gate is open;
the opener opens it and then wakes. Whichever comes first, one of the two sees the other. Single operations of a dict
are atomic, and that is all that this needs.

**Opening.** On the new version: its aliases become what :meth:`admit` gives out, and the waiting are woken in the order
of their arrival. On the old, when a replacement is given up: the same with the spare aliases, because a function whose
code was assigned once is never specialised again on CPython 3.13. The aliases before remain trampolines for as long as
anybody holds them: a stashed function always runs what serves now, and is a little slower from then on.
"""

from __future__ import annotations

import weakref
from _thread import get_ident
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from lcr.errors import HandleReleased, LcrError, NoSuchFunction
from lcr.runtime.alias import Alias
from lcr.runtime.census import calls_to_be_seen, is_on_this_stack, known_references
from lcr.runtime.entry import Admission, Entry, entry
from lcr.runtime.selfcheck import alias_type
from lcr.runtime.waiter import TaskWaiter, ThreadWaiter, TrioWaiter, Waiter, has_running_loop, task_waiter


class State(Enum):
    """The states of a gate.

    ======== ============ =======
    state    action       next
    ======== ============ =======
    SERVING  close        HOLDING
    HOLDING  seal         QUIET
    QUIET    unseal       HOLDING
    HOLDING  open (old)   SERVING
    QUIET    open (any)   SERVING
    any      end          ENDED
    ======== ============ =======
    """

    SERVING = "serving"
    HOLDING = "holding"
    QUIET = "quiet"
    ENDED = "ended"


W = TypeVar("W", bound=Waiter)


class Aliases(dict[str, Alias]):
    """The functions of one instance, by name."""

    def __init__(self, instance: object = None) -> None:
        super().__init__()
        self.instance = instance


class Gate:
    """The gate of one instance: what serves behind it, who is inside, who waits.

    Only one thread at a time closes, seals and opens (the host's one replacement, or a release); any number are
    admitted meanwhile.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.state = State.QUIET
        self.arrivals: deque[float] = deque()  # monotonic times of the calls that had to wait since the last close()
        self.serving = Aliases()  # what callers get since the last open()
        self._spare = Aliases()
        self._elders: list[Alias] = []  # of the same instance, from before a drain that was given up
        self._passing: dict[object, None] = {}  # calls let through the closed gate that have not ended
        self._waiters: dict[Waiter, None] = {}  # in order of arrival
        self._codes: Mapping[int, str] = {}  # ids of the code of all gates that were closed together
        self._drainer = 0  # the thread that closed it
        self.builder = 0  # the thread on which the first instance is being constructed
        self.extras: dict[str, None] = {}  # methods that are no functions of the interface, but live callbacks

    def make(self, instance: object, names: Iterable[str]) -> Aliases:
        """Make aliases for these functions of an instance, for :meth:`open` or, as spare ones, for :meth:`close`."""
        made = Aliases(instance)
        for name in (*names, *(name for name in self.extras if hasattr(instance, name))):
            made[name] = self._alias(name, instance)
        return made

    def _alias(self, name: str, instance: object) -> Alias:
        return alias_type()(name, instance, partial(entry, self, name))

    def forwarding(self, name: str, instance: object) -> Any:
        """Return a function that calls the method of that name of whatever serves: see ``live.py``."""
        if name not in self.serving:
            self.extras[name] = None
        alias = self._alias(name, instance)
        alias.redirect()
        return alias.function

    def forget_extras(self, kept: dict[str, None]) -> None:
        """Have no live callbacks but these: the others were a candidate's that is given up."""
        self.extras = kept

    # -- do and undo ------------------------------------------------------------------------------------------------

    def close(self, spare: Aliases, codes: Mapping[int, str]) -> None:
        """Let every call that enters from now on wait. Undo: :meth:`open` with the same spare aliases."""
        self._drainer = get_ident()
        self._spare, self._codes = spare, codes
        self.arrivals.clear()
        self.state = State.HOLDING
        for alias in self.serving.values():
            alias.redirect()

    def seal(self) -> None:
        """Let nobody pass any more. It holds only if nobody is found inside *after* this; undo: :meth:`unseal`."""
        self.state = State.QUIET

    def unseal(self) -> None:
        """Let calls from inside pass again, and have those who came meanwhile look again."""
        self.state = State.HOLDING
        self._wake()

    def open(self, aliases: Aliases) -> None:
        """Serve through these aliases from now on; wake those who wait, in order of arrival. Never raises."""
        self._elders = [*self._elders, *self.serving.values()] if aliases is self._spare else []
        self.serving = aliases
        self.state = State.SERVING
        self._spare, self._codes = Aliases(), {}  # after the state: who still sees it holding uses the spare ones
        self._wake()

    def flip(self, aliases: Aliases, *, waits: bool) -> list[Alias]:
        """Serve through these at once, without holding anybody; return those that calls may be inside of. Never raises.

        With ``waits`` later drains wait for these calls as well: they work on the same state.
        """
        instance, before, self.serving = self.serving.instance, [*self.serving.values(), *self._elders], aliases
        self._elders = before if waits else []
        for alias in before:
            alias.redirect()
        return [alias for alias in before if alias.of == id(instance)]

    def renew(self, names: Iterable[str]) -> None:
        """Serve as before in a process that was forked: with fresh functions, and without the calls of other threads."""
        before = list(self.aliases())
        for alias in before:
            alias.forget_other_threads(partial(calls_to_be_seen, alias))
        self._passing.clear()
        self._elders = []
        for waiter in [waiter for waiter in self._waiters if isinstance(waiter, ThreadWaiter)]:
            del self._waiters[waiter]
        if self.state is not State.ENDED:
            self.serving, served = self.make(self.serving.instance, names), list(self.serving.values())
            for alias in served:
                alias.redirect()
            self._elders = [alias for alias in before if alias.inside()]
            self._spare, self._codes, self._drainer, self.state = Aliases(), {}, 0, State.SERVING
        self._wake()

    def end(self) -> None:
        """Serve nothing any more: those who wait, and every call to come, get :class:`HandleReleased`."""
        ended, self.serving = self.serving, Aliases()
        self.state = State.ENDED
        for alias in ended.values():
            alias.redirect()
        self._spare, self._elders = Aliases(), []
        self._wake()

    def _wake(self) -> None:
        for waiter in list(self._waiters):
            waiter.wake()

    # -- counting ---------------------------------------------------------------------------------------------------

    def aliases(self) -> Iterator[Alias]:
        """Give every alias that a call of the instance behind the gate may be inside."""
        yield from list(self.serving.values())
        yield from list(self._spare.values())
        yield from self._elders

    def inside(self, *, exactly: bool = False) -> int:
        """Count the calls inside; too many at most, never too few. ``exactly`` asks the census, a walk of the heap."""
        return count_inside(list(self.aliases()), exactly=exactly) + len(self._passing)

    def functions(self) -> tuple[weakref.ref[Any], ...]:
        """Return the functions that callers may have of the instance that serves; weakly, for each reference counts."""
        return tuple(weakref.ref(alias.function) for alias in self.aliases())

    def seen_inside(self) -> int:
        """Count them for a person: calls that pass a closed gate once, although they announce themselves as well."""
        passing = [alias.inside() for alias in list(self._spare.values())]
        return count_inside(list(self.aliases())) - sum(passing) + max(sum(passing), len(self._passing))

    def forget_elders(self) -> None:
        """Drop the aliases of drains given up that nobody is inside of any more."""
        self._elders = [alias for alias in self._elders if alias.inside() > 0]

    def codes(self) -> dict[int, str]:
        """Map the ids of the code objects that may run inside to what a report calls them."""
        return {id(alias.code): f"{self.label}.{alias.entry.name}" for alias in self.aliases()}

    # -- admission: reached only at a closed gate, or through a stashed function ------------------------------------

    def admit(self, entry: Entry) -> Admission:
        """Wait until the gate is open, or let the call pass it; whoever is admitted with a token says :meth:`left`."""
        waiter: ThreadWaiter | None = None
        try:
            while True:
                seen = self.state
                if (found := self._decide(seen, entry)) is not None:
                    return found
                if waiter is None:
                    waiter = self._announce(ThreadWaiter(entry.name))
                if self.state is seen:  # looked at after the announcement: whoever changes it wakes those announced
                    waiter.wait()
        finally:
            if waiter is not None:
                del self._waiters[waiter]

    async def admit_async(self, entry: Entry) -> Admission:
        """Do the same for a coroutine: await, and never block its loop."""
        make = task_waiter()
        if make is None:
            return self.admit(entry)
        waiter: TaskWaiter | TrioWaiter | None = None
        try:
            while True:
                seen = self.state
                if (found := self._decide(seen, entry)) is not None:
                    return found
                if waiter is None:
                    waiter = self._announce(make(entry.name))
                else:
                    waiter.arm()
                if self.state is seen:
                    await waiter.wait()
        finally:
            if waiter is not None:
                del self._waiters[waiter]

    def left(self, token: object) -> None:
        """Note that a call that was let through the closed gate counts by itself now, or has ended."""
        del self._passing[token]

    def _decide(self, seen: State, entry: Entry) -> Admission | None:
        if seen is State.SERVING:
            if entry.name not in self.serving and self.state is not seen:
                return None  # it has changed meanwhile, and with it what a name that is missing means
            return self._function(self.serving, entry.name), None
        if seen is State.ENDED:
            raise HandleReleased(
                f"{self.label} is released: {entry.name}() was called through a function kept from it, and the last "
                f"reference is gone. Nothing was called. Reference {self.label} again to call it."
            )
        if seen is State.QUIET and self.builder == get_ident():
            raise LcrError(
                f"{entry.name}() was called through lcr.live() while {self.label} is being constructed by this very "
                f"thread: it would wait for itself. Call the method itself there."
            )
        return self._pass(entry) if seen is State.HOLDING and self._may_pass(entry) else None

    def _may_pass(self, entry: Entry) -> bool:
        if self._drainer == get_ident() or is_on_this_stack(self._codes):
            return True
        return not entry.awaits and has_running_loop() and self._has_suspended()

    def _pass(self, entry: Entry) -> Admission | None:
        spare = self._spare
        if self.state is not State.HOLDING:
            return None
        alias, token = self._function(spare, entry.name), object()
        self._passing[token] = None
        if self.state is State.HOLDING:  # looked at after the announcement: the drainer will count it
            return alias, token
        del self._passing[token]
        return None

    def _function(self, functions: Aliases, name: str) -> Alias:
        alias = functions.get(name)
        if alias is None and name in self.extras and hasattr(functions.instance, name):
            alias = functions[name] = self._alias(name, functions.instance)
            # Looked at after the announcement: the closing may not have seen it.
            if functions is self.serving and self.state is not State.SERVING:
                alias.redirect()
        if alias is None:
            raise NoSuchFunction(
                f"{self.label} has no function {name}() any more: the version that serves now offers "
                f"{', '.join(sorted(functions)) or 'none'}. Nothing was called."
            )
        return alias

    def _announce(self, waiter: W) -> W:
        self._waiters[waiter] = None
        self.arrivals.append(waiter.since)
        return waiter

    def held(self) -> list[Waiter]:
        """Return the calls that wait now, in the order of their arrival."""
        return list(self._waiters)

    def _has_suspended(self) -> bool:
        return any(alias.may_suspend and alias.inside() > 0 for alias in self.aliases())


def count_inside(aliases: list[Alias], *, exactly: bool = False) -> int:
    """Count the calls inside these; too many at most, never too few. ``exactly`` asks the census, a walk of the heap."""
    found = sum(alias.inside() for alias in aliases)
    if not exactly or not found:
        return found
    before = known_references(aliases)
    counts = {alias: alias.counts() for alias in aliases}
    after = known_references(aliases)  # only what was there before and after is surely among what was counted
    return sum(count.less(before[alias], after[alias]) for alias, count in counts.items())
