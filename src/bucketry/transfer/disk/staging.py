"""Holds the folder in which a version is put together, until it takes its target's name or is given up."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bucketry.errors import RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.transfer.disk.leftovers import Workplace, give_up, this_owner
from bucketry.transfer.disk.local_files import NoRoomError, disk_errors
from bucketry.transfer.down.journal import PREFIX as JOURNAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from bucketry.transfer.down.remote import Plan


@frozen
class Staging:
    """A folder of ours that will become `destination`; `resumed` is whether an earlier process began it.

    With `is_within` it lies in the destination, which cannot be replaced, and its files will move into that.

    Leaving the `with` block removes what is left, but for verified bytes after a failure that may pass: a later pull
    of the same files takes those over.
    """

    destination: Path
    outer: Path
    plan: Plan | None = None
    resumed: bool = False
    is_within: bool = False

    @property
    def directory(self) -> Path:
        """Where the files of the version are put."""
        return self.outer / "tree"

    def discard(self) -> None:
        """Remove the staging folder, as far as that is possible; a later pull sweeps what stays."""
        shutil.rmtree(self.outer, ignore_errors=True)
        if self.is_within:
            with suppress(OSError):  # it holds a receipt, or others' work
                self.outer.parent.rmdir()

    def leave(self) -> None:
        """Give the staging folder up, for a later pull to go on with."""
        if self.plan is not None:
            give_up(Workplace(self.outer, self.destination.name, self.plan.name, this_owner()))

    def keep_only(self, paths: Collection[str]) -> None:
        """Remove everything that an earlier process put here but for the files at these relative paths."""
        with disk_errors(str(self.directory)):
            for folder, folders, names in os.walk(self.directory, topdown=False):
                for name in (*names, *folders):
                    path = Path(folder, name)
                    if path.is_dir() and not path.is_symlink():
                        with suppress(OSError):  # it holds files that stay
                            path.rmdir()
                    elif path.relative_to(self.directory).as_posix() not in paths:
                        path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What a rule forbids, it forbids again: nobody would come back for these bytes. And what fills up the volume of
        # a service must not stay there.
        is_unwanted = isinstance(error, RejectedError | UsageError) or (
            self.is_within and isinstance(error, NoRoomError)
        )
        if error is None or is_unwanted or self.plan is None:
            self.discard()
        elif any(path.stat().st_size > 0 for path in self.outer.glob(f"{JOURNAL_PREFIX}.*")):
            self.leave()  # some bytes were verified
        else:
            self.discard()
