"""HTTP clients that ask for pages without a pause, until standard input ends; then what each request did, as JSON lines.

Usage: clients.py PORT CLIENTS PAGE...
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
import threading
import time

TIMEOUT = 10.0  # seconds


def browse(client: int, port: int, pages: list[str], ended: threading.Event, done: list[dict[str, object]]) -> None:
    """Ask for the pages in turn, beginning with another one than the other clients, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    for page in itertools.islice(itertools.cycle(pages), client, None):
        began, problem = time.monotonic(), ""
        try:
            connection.request("GET", f"/{page}")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or b"<h1>" not in body:
                problem = f"HTTP {answer.status}, {len(body)} bytes"
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
            connection.close()
        done.append({"client": client, "began": began, "ended": time.monotonic(), "problem": problem})
        if ended.is_set():
            break
    connection.close()


def main() -> None:
    """Run the clients until standard input ends."""
    port, clients, pages = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ended, done = threading.Event(), list[dict[str, object]]()
    threads = [threading.Thread(target=browse, args=(n, port, pages, ended, done)) for n in range(clients)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    for each in done:
        print(json.dumps(each))


main()
