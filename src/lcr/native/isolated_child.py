"""The child's side of a component that has a process of its own: a thread for each connection, the main one for orders.

Another one takes what the host opens: so there are new connections while an order is carried out, however long that takes.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

from lcr.errors import LcrError, in_words
from lcr.native.channel import CALL, CONNECT, Stream, packed, unpacked
from lcr.native.frames import receive, send
from lcr.native.jobs import Import, Order, Outcome
from lcr.native.state import NativeState


def serve(session: socket.socket, instance: Any, names: tuple[str, ...]) -> None:
    """Serve an instance until the host is gone, or has it destructed."""
    orders: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
    functions = [getattr(instance, name) for name in names]
    threading.Thread(target=_take, args=(session, functions, orders), daemon=True).start()
    while _obeyed(orders.get(), instance) != "destruct":
        pass


def _take(
    session: socket.socket, functions: list[Callable[..., Any]], orders: queue.SimpleQueue[socket.socket]
) -> None:
    """Take the connections that the host opens, until it is gone."""
    try:
        while True:
            kind, fds, _, _ = socket.recv_fds(session, 1, 1, socket.MSG_CMSG_CLOEXEC)
            if not kind:
                os._exit(0)
            connection = socket.socket(fileno=fds[0])
            if kind == CONNECT:
                threading.Thread(target=_connection, args=(connection, functions), daemon=True).start()
            else:
                orders.put(connection)
    except BaseException as error:
        _end(error)


def _end(error: BaseException) -> None:
    """End a process that cannot answer any more: its callers must not wait."""
    os.write(2, f"{in_words(error)}\n".encode(errors="replace"))
    os._exit(1)


def _connection(connection: socket.socket, functions: list[Callable[..., Any]]) -> None:
    """Answer calls, one after the other."""
    stream = Stream(connection)
    try:
        while True:
            stream.send(_answer(functions, stream.receive()))
    except (EOFError, ConnectionError):  # its caller is gone, or does not want the answer any more
        connection.close()
    except BaseException as error:
        _end(error)


def _answer(functions: list[Callable[..., Any]], message: bytes | bytearray) -> bytes:
    """Carry out a call, and return what is sent of it; what cannot be read or sent is an error to the caller."""
    try:
        place, arguments = unpacked(message, CALL)
        return packed((True, functions[place](*arguments)))
    except Exception as error:
        kind, _, text = in_words(error).partition(": ")
        return packed((False, (kind, text.encode(errors="replace").decode())))


def _obeyed(connection: socket.socket, instance: Any) -> str:
    """Carry out the order that comes on a connection of its own; return what it was."""
    with connection:
        try:
            order: Order | Import = receive(connection, Order | Import)
            send(connection, _carried_out(instance, order))
        except (EOFError, ConnectionError):  # the host has not waited for it
            return ""
    return order.what if isinstance(order, Order) else ""


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
