"""Makes a folder appear complete or not at all, in the place of what a pull put there before and of nothing else.

A version is put together in a staging folder beside its target, on the same file system, and takes the
target's name in one step. If the process is killed at any moment, the target is absent, or is the old
version, or is the new one. Where the file system cannot exchange two names in one step, the old version is
moved aside first: a reader may then find nothing for a moment, but never a mixture. An empty folder is as good as none.

A folder that no rename can replace (a mount point; a parent that may not be written) is filled file by file, the
receipt last: see `in_place`.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from bucketry.errors import ContendedError, UsageError
from bucketry.store.modes import folder_mode_below, make_folder_within, make_folders
from bucketry.transfer.disk.durable import sync_directory, sync_tree
from bucketry.transfer.disk.in_place import move_within, must_work_within, publish_within
from bucketry.transfer.disk.leftovers import (
    NO_PLAN,
    find_workplaces,
    is_nobodys,
    name_workplace,
    sweep_workplaces,
    take_over,
    this_owner,
)
from bucketry.transfer.disk.local_files import disk_errors
from bucketry.transfer.disk.receipt import (
    OWN_FOLDER,
    Absent,
    Empty,
    Foreign,
    Incomplete,
    Ours,
    inspect_target,
    is_right_already,
)
from bucketry.transfer.disk.rename import CannotRenameInOneStepError, exchange, rename_without_replacing
from bucketry.transfer.disk.staging import Staging

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from bucketry.transfer.disk.receipt import TargetState
    from bucketry.transfer.down.remote import Plan

MAX_RACES = 32
_CANNOT_BE_REPLACED = frozenset({errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS})


Publication = Literal["appeared", "replaced", "already_there"]


def prepare_target(destination: Path, plan: Plan | None = None, there: TargetState | None = None) -> Staging:
    """Return a staging folder beside a target (folders above it are made): a dead pull's with the same plan, or new.

    It lies within a target that no rename can replace. Folders of dead pulls with another plan are removed. Without a
    plan nothing is taken over or left to take over. `there` is what was found at the target, if somebody has looked.
    """
    if destination.name in {"", ".."}:
        raise UsageError(f"{destination} cannot be a target", advice="name a new folder")
    with disk_errors(str(destination.parent)):
        make_folders(destination.parent, None)
        parent = destination.parent.resolve(strict=True)
    target = parent / destination.name
    there = inspect_target(target) if there is None else there
    with disk_errors(str(target)):
        is_within = must_work_within(target, there)
        sweep_workplaces(parent, target.name, but_plan=plan.name if plan else None)
        return _begin(target, plan, is_within=is_within)


def _begin(target: Path, plan: Plan | None, *, is_within: bool) -> Staging:
    place = target.parent
    if is_within:
        place = target / OWN_FOLDER
        make_folder_within(place)
        sweep_workplaces(place, target.name, but_plan=plan.name if plan else None)
    outer = _take_over(place, target.name, plan.name) if plan else None
    resumed = outer is not None
    if outer is None:
        outer = place / name_workplace(target.name, plan.name if plan else NO_PLAN, this_owner())
        outer.mkdir(mode=0o700)
    staging = Staging(target, outer, plan, resumed=resumed, is_within=is_within)
    with suppress(FileExistsError):
        staging.directory.mkdir(folder_mode_below(staging.destination.parent.stat().st_mode))
    if resumed and plan is not None:
        staging.keep_only({file.path for file in plan.files})
    return staging


def sweep_beside(destination: Path) -> None:
    """Remove the staging folders that dead pulls of a target left beside and in it, as far as that is possible."""
    with disk_errors(str(destination.parent)):
        sweep_workplaces(destination.parent.resolve(strict=True), destination.name)
    sweep_workplaces(destination / OWN_FOLDER, destination.name)


def publish_target(
    staging: Staging, *, distrusted: Ours | None = None, stop: threading.Event | None = None
) -> Publication:
    """Let the staged version appear at its target, and return how.

    Absent or empty: it appears. A version that a pull made, another or a changed one: it is replaced at once, and
    removed. The same version, which another pull brought meanwhile: nothing to do, but where it is still the version
    `distrusted`. Anything else: `RejectedError`, and it stays untouched. Where the target cannot be replaced, all this
    happens file by file in it.
    """
    staged = inspect_target(staging.directory)
    if not isinstance(staged, Ours):
        raise UsageError("a staged version needs its receipt before it may appear")
    if staged.changed:
        raise ContendedError(f"somebody changed {staging.directory / min(staged.changed)}", advice="pull again")
    with disk_errors(str(staging.destination)):
        sync_tree(staging.directory)
        if staging.is_within:
            published = publish_within(staging, staged, distrusted, stop)
            staging.discard()
            return published
        for _ in range(MAX_RACES):
            outcome = _try_to_publish(staging, staged, distrusted, stop)
            if outcome is not None:
                sync_directory(staging.destination.parent)
                staging.discard()
                return outcome
    raise ContendedError(f"others kept changing {staging.destination}", advice="pull again")


def _try_to_publish(
    staging: Staging, staged: Ours, distrusted: Ours | None, stop: threading.Event | None
) -> Publication | None:
    """Do what the target's state asks for; return None if that state changed meanwhile."""
    there = inspect_target(staging.destination)
    if isinstance(there, Absent):
        return "appeared" if _appear(staging) else None
    if isinstance(there, Foreign):
        raise there.rejection()
    if is_right_already(there, staged, distrusted):
        return "already_there"
    try:
        if isinstance(there, Empty):
            return "appeared" if _take_place_of_empty(staging) else None
        return "replaced" if _replace(staging) else None
    except OSError as error:
        if error.errno not in _CANNOT_BE_REPLACED:
            raise
        return _publish_within_after_all(staging, staged, distrusted, stop)


def _publish_within_after_all(
    staging: Staging, staged: Ours, distrusted: Ours | None, stop: threading.Event | None
) -> Publication:
    """Work within a folder of which only the kernel knows that it cannot be replaced, such as one below an overlay."""
    with _begin(staging.destination, None, is_within=True) as within:
        move_within(staging, within, staged.receipt)
        sync_tree(within.directory)
        moved = inspect_target(within.directory)
        if not isinstance(moved, Ours):
            raise ContendedError(f"somebody changed {within.directory}", advice="pull again")
        return publish_within(within, moved, distrusted, stop)


def _take_place_of_empty(staging: Staging) -> bool:
    """Rename over an empty folder, whose owner and mode stay; a rename replaces no folder that holds anything."""
    try:
        status = staging.destination.lstat()
        if os.geteuid() == 0:
            os.chown(staging.directory, status.st_uid, status.st_gid)
        # Not wider than the umask lets a folder be: what can write here could change what was verified.
        mode = staging.directory.lstat().st_mode & status.st_mode & 0o777
        staging.directory.chmod(mode | stat.S_IRWXU)
        staging.directory.rename(staging.destination)
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.ENOENT}:
            return False
        raise
    return True


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
    if isinstance(inspect_target(staging.directory), Ours | Incomplete):
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
    if isinstance(inspect_target(aside), Ours | Incomplete) and _appear(staging):
        return True
    with suppress(FileExistsError, CannotRenameInOneStepError):
        rename_without_replacing(aside, staging.destination)
        return False
    with suppress(OSError):
        aside.rename(staging.destination)
    return False


def _take_over(parent: Path, name: str, plan: str) -> Path | None:
    for found in find_workplaces(parent, name):
        if found.plan == plan and is_nobodys(found):
            taken = take_over(found)
            if taken is not None:
                return taken
    return None
