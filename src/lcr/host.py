"""The host: the one object that an application makes."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from lcr.calls import calls_of
from lcr.errors import DestructorFailed, LcrError, Refused
from lcr.feed import Callback, Feed, History
from lcr.forked import renew_after_fork
from lcr.loaders.catalog import Catalog
from lcr.loaders.native import Natives, checked_isolation
from lcr.loaders.source import offer_of_class
from lcr.model.component import is_component
from lcr.model.report import Call, Catalogue, Leak, Plan, Record, Report, Snapshot, Unloaded
from lcr.model.version import Range
from lcr.replacement.engine import Engine
from lcr.replacement.leaving import Leaving
from lcr.replacement.order import Names, order_back, order_of
from lcr.replacement.plan import Planner
from lcr.replacement.replacement import Limits, Parts
from lcr.replacement.runner import Abandoned
from lcr.replacement.target import Order, slots_of_name
from lcr.runtime import process, selfcheck
from lcr.runtime.factory import Factory, Request
from lcr.runtime.handle import record
from lcr.runtime.linked import Linked
from lcr.runtime.quick import Quick, leave
from lcr.runtime.registry import Registry
from lcr.runtime.release import Releaser
from lcr.runtime.remains import Remains
from lcr.runtime.shelf import Shelf
from lcr.runtime.slot import Slot
from lcr.runtime.turns import Turns
from lcr.runtime.world import world_of
from lcr.serving import Serving
from lcr.status import catalogue, interface_status

if TYPE_CHECKING:
    from lcr.control.server import ControlServer
    from lcr.control.uic import UicServer

T = TypeVar("T")


class Host:
    """Finds, references, serves and replaces the components of one process.

    ``path`` lists folders with components (or single files and package folders); relative ones are taken from the
    current directory once, here. ``isolation`` says which interfaces in C run in a process of their own, by name:
    ``{"codec": "process"}``. Making a host starts no thread and opens no file. It is safe to use from any thread.
    """

    def __init__(
        self,
        path: Iterable[str | os.PathLike[str]] = (),
        name: str | None = None,
        *,
        isolation: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name or f"host-{os.getpid()}"
        self.path: tuple[Path, ...] = tuple(Path(entry).absolute() for entry in path)
        self._started = time.time()
        self._feed, self._history = Feed(), History()
        self._natives = Natives(checked_isolation(isolation))
        self._registry, self._shelf, self._turns = Registry(), Shelf(self._natives), Turns()
        self._remains, self._quick = Remains(), Quick()
        self._registry.forget_answers = self._quick.forget
        self._catalog = Catalog(self.path, self._natives)
        self._releaser = Releaser(self._registry, self._shelf, self._turns, self._remains)
        self._factory = Factory(self._catalog, self._registry, self._shelf, self._turns, self._releaser)
        self._linked = Linked(self._natives, self._factory)
        self._abandoned = Abandoned(self._turns.give_up)
        self._leaving = Leaving()
        self._parts = Parts(
            self._factory, self._shelf, self._registry, self._releaser, self._turns, self._abandoned, self._leaving
        )
        planner = Planner(self._factory, self._catalog, self._registry)
        self._engine = Engine(self._parts, planner, self._feed, self._history)
        self._natives.connect(partial(world_of, weakref.ref(self)))
        self._serving = Serving()
        self._is_closed = False
        weakref.finalize(self, self._registry.let_go).atexit = False
        renew_after_fork(self._renew)

    # -- references -------------------------------------------------------------------------------------------------

    @overload
    def reference(
        self, name: str, version: str | int | None = None, /, *, context: object = None, holder: str = "app"
    ) -> Any: ...

    @overload
    def reference(
        self,
        protocol: Callable[..., T],
        name: str,
        version: str | int | None = None,
        /,
        *,
        context: object = None,
        holder: str = "app",
    ) -> T: ...

    def reference(self, *asked: Any, context: object = None, holder: str = "app") -> Any:
        """Return a handle of an interface: its functions are the handle's attributes, whatever version serves.

        ``host.reference("greeter", ">=1")``, or ``host.reference(GreeterProtocol, "greeter", ">=1")`` for a typed one.
        The version is a PEP 440 specifier, an exact version, or left out. A version that serves already and fits wins;
        otherwise the highest on the path that fits is loaded and constructed with ``context``, after what it requires.
        ``holder`` names the reference in reports. Raises :class:`Refused`, and changes nothing, when it cannot.
        """
        if context is None and not self._feed.subscribers and (handle := self._quick.join(asked, holder)) is not None:
            return handle
        return self._reference(asked, context, holder)

    def _reference(self, asked: tuple[Any, ...], context: object, holder: str) -> Any:
        name, version = _asked(asked)
        self._refuse_closed(f"reference {name}")
        try:
            wanted = Range.of(version)
        except ValueError as error:
            raise Refused(f"cannot reference {name}: {error}") from error
        if isinstance(asked[0], type) and self._natives.promise(name, wanted, asked[0]):
            self._catalog.forget(name)
        self._linked.offer()
        handle = self._factory.reference(Request(name, wanted, context, holder))
        with self._registry.lock:
            slot = self._registry.fitting(name, wanted)
            if slot is not None and slot.is_shared and record(handle).seat is slot.seat:
                self._quick.learn(asked, handle)
        self._feed.tell("reference", {"name": name, "holder": holder})
        return handle

    def release(self, handle: Any, timeout: float = 5.0) -> None:
        """End a handle; with the last one end the instance: destructor, what it requires, module.

        The last release waits up to ``timeout`` seconds until nobody is inside; then it raises :class:`Refused`, and
        everything is as before. On the thread of a running event loop it does not wait at all. Releasing a handle twice
        raises :class:`HandleReleased`.
        """
        if not leave(handle):
            self._releaser.release(handle, timeout)

    def register(self, cls: type) -> None:
        """Offer a class of the program itself as a component, before any file: the statically linked case."""
        if not is_component(cls):
            raise Refused(f"cannot register {cls!r}: it is not decorated with @lcr.interface(...)")
        try:
            offer = offer_of_class(cls)
        except ValueError as error:
            raise Refused(f"cannot register {cls.__qualname__}: {error}") from error
        self._factory.register(offer)

    # -- replacement ------------------------------------------------------------------------------------------------

    def plan(
        self,
        name: Names,
        to: str | int | None = None,
        source: str | os.PathLike[str] | None = None,
        *,
        version: str | int | None = None,
        allow_break: bool = False,
        mode: str = "drain",
    ) -> Plan:
        """Return what a replacement would do, and in ``reasons`` everything against it; runs none of its code.

        Takes what :meth:`replace` takes. Raises :class:`Refused` only when there is nothing to plan: nothing serves, or no
        candidate is found.
        """
        return self._engine.plan(order_of(name, to, source, version, allow_break, mode))

    def replace(
        self,
        name: Names,
        to: str | int | None = None,
        source: str | os.PathLike[str] | None = None,
        *,
        version: str | int | None = None,
        deadline: float = 5.0,
        prepare_timeout: float = 30.0,
        dry_run: bool = False,
        allow_break: bool = False,
        mode: str = "drain",
    ) -> Report:
        """Replace what serves under a name, while it is being called; no call is lost.

        The candidate is version ``to`` on the path, or comes from the file or package folder ``source``; with neither,
        it is the highest on the path that may stand in. ``version`` says which is meant when several serve. Callers are
        held for at most ``deadline`` seconds. Before that, loading may take ``prepare_timeout`` seconds, and as much for
        each instance its requirements, constructor and self-test together. A dry run goes as far as importing a copy of
        the state, and holds nobody.

        With a mapping of names to versions, ``{"a": "2.0", "b": None}``, all of them are replaced together or not at all,
        and nobody ever sees one without the other. What a new version requires in another version than the one that
        serves is replaced with it, where that may be; the plan says so.

        ``mode="immediate"`` holds nobody: new calls run on the new version at once, those inside finish on the old, which
        is retired when the last of them has ended. It is refused where that would put state at risk.

        Raises :class:`Refused` when nothing was begun, :class:`RolledBack` when it was tried: either way the old
        version serves with its own state. From a coroutine use :meth:`replace_async`.
        """
        order = order_of(name, to, source, version, allow_break, mode)
        return self._carry_out(order, Limits(deadline, prepare_timeout, dry_run), threading.Event())

    def _carry_out(self, order: Order, limits: Limits, cancel: threading.Event) -> Report:
        self._refuse_closed(f"{order.verb} {order.name}")
        return self._engine.carry_out(order, limits, cancel)

    async def replace_async(
        self,
        name: Names,
        to: str | int | None = None,
        source: str | os.PathLike[str] | None = None,
        *,
        version: str | int | None = None,
        deadline: float = 5.0,
        prepare_timeout: float = 30.0,
        dry_run: bool = False,
        allow_break: bool = False,
        mode: str = "drain",
    ) -> Report:
        """Do what :meth:`replace` does, with the same arguments, without blocking the event loop.

        Cancelled, it is rolled back, unless it is committed already; nobody waits for that.
        """
        order = order_of(name, to, source, version, allow_break, mode)
        return await self._carry_out_aside(order, Limits(deadline, prepare_timeout, dry_run))

    async def _carry_out_aside(self, order: Order, limits: Limits) -> Report:
        import asyncio  # whoever comes here has it; nobody else pays for it

        self._engine.refuse_from_inside(order)
        cancel = threading.Event()
        try:
            return await asyncio.to_thread(self._carry_out, order, limits, cancel)
        except asyncio.CancelledError:
            cancel.set()
            raise

    def rollback(
        self,
        name: str | Iterable[str],
        *,
        version: str | int | None = None,
        deadline: float = 5.0,
        prepare_timeout: float = 30.0,
        dry_run: bool = False,
        mode: str = "drain",
    ) -> Report:
        """Go one step back: a fresh instance of the version before takes over, with the state as it is now.

        With several names, all of them go back together or none. Raises like :meth:`replace`; :class:`Refused` where
        nothing is kept to go back to.
        """
        limits = Limits(deadline, prepare_timeout, dry_run)
        return self._carry_out(order_back(name, version, mode), limits, threading.Event())

    async def rollback_async(
        self,
        name: str | Iterable[str],
        *,
        version: str | int | None = None,
        deadline: float = 5.0,
        prepare_timeout: float = 30.0,
        dry_run: bool = False,
        mode: str = "drain",
    ) -> Report:
        """Do what :meth:`rollback` does without blocking the event loop; cancelled, like :meth:`replace_async`."""
        return await self._carry_out_aside(order_back(name, version, mode), Limits(deadline, prepare_timeout, dry_run))

    # -- asking -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what serves now, who refers to it, and what is under way."""
        return Snapshot(
            host=self.name,
            pid=os.getpid(),
            python=".".join(map(str, sys.version_info[:3])),
            started=self._started,
            path=tuple(map(str, self.path)),
            interfaces=tuple(interface_status(slot, self._natives) for slot in self._registry.all()),
            replacing=self._engine.replacing,
            abandoned=self._abandoned.texts(),
            leaving=self._leaving.texts(),
            gates="wrappers" if (why := selfcheck.reason_against()) else "references",
            gates_reason=why,
        )

    def calls(self, name: str | None = None) -> tuple[Call, ...]:
        """Return who is inside now, and who waits at a closed gate; of one interface, or of all.

        ``seconds`` is how long the host has known of a call, which is at most how long it lasts: nothing is written down
        when a call begins. It walks the heap. Raises :class:`Refused` when nothing of that name serves.
        """
        return calls_of(self._slots(name), self._leaving)

    def leaks(self, name: str | None = None) -> tuple[Leak, ...]:
        """Return what of versions that are over is still there, and what keeps it, named as a person would.

        One version is kept for a rollback, and is no leak. It runs the collector and walks the heap several times.
        """
        return self._remains.leaks(name, self._shelf.has)

    def unload(self, name: str | None = None) -> tuple[Unloaded, ...]:
        """Unload libraries in C that were replaced, of one interface or of all, and tell of each: it is gone, or why it stays.

        They stay in memory otherwise; each goes only where it is proved that nothing left in the process leads back into it.
        """
        return self._natives.unload(name)

    def _slots(self, name: str | None) -> tuple[Slot, ...]:
        return self._registry.all() if name is None else slots_of_name(self._registry, name, "tell of")

    def history(self) -> tuple[Record, ...]:
        """Return the last thousand replacements asked for, oldest first: committed, rolled back and refused."""
        return self._history.records()

    def catalog(self) -> Catalogue:
        """Scan the path and return all that could be loaded, and what on it cannot be read and why; runs none of it."""
        self._catalog.refresh()
        self._linked.offer()
        offers = [*self._factory.registered(), *self._catalog.all()]
        return catalogue(offers, [*self._linked.problems, *self._catalog.problems()], self._registry)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Have ``callback`` told of each event from now on; return what ends that.

        It is called on the thread on which the event happened, and must be quick. While callers are held nothing is
        told but ``progress``, when calls inside have to be waited for.
        """
        return self._feed.subscribe(callback)

    # -- control, and the end -----------------------------------------------------------------------------------------

    def serve_control(self) -> ControlServer:
        """Start the control thread, on which the ``lcr`` command and other clients reach this host; once."""
        return self._serving.control(self)

    def serve_uic(self, socket: str = "lcr.socket") -> UicServer:
        """Listen on the original's abstract socket as well, for its ``livereplace NAME versionN``; once."""
        return self._serving.uic(self, socket)

    def close(self, timeout: float = 5.0) -> None:
        """End everything: control threads, instances (those that others require last), modules. A second time: nothing.

        Waits up to ``timeout`` seconds in all for calls inside. What could not be ended properly is told by one
        :class:`LcrError` after everything else was.
        """
        self._is_closed = True
        if not self._serving.end():
            return
        began = time.monotonic()
        self._registry.close()
        self._engine.end(timeout)
        deadline = began + timeout
        failures = self._releaser.end_all(max(0.0, deadline - time.monotonic()))
        had_left = bool(self._leaving.texts())
        left = self._leaving.end(max(0.0, deadline - time.monotonic()))
        if had_left:  # once more: what was on its way out has used what could not be ended
            failures = [failure for failure in failures if isinstance(failure, DestructorFailed)]
            failures += self._releaser.end_all(max(0.0, deadline - time.monotonic()))
        self._natives.close()
        told = [*left, *map(str, failures)]
        if told:
            raise LcrError(f"closing the host: {'; '.join(told)}")

    def _renew(self) -> None:
        process.renew()
        own = (self._feed, self._turns, self._shelf, self._leaving, self._engine, self._catalog, self._natives)
        for part in (*own, self._serving):
            part.renew()
        self._registry.renew()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _refuse_closed(self, what: str) -> None:
        if self._is_closed:
            raise Refused(f"cannot {what}: the host {self.name} is closed.")


def _asked(asked: tuple[Any, ...]) -> tuple[str, str | int | None]:
    rest = asked if asked and isinstance(asked[0], str) else asked[1:]
    if not 1 <= len(rest) <= 2 or not isinstance(rest[0], str):
        raise TypeError('reference() takes a name and a version, such as reference("greeter", ">=1"), after a Protocol')
    return rest[0], rest[1] if len(rest) == 2 else None
