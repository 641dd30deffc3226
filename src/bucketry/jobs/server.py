"""What may be asked of the helper on its socket, and how does it answer?

A request is `{"protocol": 1, "do": ..., ...}`; each is answered by one line or more, of which the last has `end`. An
error is `{"error": {...}, "end": true}`. `follow` sends the job again whenever something about it changed, at most five
times a second, and every few seconds where nothing did, until it has ended or the other side has closed.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, RejectedError, UsageError
from bucketry.jobs.model import JobId, failure_of, job_document
from bucketry.jobs.orders import read_order
from bucketry.jobs.queue import ClosedError
from bucketry.jobs.wire import LARGEST_REQUEST_BYTES, ConnectionLostError, JobMessage, check_peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from bucketry.jobs.log import Log
    from bucketry.jobs.model import Job
    from bucketry.jobs.queue import JobQueue
    from bucketry.schema.codec import Document, Fields

MOST_CONNECTIONS = 64
MOST_REQUESTS_ON_A_CONNECTION = 10_000
EVENT_SECONDS = 0.2
HEARTBEAT_SECONDS = 3.0  # well below the silence after which the other side gives up
YOUNG_SECONDS = 3.0
"""A helper that is younger does not give way: whoever started it is about to give it an order."""


class JobServer:
    """Answers each connection by a thread of its own."""

    def __init__(self, queue: JobQueue, log: Log) -> None:
        self._queue = queue
        self._log = log
        self._born_at = time.monotonic()
        self._open = 0
        self._lock = threading.Lock()
        self.asked_at = self._born_at
        self.gives_way = threading.Event()
        self._actions: dict[str, Callable[[Fields], Job]] = {
            "pause": lambda asked: queue.pause(_number(asked)),
            "resume": lambda asked: queue.resume(_number(asked)),
            "cancel": lambda asked: queue.cancel(_number(asked)),
            "retry": lambda asked: queue.retry(_number(asked)),
            "verify": lambda asked: queue.verify(_number(asked)),
            "limit": lambda asked: queue.limit(_number(asked), asked.optional_integer("bytes_per_second", least=1)),
            "allow": lambda asked: queue.allow(_number(asked), asked.integer("connections", least=1)),
            "submit": lambda asked: queue.submit(read_order(asked.inner("order"))),
        }

    @property
    def is_spoken_to(self) -> bool:
        """Whether somebody is connected."""
        return self._open > 0

    def welcome(self, connection: socket.socket) -> None:
        """Answer whoever connected, until he closes."""
        self.asked_at = time.monotonic()
        with self._lock:
            self._open += 1
        threading.Thread(target=self._attend, args=(connection,), name="connection", daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        line = JobMessage(connection, most_bytes=LARGEST_REQUEST_BYTES)
        try:
            with connection, suppress(ConnectionLostError, ClosedError):
                try:
                    self._converse(line)
                except BucketryError as error:
                    # What was no request may be anything: it is answered once, and then nothing more is heard.
                    line.send(_error(error))
        except Exception as error:  # noqa: BLE001 - the helper does not end for one connection
            self._log.write_trace(error)
        finally:
            with self._lock:
                self._open -= 1
            self.asked_at = time.monotonic()

    def _converse(self, line: JobMessage) -> None:
        try:
            check_peer(line.connection)
        except BucketryError:
            self._log.write("another user asked for something, and was refused")
            raise
        if self._open > MOST_CONNECTIONS:
            raise RejectedError(f"{MOST_CONNECTIONS} others speak with the helper already", advice="try again")
        for _ in range(MOST_REQUESTS_ON_A_CONNECTION):
            asked = line.receive()
            self.asked_at = time.monotonic()
            self._answer(line, asked)

    def _answer(self, line: JobMessage, asked: Fields) -> None:
        do = asked.text("do", longest=32)
        try:
            if do in self._actions:
                line.send({"job": job_document(self._actions[do](asked)), "end": True})
            elif do == "hello":
                line.send({"pid": os.getpid(), "end": True})
            elif do == "list":
                for job in self._queue.jobs():
                    line.send({"job": job_document(job)})
                line.send({"pid": os.getpid(), "end": True})
            elif do == "follow":
                self._follow(line, _number(asked))
            elif do == "give way":
                line.send({"gives_way": self._give_way(), "end": True})
            else:
                raise UsageError("the helper was asked for something that it does not know")
        except BucketryError as error:
            line.send(_error(error))

    def _follow(self, line: JobMessage, job_id: JobId) -> None:
        told: Document | None = None
        told_at = 0.0
        while True:  # bounded: the job ends, or the other side closes
            job = self._queue.find(job_id)
            document = job_document(job)
            if document != told or time.monotonic() - told_at > HEARTBEAT_SECONDS:
                line.send({"job": document, "end": job.state.is_over})
                told, told_at = document, time.monotonic()
            if job.state.is_over:
                return
            if _is_closed(line.connection, EVENT_SECONDS):
                raise ConnectionLostError("the other side of the socket has closed it")

    def _give_way(self) -> bool:
        """Tell whether the helper leaves, to let one with fresher credentials take its place."""
        if time.monotonic() - self._born_at > YOUNG_SECONDS and self._queue.close_if_idle():
            self.gives_way.set()
            return True
        return False


def _is_closed(connection: socket.socket, seconds: float) -> bool:
    """Wait, and tell whether the other side closed, or spoke where it was to listen."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _number(asked: Fields) -> JobId:
    return JobId(asked.integer("job", least=1))


def _error(error: BucketryError) -> Document:
    return {"error": asdict(failure_of(error)), "end": True}
