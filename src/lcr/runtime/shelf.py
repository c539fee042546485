"""The modules that are loaded, each kept as long as something uses it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from functools import partial

from lcr.loaders.loading import Loaded, load
from lcr.loaders.native import Natives
from lcr.loaders.source import Bundle

_numbers = itertools.count(1)  # of all hosts together: the names of modules are the process's


class Shelf:
    """Loads component modules and unloads each when its last user is gone.

    Interfaces of one component that are referenced share one module. A replacement always gets a fresh one, which
    nobody else is given before it is committed.
    """

    def __init__(self, natives: Natives | None = None) -> None:
        self._natives = natives or Natives()
        self._lock = threading.Lock()
        self._users: dict[Loaded, int] = {}
        self._unproved: set[Loaded] = set()

    def take(self, bundle: Bundle, *, fresh: bool = False) -> Loaded:
        """Return a module executed from these bytes, with one more user. Undo: :meth:`give_back`."""
        with self._lock:
            found = None if fresh else self._latest(bundle)
            if found is not None:
                self._users[found] += 1
                return found
        # The author's code runs: not under the lock.
        loaded = load(bundle, next(_numbers), self._natives, is_candidate=fresh)
        with self._lock:
            self._users[loaded] = 1
            if fresh:
                self._unproved.add(loaded)
        return loaded

    def _latest(self, bundle: Bundle) -> Loaded | None:
        key = (bundle.source.text, bundle.sha)
        for loaded in reversed(self._users):
            if (loaded.bundle.source.text, loaded.bundle.sha) == key and loaded not in self._unproved:
                return loaded
        return None

    def approve(self, loaded: Loaded) -> None:
        """Let a fresh module be shared from now on: what it was loaded for is committed."""
        with self._lock:
            self._unproved.discard(loaded)

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()

    def has(self, module: str) -> bool:
        """Tell whether a module of this name, or the one that it is below, is loaded."""
        with self._lock:
            return any(f"{module}.".startswith(f"{loaded.name}.") for loaded in self._users)

    def keep(self, loaded: Loaded) -> None:
        """Count one more user of a module that has one. Undo: :meth:`give_back`."""
        with self._lock:
            self._users[loaded] += 1

    def held(self, loaded: Loaded | None) -> Callable[[], None]:
        """Count one more user; return what counts it off again."""
        if loaded is None:
            return lambda: None
        self.keep(loaded)
        return partial(self.give_back, loaded)

    def give_back(self, loaded: Loaded) -> None:
        """Count one user less; unload the module with its last."""
        with self._lock:
            self._users[loaded] -= 1
            if self._users[loaded]:
                return
            del self._users[loaded]
            self._unproved.discard(loaded)
        loaded.unload()
