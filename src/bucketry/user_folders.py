"""The home of this user, who in a container may have none.

Nothing asks for it that could do without: with neither `HOME` nor an entry in the list of users, there is no
configuration, no cache and no memory, unless variables say where they are.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from bucketry.errors import UnavailableError, UsageError


def find_home() -> Path | None:
    """Return the home folder; None where neither the environment nor the list of users names one."""
    said = os.environ.get("HOME")
    if said:
        return Path(said)
    try:
        listed = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return Path(listed) if listed else None


def need_home(what: str, advice: str) -> Path:
    """Return the home folder; raise `UsageError` that says what has no place without one, and what to set."""
    home = find_home()
    if home is None:
        raise UsageError(f"{what} has no place: this user has no home folder, and HOME is not set", advice=advice)
    return home


def check_can_be_folder(folder: Path, what: str, advice: str) -> None:
    """Raise `UnavailableError` where a path, or something above it, is no folder, and say what to set instead."""
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except NotADirectoryError:
        is_folder = False
    except OSError:
        return  # it can be made, or whoever uses it says why not
    if not is_folder:
        raise UnavailableError(f"{what} has no place: {folder} is no folder, or lies in none", advice=advice)


def expand_user(path: str | os.PathLike[str]) -> Path:
    """Return a path whose `~` or `~user` is replaced; raise `UsageError` where there is no such home."""
    text = os.fspath(path)
    if not text.startswith("~"):
        return Path(path)
    first, slash, rest = text.partition("/")
    if first == "~":
        return need_home(f"the path {text!a}", "set HOME, or write the whole path") / rest
    expanded = os.path.expanduser(text)  # noqa: PTH111 - it says of an unknown user nothing, where a Path raises
    if expanded == text and slash:
        raise UsageError(f"the path {text!a} begins with a user who is not known here", advice="write the whole path")
    return Path(expanded)
