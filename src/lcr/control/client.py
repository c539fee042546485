"""The other end of the socket: find a host, ask it, follow a replacement, listen to its events.

Only the standard library, because the command line waits for every import.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from lcr.control.address import Address, Found, find_hosts
from lcr.errors import LcrError

Json = dict[str, Any]
QUICK, SLOW = 10.0, 60.0  # seconds: a host that was stopped must not be waited for for ever; a scan may take its time


class NoHost(LcrError):
    """No host answered: none runs, none of that name does, or it went away or silent in the middle."""


class SeveralHosts(LcrError):
    """More than one host is meant, and only one can be asked."""


class Answered(LcrError):
    """A host answered with an error: its ``kind``, and the whole of it as it came."""

    def __init__(self, error: Json) -> None:
        self.kind: str = error.get("kind", "internal")
        self.error = error
        super().__init__(error.get("message", ""))


def choose_host(wanted: str | None) -> Address:
    """Return the host that is meant: by name, process id or path of its socket; without one, the only host that runs.

    Raises :class:`NoHost` or :class:`SeveralHosts`, with what runs.
    """
    if wanted is not None and os.sep in wanted:
        return Address.of_path(os.path.abspath(wanted))
    found = find_hosts()
    meant = [h for h in found.hosts if wanted is None or wanted in (h.host, str(h.pid), f"{h.host}-{h.pid}")]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise SeveralHosts(
            f"{len(meant)} hosts run{f' with the name {wanted}' if wanted else ''}: {_listed(meant)}. "
            f"Say which with --host NAME, or --host PID."
        )
    raise NoHost(_nobody(wanted, found))


def _nobody(wanted: str | None, found: Found) -> str:
    if wanted is None:
        text = "no host of yours runs on this machine."
    else:
        others = _listed(list(found.hosts)) if found.hosts else "none"
        text = f"no host {wanted} runs. Running: {others}."
    text += " A program is reached after host.serve_control(), or when it is started with `lcr run`."
    return "\n".join([text, *found.problems])


def _listed(hosts: list[Address]) -> str:
    return ", ".join(str(host) for host in hosts)


class Client:
    """Asks one host. Every error of its own is :class:`NoHost`; what the host answered with is :class:`Answered`."""

    def __init__(self, address: Address, timeout: float | None = QUICK) -> None:
        self.address = address
        self._timeout = timeout

    def get(self, *path: str) -> Json:
        """Return the answer to a GET of ``/v1/`` and the parts of the path."""
        return self._ask("GET", _url(path))

    def post(self, verb: str, body: Mapping[str, Any]) -> Json:
        """Return the answer to a POST."""
        return self._ask("POST", _url((verb,)), body)

    def follow(self, verb: str, body: Mapping[str, Any]) -> Iterator[Json]:
        """Give the lines of a replacement as they come; the last holds its ``report`` or its ``error``."""
        line: Json = {}
        for text in self._lines("POST", _url((verb,)), body):
            line = self._parsed(text)
            yield line
        if "report" not in line and "error" not in line:
            raise NoHost(
                f"{self.address} went away before it told how the replacement ended. "
                f"`lcr ps` tells whether it runs, `lcr history` what it did."
            )

    def events(self) -> Iterator[Json]:
        """Give the events of the host from now on, for ever: that it closed is :class:`NoHost`, too."""
        for line in self._lines("GET", _url(("events",)), None):
            if line.startswith(b"data: "):
                yield self._parsed(line.removeprefix(b"data: "))
        raise NoHost(f"{self.address} was closed, or went away.")

    # -- HTTP ---------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Json:
        with _Exchange(self.address, self._timeout) as exchange:
            text = exchange.request(method, url, body).read()
        return self._parsed(text)

    def _parsed(self, text: bytes) -> Json:
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise NoHost(f"{self.address} went away in the middle of an answer, or is no host of lcr's.") from error
        if not isinstance(answer, dict):
            raise NoHost(f"{self.address} is no host of lcr's: it answered {text[:50]!r}.")
        return answer

    def _lines(self, method: str, url: str, body: Mapping[str, Any] | None) -> Iterator[bytes]:
        with _Exchange(self.address, self._timeout) as exchange:
            response = exchange.request(method, url, body)
            exchange.wait_for_ever()  # how long a replacement may be silent is for its own limits to say
            while line := response.readline():
                if line.strip():
                    yield line


def _url(path: tuple[str, ...]) -> str:
    return "/v1/" + "/".join(quote(os.fsencode(part), safe="") for part in path)


class _Exchange:
    """One request and its answer on a connection of its own."""

    def __init__(self, address: Address, timeout: float | None) -> None:
        self._address = address
        self._connection = _Connection(address.path, timeout)

    def request(self, method: str, url: str, body: Mapping[str, Any] | None) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request(method, url, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise Answered(_error_in(response))
        return response

    def wait_for_ever(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.settimeout(None)

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        match error:
            case TimeoutError():
                raise NoHost(
                    f"{self._address} did not answer in time; it may be stopped, or very busy. What was asked may "
                    f"still be done: `lcr history` tells."
                ) from error
            case OSError() | http.client.HTTPException():
                raise NoHost(f"no host answers at {self._address.path}: {error}.") from error


def _error_in(response: http.client.HTTPResponse) -> Json:
    text = response.read().decode(errors="replace")
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        error = None
    told: Json = (
        error if isinstance(error, dict) else {"kind": "internal", "message": f"HTTP {response.status}: {text}"}
    )
    return told


class _Connection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("lcr", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connect(self.sock, self._path, self.timeout)
        self.sock.settimeout(self.timeout)


def connect(connection: socket.socket, address: str | bytes, timeout: float | None) -> None:
    """Connect, and wait for a place in the server's queue for so many seconds at most. Raises OSError, such as TimeoutError.

    With a timeout of Python's own, connect() fails at once where it would have to wait.
    """
    seconds = timeout or 0.0
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    )
    try:
        connection.connect(address)
    except BlockingIOError as error:
        raise TimeoutError("its queue is full") from error
