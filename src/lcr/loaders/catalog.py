"""The catalog: what could be loaded from the path, kept in an index, so that asking again costs no scan.

A folder's own modification time changes when a file comes, goes or is renamed; a file's stamp (size, modification time,
inode) when it is written. So a request for a name looks at the folders, and at the files that offer this very name.
Only when one of those has changed is the path scanned, and then only files whose stamp changed are read again. Files
edited in place that *newly* offer a name are found when the name is not there otherwise, and by :meth:`refresh`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcr.loaders.loading import describe
from lcr.loaders.native import Natives
from lcr.loaders.source import Bundle, Offer, Source, SourceProblem, Stamp, find, is_library, read
from lcr.model.report import Problem

# A change within the clock's granularity of a scan leaves the same modification time behind: a folder that was changed
# so shortly before a scan is not trusted, and scanned again.
_UNSETTLED = 0.05  # seconds
_MISSING = -1  # in place of a modification time


@dataclass(frozen=True, slots=True)
class _Described:
    source: Source
    offers: tuple[Offer, ...]
    problems: tuple[Problem, ...]
    is_settled: bool


class Catalog:
    """What the folders (or single files and package folders) of a path offer. Safe to use from any thread."""

    def __init__(self, path: Sequence[Path], natives: Natives | None = None) -> None:
        self.path = tuple(path)
        self._natives = natives or Natives()
        self._lock = threading.Lock()
        self._folders: dict[Path, int | None] = {}  # modification time at the last scan; None: not to be trusted
        self._described: dict[Path, _Described] = {}
        self._by_name: dict[str, tuple[Offer, ...]] = {}
        self._problems: tuple[Problem, ...] = ()
        self._has_young = False  # a file that may have been seen half-written

    def offers(self, name: str) -> tuple[Offer, ...]:
        """Return all versions of a name, the highest first; of equal ones only the first on the path."""
        with self._lock:
            if not self._is_fresh(name):
                self._scan()
            return self._by_name.get(name, ())

    def all(self) -> tuple[Offer, ...]:
        """Return everything, by name, as of the last scan."""
        with self._lock:
            return tuple(offer for name in sorted(self._by_name) for offer in self._by_name[name])

    def problems(self) -> tuple[Problem, ...]:
        """Return what could not be read, as of the last scan."""
        with self._lock:
            return self._problems

    def refresh(self) -> None:
        """Scan the whole path."""
        with self._lock:
            self._scan()

    def read(self, offer: Offer) -> Bundle:
        """Return the bytes that an offer was described from. Raises :class:`SourceProblem` when they are gone."""
        assert offer.source.path is not None
        bundle = read(offer.source.path)
        if bundle.sha != offer.sha:
            raise SourceProblem(
                offer.source.path, f"it was changed while {offer.interface} was being loaded; try again"
            )
        return bundle

    def read_path(self, path: Path) -> tuple[Bundle, tuple[Offer, ...], tuple[Problem, ...]]:
        """Read and describe a file or package folder, on the path or not. Raises :class:`SourceProblem`."""
        bundle = read(path)
        return (bundle, *describe(bundle, self._natives))

    def forget(self, name: str) -> None:
        """Describe what offers a name anew when it is asked for next."""
        with self._lock:
            for path in {offer.source.path for offer in self._by_name.pop(name, ())}:
                self._described.pop(path, None)  # type: ignore[arg-type]

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()

    # -- the index, under the lock --------------------------------------------------------------------------------------

    def _is_fresh(self, name: str) -> bool:
        known = self._by_name.get(name)
        if (
            not known
            or self._has_young
            or any(_mtime(folder) != seen or seen is None for folder, seen in self._folders.items())
        ):
            return False
        return all(self._is_unchanged(offer.source) for offer in known)

    def _is_unchanged(self, source: Source) -> bool:
        assert source.path is not None
        described = self._described.get(source.path)
        return described is not None and described.is_settled and _stamp(source.path) == described.source.stamp

    def _scan(self) -> None:
        began = time.time()
        self._folders = {}
        self._has_young = False
        missing: list[Problem] = []
        described: dict[Path, _Described] = {}
        for entry in self.path:
            for path in self._components(entry, began, missing):
                if path not in described:
                    described[path] = self._describe(path, began)
        self._described = described
        self._index(missing)

    def _components(self, entry: Path, began: float, missing: list[Problem]) -> list[Path]:
        if entry.is_dir() and not (entry / "__init__.py").exists():
            mtime = _mtime(entry)
            self._folders[entry] = mtime if _is_settled(mtime, began) else None
            try:
                return [Path(found.path) for found in sorted(os.scandir(entry), key=lambda e: e.name) if _may_be(found)]
            except OSError as error:
                self._folders[entry] = None
                missing.append(Problem(str(entry), error.strerror or str(error)))
                return []
        if entry.exists():
            return [entry]
        self._folders[entry] = _MISSING
        missing.append(Problem(str(entry), "it is on the path and is not there"))
        return []

    def _describe(self, path: Path, began: float) -> _Described:
        before = self._described.get(path)
        try:
            source = find(path)
            if before is not None and before.is_settled and before.source.stamp == source.stamp:
                return before
            bundle = read(path)
            is_settled = all(_is_settled(mtime, began) for _, _, mtime, _ in bundle.source.stamp)
            self._has_young = self._has_young or not is_settled
            if before is not None and before.offers and before.offers[0].sha == bundle.sha:
                return _Described(bundle.source, before.offers, before.problems, is_settled)
            return _Described(bundle.source, *describe(bundle, self._natives), is_settled)
        except SourceProblem as problem:
            return _Described(Source("file", path), (), (Problem(str(problem.path), problem.message),), False)

    def _index(self, missing: list[Problem]) -> None:
        by_name: dict[str, dict[object, Offer]] = {}
        problems = list(missing)
        for described in self._described.values():
            problems += described.problems
            for offer in described.offers:
                first = by_name.setdefault(offer.interface.name, {}).setdefault(offer.interface.version, offer)
                if first is not offer:
                    text = f"{offer.interface} is offered by {first.source.text} too, which comes first"
                    problems.append(Problem(offer.source.text, text))
        self._by_name = {
            name: tuple(sorted(offers.values(), key=lambda offer: offer.interface.version, reverse=True))
            for name, offers in by_name.items()
        }
        self._problems = tuple(problems)


def _may_be(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(("_", ".")):
        return False
    # A link that leads nowhere is neither file nor folder, and is to be reported.
    if entry.is_dir():
        return Path(entry.path, "__init__.py").is_file()
    return entry.name.endswith(".py") or is_library(Path(entry.path))


def _mtime(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return _MISSING


def _stamp(path: Path) -> Stamp | None:
    try:
        return find(path).stamp
    except SourceProblem:
        return None


def _is_settled(mtime_ns: int, began: float) -> bool:
    # One from the far future tells of another clock, not of a change at this moment.
    return not (began - _UNSETTLED) * 1e9 <= mtime_ns <= (began + 1) * 1e9
