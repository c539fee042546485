"""The libraries of one host: described before they are wanted, loaded from private copies, tried in a child process first."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from lcr.errors import LcrError
from lcr.native.blueprint import Blueprint
from lcr.native.callbacks import callbacks_of_process, renew_callbacks
from lcr.native.children import Child, Children, Died, told
from lcr.native.classes import described, loaded_original
from lcr.native.context import is_address
from lcr.native.copies import Copies
from lcr.native.declaration import Declarations, read_declarations
from lcr.native.descriptor import SYMBOL, tables
from lcr.native.dynamic import Registrations
from lcr.native.elf import Elf, objections, read_elf
from lcr.native.jobs import Construct, Describe
from lcr.native.linked import Linked, read_linked
from lcr.native.loading import Components, load_components
from lcr.native.opened import REFERENCE, REGISTERED_NOTHING, may_register
from lcr.native.promised import Promised
from lcr.native.retired import Retired
from lcr.native.signature import parse_signature
from lcr.native.table import ORIGINAL, Table
from lcr.native.trial import Trial
from lcr.native.world import World

START_TIMEOUT = 30.0  # seconds for loading and constructing in a process of its own
DESCRIBE_TIMEOUT = 10.0  # seconds in which a library of the original's kind must have registered itself
_copy_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """What a library offers, found without running it here; ``problems`` are what is wrong with it or a part of it."""

    elf: Elf | None
    blueprints: tuple[tuple[Blueprint, type], ...] = ()
    problems: tuple[str, ...] = ()


class Unsuitable(LcrError):
    """A library that cannot be used, as loading it in a child process has shown."""


class Libraries:
    """Describes, loads and tries libraries."""

    def __init__(self, world: World, promised: Promised) -> None:
        self.world = world
        self.copies = Copies()
        self.children = Children()
        self.retired = Retired()
        self._linked = Linked()
        self._registrations: Registrations | None = None
        self.promised = promised

    # -- describing -------------------------------------------------------------------------------------------------

    def describe(self, name: str, files: Mapping[str, bytes], sha: str, siblings: Container[str]) -> Described:
        """Describe the library ``files[name]``, with what is declared beside it. Raises nothing for a bad library."""
        content = files[name]
        try:
            elf = read_elf(content)
            against = objections(elf, siblings)
            if against:
                return Described(elf, problems=against)
            found = self._tables(name, content, sha, elf)
        except (ValueError, Unsuitable) as error:
            return Described(None, problems=(str(error),))
        declarations = read_declarations({each: text for each, text in files.items() if each != name})
        return self._blueprints(name, elf, found, declarations)

    def _tables(self, name: str, content: bytes, sha: str, elf: Elf) -> tuple[Table, ...]:
        if SYMBOL in elf.exports:
            address = elf.address_of(SYMBOL)
            if address is None:
                raise ValueError(f"{SYMBOL} is exported and is nowhere in the file")
            return tables(elf, address)
        if not may_register(elf) and elf.ctors is None:
            raise ValueError(REGISTERED_NOTHING)
        path = self.copies.put(f"{Path(name).stem}-described", content, sha, next(_copy_numbers))
        try:
            return self.load_elsewhere(path)
        finally:
            path.unlink()

    def load_elsewhere(self, path: Path) -> tuple[Table, ...]:
        """Have a library loaded in a child process; return what it registers. Raises :class:`LcrError` when it dies of that."""
        child = self.children.fork()
        try:
            answer = child.ask(Describe(str(path), str(self.copies.folder)), DESCRIBE_TIMEOUT)
            if answer.error:
                raise Unsuitable(f"when it was loaded in a child process: {answer.error}")
            return answer.tables
        except Died as died:
            raise Unsuitable(f"it was loaded in a child process first, and {died}") from died
        finally:
            child.close()

    def _blueprints(self, name: str, elf: Elf, found: tuple[Table, ...], said: Declarations) -> Described:
        made, problems = list[tuple[Blueprint, type]](), list(said.problems)
        for table in found:
            try:
                blueprint = self._blueprint(name, elf, table, said)
                made.append((blueprint, described(blueprint)))
            except ValueError as error:
                problems.append(str(error))
        return Described(elf, tuple(made), tuple(problems))

    def _blueprint(self, name: str, elf: Elf, table: Table, said: Declarations) -> Blueprint:
        stem = Path(name).stem
        how = (
            f"Declare it in {stem}.pyi or {stem}.h beside {name}, for which `lcr native stub {name}` writes a first version; or "
            f"give a typed Protocol to host.reference()"
        )
        asks = REFERENCE in elf.imports
        if table.signatures is not None:
            types = said.types if said.cdef else None
            named = zip(table.functions, table.signatures, strict=True)
            own = tuple(parse_signature(function, signature, types) for function, signature in named)
            return Blueprint(table, own, said.cdef, how)
        declared = said.functions_of(table.name, table.version)
        if declared is not None:
            return Blueprint(table, declared, said.cdef, how, asks)
        try:
            return Blueprint(table, self.promised.functions_of(table.name, table.version), "", how, asks)
        except ValueError as error:  # a Protocol that says nothing for C
            return Blueprint(table, None, "", f"{error}. {how}", asks)

    # -- loading ----------------------------------------------------------------------------------------------------

    def load(self, path: Path, found: Described) -> Components:
        """Load a library from its private copy."""
        assert found.elf is not None
        shim = self._shim() if any(blueprint.table.abi == ORIGINAL for blueprint, _ in found.blueprints) else None
        return load_components(path, found.elf, shim)

    def _shim(self) -> Registrations:
        if self._registrations is None:
            self._registrations = Registrations.of_process(self.copies.folder)
            callbacks_of_process(self._registrations).serve(self.world)
        return self._registrations

    # -- linked -----------------------------------------------------------------------------------------------------

    def linked(self) -> tuple[tuple[tuple[Path, type], ...], tuple[tuple[Path, str], ...]]:
        """Return the classes of what has registered itself in this process since the last time, and what is wrong there."""
        classes, problems = list[tuple[Path, type]](), list[tuple[Path, str]]()
        for called, base, addresses in self._linked.news():
            try:
                path, elf, found = read_linked(base, addresses)
            except (OSError, ValueError) as error:
                problems.append((called, f"it has registered components and cannot be read: {error}"))
                continue
            beside = [each for suffix in (".pyi", ".h") if (each := path.with_suffix(suffix)).is_file()]
            said = read_declarations({each.name: each.read_bytes() for each in beside})
            problems += [(path, text) for text in said.problems]
            self._shim()
            for table, interface in found:
                try:
                    blueprint = self._blueprint(path.name, elf, table, said)
                    described(blueprint)
                except ValueError as error:
                    problems.append((path, str(error)))
                    continue
                classes.append((path, loaded_original(blueprint, interface, self.world, f"{path.stem}__linked")))
        return tuple(classes), tuple(problems)

    # -- trying -----------------------------------------------------------------------------------------------------

    def try_out(self, path: Path, blueprint: Blueprint, context: object, timeout: float) -> Trial | None:
        """Have a candidate constructed and tested in a child process. Raises :class:`LcrError` when it fails or dies."""
        child = self._construct(path, blueprint, context, timeout, is_trial=True)
        if not blueprint.table.hooks.imports:  # there is nothing to wait for
            child.close()
            return None
        table = blueprint.table
        return Trial(child, blueprint.label, table.schema, imports=table.hooks.imports)

    def start(self, path: Path, blueprint: Blueprint, context: object) -> Child:
        """Construct an instance in a process of its own, which serves from there."""
        if is_address(context):
            raise LcrError(
                f"{blueprint.label} is to have a process of its own, and its context is an address in this one"
            )
        return self._construct(path, blueprint, context, START_TIMEOUT, is_trial=False)

    def _construct(self, path: Path, blueprint: Blueprint, context: object, timeout: float, *, is_trial: bool) -> Child:
        where = "in a trial in a child process" if is_trial else "in a process of its own"
        child = self.children.fork(logged_as=None if is_trial else blueprint.label)
        try:
            given = context if isinstance(context, int | bytes | str) else None
            job = Construct(str(path), str(self.copies.folder), blueprint, given, is_trial)
            told(child.ask(job, timeout), where)
        except Died as died:
            child.close()
            raise LcrError(f"{blueprint.label}, {where}: {died}") from died
        except BaseException:
            child.close()
            raise
        return child

    def close(self) -> None:
        """End the child processes. What is loaded stays."""
        self.children.close()

    def renew(self) -> None:
        """Serve on in a process that was forked."""
        self.retired.renew()
        self._linked.renew()
        renew_callbacks()
        self.copies.renew()
        self.children.renew()
