"""What a person calls threads and tasks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any


def thread_name(ident: int | None) -> str:
    """Return the name of a thread, or its number where threading does not know it."""
    # Read from the table at once: enumerate() takes a lock, which a fork or a signal may find taken.
    thread = threading._active.get(ident)  # type: ignore[attr-defined]
    return str(ident) if thread is None else str(thread.name)


def current_task_name(ident: int) -> str:
    """Return the name of the asyncio task that a thread runs now; empty where there is none."""
    for loop, task in list(getattr(_tasks(), "_current_tasks", {}).items()):
        if getattr(loop, "_thread_id", None) == ident:
            return str(task.get_name())
    return ""


def task_names() -> dict[int, str]:
    """Return the names of all asyncio tasks by the ids of the coroutines that they await, one inside the other."""
    names: dict[int, str] = {}
    for task in _all_tasks():
        awaited = task.get_coro()
        while awaited is not None and id(awaited) not in names:
            names[id(awaited)] = task.get_name()
            awaited = _awaited_by(awaited)
    return names


def _awaited_by(thing: Any) -> Any:
    for name in ("cr_await", "ag_await", "gi_yieldfrom"):
        if (found := getattr(thing, name, None)) is not None:
            return found
    return None


def _all_tasks() -> list[Any]:
    module = _tasks()
    # asyncio.all_tasks() gives those of one loop; the sets that it reads have other names from version to version.
    held = [getattr(module, name, ()) for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks")]
    return [task for each in held for task in _listed(each) if hasattr(task, "get_coro") and not task.done()]


def _listed(tasks: Iterable[Any]) -> list[Any]:
    for _ in range(1000):  # as asyncio itself does: other threads make tasks meanwhile
        try:
            return list(tasks)
        except RuntimeError:
            continue
    return []


def _tasks() -> Any:
    return sys.modules.get("asyncio.tasks")  # whoever has not imported it has no task
