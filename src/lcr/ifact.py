"""The original's four calls by their own names, for those who port C programs.

They ask the process's host, which :func:`use` names. The original's factory was one for the process, and its calls say
nothing of which is meant; so this module is the one place of lcr that remembers a host for everybody.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from lcr.errors import HandleReleased, LcrError
from lcr.host import Host

_hosts: list[Host] = []
_handles: dict[int, Any] = {}
_numbers = itertools.count(1)


def use(host: Host | None) -> None:
    """Say which host the calls of this module ask; None: none any more."""
    _hosts[:] = [] if host is None else [host]


def lcr_ifact_reference(iface_name: str, version: int, context: object = None) -> tuple[int, Any]:
    """Reference exactly this version; return the handle's number and the interface, whose attributes are its functions.

    The constructor gets ``context``. Raises :class:`lcr.Refused` where the original returned -1.
    """
    interface = _host().reference(iface_name, version, context=context, holder="lcr_ifact_reference")
    number = next(_numbers)
    _handles[number] = interface
    return number, interface


def lcr_ifact_release(handle: int) -> None:
    """Release a reference; the destructor gets the context of the constructor.

    Raises :class:`lcr.HandleReleased` for a number that is not held: a second release is an error, and harmless.
    """
    if handle not in _handles:
        raise HandleReleased(f"lcr_ifact_release({handle}): this handle is not held. Nothing was released.")
    _host().release(_handles[handle])
    del _handles[handle]


def lcr_component_register(component: type) -> None:
    """Offer a class of the program itself, decorated with ``@lcr.interface``: the statically linked case."""
    _host().register(component)


def lcr_interfaces_set(iface: type, functions: Iterable[Callable[..., Any]]) -> None:
    """Give a class that is decorated with ``@lcr.interface`` its functions, under their own names, before it is registered.

    Like a C component's they know of no instance: they are called with the caller's arguments only.
    """
    for function in functions:
        setattr(iface, function.__name__, staticmethod(function))


def _host() -> Host:
    if not _hosts:
        raise LcrError("lcr.ifact has no host to ask: call lcr.ifact.use(host) first")
    return _hosts[0]
