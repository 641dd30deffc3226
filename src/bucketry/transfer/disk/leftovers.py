"""Says whose a half-filled folder is, and whether its work may be taken over or removed.

Everything is in the folder's name: the target that it is for, a short name of its plan, and the process that fills
it. A rename is thus the one step by which a folder changes hands: of two processes that want the same one, exactly one
succeeds, and there is no moment at which a folder has no owner or two. Whether an owner is dead only the same machine,
boot and process namespace can tell; elsewhere the folder may go when nothing in it changed for a day.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import time
from contextlib import suppress
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

OLD_AFTER_SECONDS = 24 * 3600
MAX_ENTRIES_LOOKED_AT = 50_000
NO_PLAN = "0" * 16
_LONGEST_NAME_KEPT_BYTES = 150  # of the 255 that a file name may have
_NAME = re.compile(
    r"\.(?P<target>.+)\.bucketry-(?P<plan>[0-9a-f]{16})"
    r"-(?P<place>[0-9a-f]{12})-(?P<pid>[0-9]{1,10})-(?P<started>[0-9]{1,20})-[0-9a-f]{8}",
    re.DOTALL,
)


@frozen
class Owner:
    """A process: `pid` means something in `place`; `started` tells it from a later one. Pid 0 is nobody."""

    place: str
    pid: int
    started: int


@frozen
class Workplace:
    """A folder in which a process puts a version together for the target of this (shortened) name."""

    path: Path
    target: str
    plan: str
    owner: Owner


def this_owner() -> Owner:
    """Return this process."""
    return Owner(this_place(), os.getpid(), _start_of(os.getpid()))


def name_workplace(target: str, plan: str, owner: Owner) -> str:
    """Return a new name for the folder in which `owner` works on a target."""
    return f".{_shortened(target)}.bucketry-{plan}-{owner.place}-{owner.pid}-{owner.started}-{secrets.token_hex(4)}"


def is_workplace_name(name: str) -> bool:
    """Tell whether a folder of this name is one in which a version is put together."""
    return _NAME.fullmatch(name) is not None


def find_workplaces(parent: Path, target: str | None = None) -> tuple[Workplace, ...]:
    """Return the folders beside a target, or beside all targets of a folder. Raises `OSError`."""
    wanted = None if target is None else _shortened(target)
    found = []
    with os.scandir(parent) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and wanted in {None, match["target"]} and entry.is_dir(follow_symlinks=False):
                owner = Owner(match["place"], int(match["pid"]), int(match["started"]))
                found.append(Workplace(Path(entry.path), match["target"], match["plan"], owner))
    return tuple(found)


def is_nobodys(workplace: Workplace) -> bool:
    """Tell whether the owner is known to be dead, or gave the folder up."""
    owner = workplace.owner
    return owner.pid == 0 or (owner.place == this_place() and not is_alive(owner))


def take_over(workplace: Workplace) -> Path | None:
    """Make a dead process's folder ours, by one rename; None if another was faster or it is another user's."""
    try:
        status = workplace.path.lstat()
    except FileNotFoundError:
        return None
    # Another user could go on writing into a folder of his, after we have verified what is in it.
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
        return None
    return _rename(workplace, this_owner(), workplace.plan)


def give_up(workplace: Workplace) -> None:
    """Let whoever comes next take over our folder, as far as that is possible."""
    with suppress(OSError):
        _rename(workplace, Owner(this_place(), 0, 0), workplace.plan)


def sweep_workplaces(
    parent: Path,
    target: str | None = None,
    *,
    but_plan: str | None = None,
    clock: Callable[[], float] = time.time,
) -> tuple[Path, ...]:
    """Remove the folders that nobody fills any more, but for those of one plan; return them.

    Best effort: what cannot be read or removed stays.
    """
    removed: list[Path] = []
    with suppress(OSError):
        for workplace in find_workplaces(parent, target):
            if _may_go(workplace, but_plan, clock()):
                # Taken first: removing a folder that another process takes over meanwhile would empty it under him.
                doomed = _rename(workplace, this_owner(), NO_PLAN)
                if doomed is not None:
                    shutil.rmtree(doomed, ignore_errors=True)
                    removed.append(workplace.path)
    return tuple(removed)


def _may_go(workplace: Workplace, but_plan: str | None, now_seconds: float) -> bool:
    if is_nobodys(workplace):
        age_counts = workplace.plan == but_plan
    elif workplace.owner.place == this_place():
        return False
    else:
        age_counts = True  # another machine or container: only time can tell
    try:
        return not age_counts or now_seconds - newest_change_seconds(workplace.path) > OLD_AFTER_SECONDS
    except FileNotFoundError:
        return False


def _rename(workplace: Workplace, owner: Owner, plan: str) -> Path | None:
    renamed = workplace.path.with_name(name_workplace(workplace.target, plan, owner))
    try:
        workplace.path.rename(renamed)
    except FileNotFoundError:
        # On NFS a rename whose reply was lost is sent again, and then finds nothing. The new name is ours alone.
        return renamed if renamed.exists() else None
    return renamed


def is_alive(owner: Owner) -> bool:
    """Tell whether a process of this machine lives; of another place nobody can tell."""
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's process, which is alive
    return _start_of(owner.pid) == owner.started


def newest_change_seconds(directory: Path) -> float:
    """Return when anything in a folder changed last, as its file system's clock says. Raises `OSError`."""
    newest = directory.stat().st_mtime
    inside = (Path(folder, name) for folder, *names in os.walk(directory) for name in chain(*names))
    for path in islice(inside, MAX_ENTRIES_LOOKED_AT):
        try:
            newest = max(newest, path.lstat().st_mtime)
        except FileNotFoundError:
            continue  # its owner moves on: not abandoned, as the newest change will show
    return newest


@cache
def this_place() -> str:
    """Return a text that two processes share only if they see each other under the same process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = namespace = ""
    place = f"{socket.gethostname()}/{boot}/{namespace}"
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _start_of(pid: int) -> int:
    """Return when a process started, in the kernel's own ticks, or 0 where the kernel does not say.

    -1 for one that is dead, though nobody has noticed: in a container, the first process may never look.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    # The second field, the name in brackets, may itself hold spaces and brackets.
    fields = status.rpartition(")")[2].split()
    if fields and fields[0] in {"Z", "X"}:
        return -1
    return int(fields[19]) if len(fields) > 19 else 0


def _shortened(name: str) -> str:
    return os.fsencode(name)[:_LONGEST_NAME_KEPT_BYTES].decode("utf-8", errors="ignore")
