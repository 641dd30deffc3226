"""How does a folder appear complete or not at all, in the place of what a pull put there before and of nothing else?

A version is put together in a staging folder beside its target, on the same file system, and takes the
target's name in one step. If the process is killed at any moment, the target is absent, or is the old
version, or is the new one. Where the file system cannot exchange two names in one step, the old version is
moved aside first: a reader may then find nothing for a moment, but never a mixture.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from bucketry.errors import ContendedError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.transfer.journal import PREFIX as JOURNAL_PREFIX
from bucketry.transfer.leftovers import (
    NO_PLAN,
    Workplace,
    find_workplaces,
    give_up,
    is_nobodys,
    name_workplace,
    sweep_workplaces,
    take_over,
    this_owner,
)
from bucketry.transfer.localfiles import disk_errors, open_directory
from bucketry.transfer.receipt import Absent, Foreign, Ours, inspect_target
from bucketry.transfer.rename import (
    CannotRenameInOneStepError,
    exchange,
    rename_without_replacing,
    sync_file_system,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from bucketry.transfer.remote import Plan

MAX_RACES = 32
FILES_SYNCED_ONE_BY_ONE = 256
_MOUNTED = frozenset({errno.EBUSY, errno.EXDEV})


Publication = Literal["appeared", "replaced", "already_there"]


@frozen
class Staging:
    """A folder of ours that will become `destination`; `resumed` is whether an earlier process began it.

    Leaving the `with` block removes what is left, but for verified bytes after a failure that may pass: a later pull
    of the same files takes those over.
    """

    destination: Path
    outer: Path
    plan: Plan | None = None
    resumed: bool = False

    @property
    def directory(self) -> Path:
        """Where the files of the version are put."""
        return self.outer / "tree"

    def discard(self) -> None:
        """Remove the staging folder, as far as that is possible; a later pull sweeps what stays."""
        shutil.rmtree(self.outer, ignore_errors=True)

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
        # What a rule forbids, it forbids again: nobody would come back for these bytes.
        if error is None or isinstance(error, RejectedError | UsageError) or not self._has_verified_bytes():
            self.discard()
        else:
            self.leave()

    def _has_verified_bytes(self) -> bool:
        return self.plan is not None and any(path.stat().st_size > 0 for path in self.outer.glob(f"{JOURNAL_PREFIX}.*"))


def prepare_target(destination: Path, plan: Plan | None = None) -> Staging:
    """Return a staging folder beside a target (folders above it are made): a dead pull's with the same plan, or new.

    Folders of dead pulls with another plan are removed. Without a plan nothing is taken over or left to take over.
    """
    if destination.name in {"", ".."}:
        raise UsageError(f"{destination} cannot be a target", advice="name a new folder")
    with disk_errors(str(destination.parent)):
        destination.parent.mkdir(parents=True, exist_ok=True)
        parent = destination.parent.resolve(strict=True)
    sweep_workplaces(parent, destination.name, but_plan=plan.name if plan else None)
    with disk_errors(str(parent)):
        outer = _take_over(parent, destination.name, plan.name) if plan else None
        resumed = outer is not None
        if outer is None:
            outer = parent / name_workplace(destination.name, plan.name if plan else NO_PLAN, this_owner())
            outer.mkdir(mode=0o700)
        staging = Staging(parent / destination.name, outer, plan, resumed=resumed)
        staging.directory.mkdir(exist_ok=True)
    if resumed and plan is not None:
        staging.keep_only({file.path for file in plan.files})
    return staging


def sweep_beside(destination: Path) -> None:
    """Remove the staging folders that dead pulls of a target left beside it, as far as that is possible."""
    with disk_errors(str(destination.parent)):
        sweep_workplaces(destination.parent.resolve(strict=True), destination.name)


def check_replaceable(destination: Path) -> None:
    """Raise if what is at a target could not be replaced, before anything is fetched for it."""
    with disk_errors(str(destination)):
        if destination.is_mount():
            raise _mounted(destination)


def publish_target(staging: Staging, *, distrusted: Ours | None = None) -> Publication:
    """Let the staged version appear at its target, and return how.

    Absent: it appears. A version that a pull made, another or a changed one: it is replaced at once, and removed. The
    same version, which another pull brought meanwhile: nothing to do, but where it is still the folder `distrusted`.
    Anything else: `RejectedError`, and it stays untouched.
    """
    staged = inspect_target(staging.directory)
    if not isinstance(staged, Ours):
        raise UsageError("a staged version needs its receipt before it may appear")
    if staged.changed:
        raise ContendedError(f"somebody changed {staging.directory / min(staged.changed)}", advice="pull again")
    with disk_errors(str(staging.destination)):
        _sync_tree(staging.directory)
        for _ in range(MAX_RACES):
            outcome = _try_to_publish(staging, staged, distrusted)
            if outcome is not None:
                _sync_directory(staging.destination.parent)
                staging.discard()
                return outcome
    raise ContendedError(f"others kept changing {staging.destination}", advice="pull again")


def _try_to_publish(staging: Staging, staged: Ours, distrusted: Ours | None) -> Publication | None:
    """Do what the target's state asks for; return None if that state changed meanwhile."""
    there = inspect_target(staging.destination)
    if isinstance(there, Absent):
        return "appeared" if _appear(staging) else None
    if isinstance(there, Foreign):
        raise there.rejection()
    is_trusted = distrusted is None or there.identity != distrusted.identity
    if is_trusted and not there.changed and _is_same_version(there, staged):
        return "already_there"
    try:
        return "replaced" if _replace(staging) else None
    except OSError as error:
        if error.errno in _MOUNTED:
            raise _mounted(staging.destination) from error
        raise


