"""How does the process live that does the transfers when whoever wanted them has gone?

    python -m bucketry.jobs.helper

One for each user and machine: it holds a lock for as long as it lives. It belongs to no terminal, ignores a hang-up,
takes up what an earlier helper left, and ends itself when nothing has been to do for a while. SIGTERM ends it in order;
what ran goes on with the next one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.clock import Clock
from bucketry.jobs.files import JobFolder, job_folder
from bucketry.jobs.log import Log
from bucketry.jobs.queue import JobQueue
from bucketry.jobs.server import JobServer
from bucketry.jobs.settings import digest_settings
from bucketry.jobs.wire import listen

if TYPE_CHECKING:
    import socket

IDLE_SECONDS = 30.0
TICK_SECONDS = 0.5
LOCK_SECONDS = 3.0
"""How long a helper waits for one that is just leaving."""


def main() -> None:
    """Become a process of its own, and help."""
    if os.fork() > 0:
        os._exit(0)  # whoever started us needs not wait for us, and never has a dead child
    with suppress(OSError):
        os.setsid()  # only where whoever started us has not done it
    leaving = threading.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: leaving.set())
    folder = job_folder().made()
    for _ in range(int(LOCK_SECONDS / 0.1)):
        with folder.locked() as is_ours:
            if is_ours:
                _help(folder, leaving)
                return
        time.sleep(0.1)


def _help(folder: JobFolder, leaving: threading.Event) -> None:
    log = Log(folder.log, Clock().timestamp)
    _be_silent()
    log.write("began")
    try:
        queue = JobQueue(folder, digest_settings(os.environ), log, Clock().timestamp)
        server = JobServer(queue, log)
        with listen(folder.socket) as listener:
            queue.start()
            _serve(listener, queue, server, leaving)
            folder.socket.unlink(missing_ok=True)
        queue.close()
    except Exception as error:
        log.write_trace(error)
        raise
    log.write("ended")


def _serve(listener: socket.socket, queue: JobQueue, server: JobServer, leaving: threading.Event) -> None:
    listener.settimeout(TICK_SECONDS)
    while not leaving.is_set() and not server.gives_way.is_set():  # bounded: idle for long enough, or told to leave
        if not queue.is_idle or server.is_spoken_to:
            server.asked_at = time.monotonic()
        elif time.monotonic() - server.asked_at > IDLE_SECONDS and queue.close_if_idle():
            return
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            server.welcome(connection)


def _be_silent() -> None:
    """From here on the log says what is to be said, and nothing else: not what a library may print."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


if __name__ == "__main__":
    main()
