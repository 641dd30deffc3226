"""How does a process kill itself at a chosen step of its work, so that no moment is too short to be met?"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from bucketry.client import open_registry
from bucketry.registry.reading import pull
from bucketry.transfer.disk import leftovers, rename, target
from races.worker import publish_once, pull_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from bucketry.client import Registry

WRITES = ("put", "put_blob", "start_upload", "upload_part", "copy_part", "complete_upload")
"""The calls by which a publish changes its store."""

WATCHED = frozenset(module.__file__ for module in (leftovers, pull, rename, target))
"""Where a pull decides what is at its target."""


class Steps:
    """Counts steps of all threads and kills the process at one of them."""

    def __init__(self, die_at: int) -> None:
        self._left = die_at
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def before_and_after(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **options: Any) -> Any:
            self.step()
            returned = call(*arguments, **options)
            self.step()
            return returned

        return stepped


def publish_and_die_at(where: str, model: str, folder: Path, idempotency_key: str, die_at: int) -> None:
    """Publish, and die before or after the write to the store that is step number `die_at`."""
    steps = Steps(die_at)

    def open_dying(where: str, *, identity: str) -> Registry:
        registry = open_registry(where, identity=identity)
        store = registry.session.store.unretried  # what retries calls this, and so do uploads
        for name in WRITES:
            setattr(store, name, steps.before_and_after(getattr(store, name)))
        return registry

    publish_once(where, model, folder, idempotency_key, opener=open_dying)


def publish_and_die_after_parts(where: str, model: str, folder: Path, idempotency_key: str, parts: int) -> None:
    """Publish, and die as soon as the store has acknowledged so many parts."""
    acknowledged = Steps(parts)

    def open_dying(where: str, *, identity: str) -> Registry:
        registry = open_registry(where, identity=identity)
        store: Any = registry.session.store.unretried  # whom uploads call
        upload_part = store.upload_part

        def count(*arguments: Any, **options: Any) -> Any:
            part = upload_part(*arguments, **options)
            acknowledged.step()
            return part

        store.upload_part = count
        return registry

    publish_once(where, model, folder, idempotency_key, opener=open_dying)


def pull_and_die_at(where: str, reference: str, destination: Path, die_at: int) -> None:
    """Pull, and die when a function that decides about the target is entered, calls the system, or returns."""
    steps = Steps(die_at)

    def profile(frame: FrameType, event: str, argument: object) -> None:
        del event, argument
        if frame.f_code.co_filename in WATCHED:
            steps.step()

    sys.setprofile(profile)
    try:
        pull_once(where, reference, destination)
    finally:
        sys.setprofile(None)