def _appear(staging: Staging) -> bool:
    try:
        rename_without_replacing(staging.directory, staging.destination)
    except FileExistsError:
        return False
    except CannotRenameInOneStepError:
        # A plain rename of a folder fails on anything but an empty folder, of which nothing is lost.
        try:
            staging.directory.rename(staging.destination)
        except OSError as error:
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                return False
            raise
    return True


def _replace(staging: Staging) -> bool:
    try:
        exchange(staging.directory, staging.destination)
    except FileNotFoundError:
        return False
    except CannotRenameInOneStepError:
        return _replace_in_two_steps(staging)
    # Only now can nobody put a file into it by its name any more.
    if isinstance(inspect_target(staging.directory), Ours):
        return True
    # Somebody put something there since we looked: give it back, and look again.
    exchange(staging.directory, staging.destination)
    return False


def _replace_in_two_steps(staging: Staging) -> bool:
    """Move the old version aside, then the new one into place; killed in between, the target is absent."""
    aside = staging.outer / "old"
    try:
        staging.destination.rename(aside)
    except FileNotFoundError:
        return False
    if isinstance(inspect_target(aside), Ours) and _appear(staging):
        return True
    with suppress(FileExistsError, CannotRenameInOneStepError):
        rename_without_replacing(aside, staging.destination)
        return False
    with suppress(OSError):
        aside.rename(staging.destination)
    return False


def _is_same_version(one: Ours, other: Ours) -> bool:
    return one.receipt.manifest == other.receipt.manifest and one.receipt.digests == other.receipt.digests


def _mounted(destination: Path) -> RejectedError:
    return RejectedError(
        f"{destination} is where a file system is mounted, so another version cannot take its place at once",
        advice="choose a folder below it as the target",
    )


def _sync_tree(directory: Path) -> None:
    """Bring a tree to the disk, so that after a power cut its name never stands for less than all of it."""
    found = [(folder, names) for folder, _, names in os.walk(directory)]
    if sum(len(names) for _, names in found) > FILES_SYNCED_ONE_BY_ONE:
        directory_fd = open_directory(directory)
        try:
            if sync_file_system(directory_fd):
                return
        finally:
            os.close(directory_fd)
    files = [Path(folder, name) for folder, names in found for name in names]
    for path in (*files, *(Path(folder) for folder, _ in reversed(found))):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = open_directory(directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_over(parent: Path, name: str, plan: str) -> Path | None:
    for found in find_workplaces(parent, name):
        if found.plan == plan and is_nobodys(found):
            taken = take_over(found)
            if taken is not None:
                return taken
    return None
