"""The child's side of a component that has a process of its own: a thread for each connection, one for the host's orders."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from lcr.errors import LcrError, in_words
from lcr.native.channel import CALL, CONNECT, Stream, packed
from lcr.native.frames import receive, send
from lcr.native.jobs import Import, Order, Outcome
from lcr.native.state import NativeState


def serve(session: socket.socket, instance: Any, names: tuple[str, ...]) -> None:
    """Serve an instance until the host is gone, or has it destructed."""
    functions = [getattr(instance, name) for name in names]
    while True:
        kind, fds, _, _ = socket.recv_fds(session, 1, 1)
        if not kind:
            return
        if kind == CONNECT:
            connection = socket.socket(fileno=fds[0])
            threading.Thread(target=_connection, args=(connection, functions), daemon=True).start()
        else:
            order = receive(session, Order | Import)
            send(session, _carried_out(instance, order))
            if isinstance(order, Order) and order.what == "destruct":
                return


def _connection(connection: socket.socket, functions: list[Callable[..., Any]]) -> None:
    """Answer calls, one after the other. A process that cannot answer any more ends: its callers must not wait."""
    stream = Stream(connection)
    try:
        while True:
            place, arguments = stream.receive(CALL)
            stream.send(packed(_called(functions[place], arguments)))
    except (EOFError, ConnectionError):  # its caller is gone, or does not want the answer any more
        connection.close()
    except BaseException as error:
        os.write(2, f"{in_words(error)}\n".encode())
        os._exit(1)


def _called(function: Callable[..., Any], arguments: list[Any]) -> tuple[bool, Any]:
    try:
        return True, function(*arguments)
    except Exception as error:
        return False, (type(error).__name__, str(error))


def _carried_out(instance: Any, order: Order | Import) -> Outcome:
    try:
        if isinstance(order, Import):
            instance.import_state(NativeState(order.schema, order.data))
            return Outcome()
        found = getattr(instance, order.what)(*([order.schema] if order.schema else []))
        return Outcome(schema=found.schema, data=found.data) if isinstance(found, NativeState) else Outcome()
    except LcrError as error:
        return Outcome(str(error))
    except Exception as error:
        return Outcome(in_words(error))
