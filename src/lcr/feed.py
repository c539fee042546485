"""What happens in a host, told to whoever watches; and the history of its replacements."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lcr.model.report import Event, Record

Callback = Callable[[Event], None]
_log = logging.getLogger("lcr")


class Feed:
    """Hands each event to every subscriber, in order, on the thread on which it happened."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.subscribers: tuple[Callback, ...] = ()
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Have ``callback`` told of every event from now on; return what ends that. It must be quick."""
        with self._lock:
            self.subscribers = (*self.subscribers, callback)
        return lambda: self._unsubscribe(callback)

    def _unsubscribe(self, callback: Callback) -> None:
        with self._lock:
            self.subscribers = tuple(other for other in self.subscribers if other is not callback)

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell of an event. A subscriber that raises is logged with its traceback, and disturbs nobody else."""
        if not self.subscribers:
            return
        event = Event(next(self._numbers), time.time(), kind, dict(data))
        for callback in self.subscribers:
            try:
                callback(event)
            except Exception:
                _log.exception("a subscriber of the host's events raised")


class History:
    """The last replacements, oldest first; in memory."""

    def __init__(self, length: int = 1000) -> None:
        self._records: deque[Record] = deque(maxlen=length)
        self._numbers = itertools.count(1)

    def add(self, record: Record) -> Record:
        """Enter a record; return it with its number and time."""
        numbered = replace(record, number=next(self._numbers), time=time.time())
        self._records.append(numbered)
        return numbered

    def records(self) -> tuple[Record, ...]:
        """Return all that are kept."""
        return tuple(self._records)
