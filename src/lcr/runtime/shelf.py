"""The modules that are loaded, each kept as long as something uses it."""

from __future__ import annotations

import itertools
import threading

from lcr.loaders.python import LoadedModule, load
from lcr.loaders.source import Bundle


class Shelf:
    """Loads component modules and unloads each when its last user is gone.

    Interfaces of one component that are referenced share one module; a replacement always gets a fresh one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._users: dict[LoadedModule, int] = {}
        self._latest: dict[tuple[str, str], LoadedModule] = {}

    def take(self, bundle: Bundle, *, fresh: bool = False) -> LoadedModule:
        """Return a module executed from these bytes, with one more user. Undo: :meth:`give_back`."""
        key = (bundle.source.text, bundle.sha)
        with self._lock:
            found = None if fresh else self._latest.get(key)
            if found is not None:
                self._users[found] += 1
                return found
        loaded = load(bundle, next(self._numbers))  # the author's code runs: not under the lock
        with self._lock:
            self._users[loaded] = 1
            self._latest[key] = loaded
        return loaded

    def keep(self, loaded: LoadedModule) -> None:
        """Count one more user of a module that has one. Undo: :meth:`give_back`."""
        with self._lock:
            self._users[loaded] += 1

    def give_back(self, loaded: LoadedModule) -> None:
        """Count one user less; unload the module with its last."""
        with self._lock:
            self._users[loaded] -= 1
            if self._users[loaded]:
                return
            del self._users[loaded]
            self._latest = {key: other for key, other in self._latest.items() if other is not loaded}
        loaded.unload()
