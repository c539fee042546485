"""A trial: the candidate in a process of its own, constructed and tested, where it takes over each state before the host does."""

from __future__ import annotations

from lcr.errors import LcrError
from lcr.native.children import Child, Died, told
from lcr.native.jobs import Import
from lcr.native.state import NativeState

_LEAST = 1e-3  # seconds: 0 would not wait at all


class Trial:
    """A candidate that has been constructed in a child process, and waits there for a state. Undo: :meth:`close`."""

    def __init__(self, child: Child, label: str, schema: int, *, imports: bool) -> None:
        self._child, self._label, self._schema, self._imports = child, label, schema, imports
        if not imports:  # it has shown what it can show
            child.close()

    def import_state(self, state: object, timeout: float) -> None:
        """Have it take over a state there. Raises :class:`LcrError` when it fails, dies or takes longer."""
        if isinstance(state, bytes):
            state = NativeState(self._schema, state)
        if not self._imports or not isinstance(state, NativeState):
            return
        try:
            told(self._child.ask(Import(state.schema, state.data), max(_LEAST, timeout)), "in the trial")
        except Died as died:
            raise LcrError(f"{self._label} was given the state in a child process first, and {died}") from died

    def close(self) -> None:
        """End the process; a second time does nothing."""
        self._child.close()
