"""Reads which commit a folder is at and whether anything is not committed, or why that is not known."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from pathlib import Path

GIT_SECONDS = 10.0
LONGEST_WHY_CHARACTERS = 160

_OF_ONE_REPOSITORY = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CEILING_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR",
    "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INDEX_VERSION", "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
})  # fmt: skip
"""What a hook has in its environment says where that hook's repository is, not this folder's."""


@frozen
class GitState:
    """What git says of a folder. `dirty` None: it could not be told. `notes` say why something is not known."""

    commit: str = ""
    dirty: bool | None = None
    remote: str = ""
    notes: tuple[str, ...] = ()


@frozen
class _GitOutput:
    text: str | None
    why: str = ""


def read_git(folder: Path) -> GitState:
    """Return the state of the git work tree around a folder; empty, and without a note, outside of any."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit.text:
        why = _why_no_commit(folder, commit)
        return GitState(notes=(f"no commit is recorded: {why}",) if why else ())
    # A watcher that the repository names is a program of its own, which is not ours to start.
    status = _git(folder, "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=normal")
    remote = _git(folder, "remote", "get-url", "origin").text or ""
    if status.text is None:
        note = f"whether the work tree has changes is recorded as unknown: {status.why}"
        return GitState(commit.text, None, remote, (note,))
    return GitState(commit.text, bool(status.text), remote)


def read_git_email(folder: Path) -> str:
    """Return git's user.email as seen from a folder; empty if there is none."""
    return _git(folder, "config", "user.email").text or ""


def _why_no_commit(folder: Path, said: _GitOutput) -> str:
    """Return why there is none; empty outside of any work tree, which is where nothing at or above has `.git`."""
    try:
        here = folder.absolute()
    except OSError:  # it was removed under us
        return ""
    tree = next((str(one) for one in (here, *here.parents) if os.path.lexists(one / ".git")), "")
    if not tree:
        return ""
    named = displayable(tree)
    if "safe.directory" in said.why or "dubious ownership" in said.why:
        return (
            f"git refuses to read {named}, which belongs to somebody else; "
            f"`git config --global --add safe.directory {named}` allows it"
        )
    return f"{named} has no commit yet" if "Needed a single revision" in said.why else said.why


def _git(folder: Path, *arguments: str) -> _GitOutput:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ONE_REPOSITORY}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - git is where the user has it
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=GIT_SECONDS,
            check=False,
            env=environment,
        )
    except FileNotFoundError:
        return _GitOutput(None, "git is not installed here")
    except subprocess.TimeoutExpired:
        deed = next((one for one in arguments if not one.startswith("-") and "=" not in one), "")
        return _GitOutput(None, f"git {deed} took over 10 seconds")
    except OSError as error:
        return _GitOutput(None, f"git cannot be run: {error.strerror}")
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip() or f"git ended with {done.returncode}"
        first = complaint if "safe.directory" in complaint else complaint.splitlines()[0]
        return _GitOutput(None, displayable(first)[: None if "safe.directory" in first else LONGEST_WHY_CHARACTERS])
    try:
        return _GitOutput(done.stdout.decode().strip())
    except UnicodeDecodeError:
        return _GitOutput(None, "what git says is not UTF-8")
