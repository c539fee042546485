"""The servers of a host: each is started when it is asked for, once, and all end with the host."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lcr.errors import Refused

if TYPE_CHECKING:
    from lcr.control.protocol import Controlled
    from lcr.control.server import ControlServer
    from lcr.control.uic import UicServer


class Serving:
    """What serves one host. A server that was closed, or is the parent's of this forked process, is started anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: ControlServer | None = None
        self._uic: UicServer | None = None
        self._has_ended = False

    def control(self, host: Controlled) -> ControlServer:
        """Return the control server, started. Raises :class:`Refused` when it cannot be."""
        with self._lock:
            self._refuse_ended(host, "serve control")
            if self._control is None or not self._control.is_serving:
                from lcr.control.server import ControlServer  # a web server: nobody pays for it who does not ask

                control = ControlServer(host)
                control.start()
                self._control = control
            return self._control

    def uic(self, host: Controlled, name: str) -> UicServer:
        """Return the server of the original's socket, started. Raises :class:`Refused` when it cannot be."""
        with self._lock:
            self._refuse_ended(host, "serve the original's socket")
            if self._uic is None or not self._uic.is_serving:
                from lcr.control.uic import UicServer

                uic = UicServer(host, name)
                uic.start()
                self._uic = uic
            if self._uic.socket != name:
                raise Refused(f"cannot serve @{name}: the host {host.name} serves @{self._uic.socket} already.")
            return self._uic

    def end(self) -> bool:
        """Close every server, and start none any more; False when that was done before."""
        with self._lock:
            if self._has_ended:
                return False
            self._has_ended = True
            for server in (self._control, self._uic):
                if server is not None:
                    server.close()
            return True

    def renew(self) -> None:
        """Forget who held the lock, in a process that was forked."""
        self._lock = threading.Lock()

    def _refuse_ended(self, host: Controlled, what: str) -> None:
        if self._has_ended:
            raise Refused(f"cannot {what}: the host {host.name} is closed.")
