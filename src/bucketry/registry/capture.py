"""What can be known of how a version was made without asking anybody: commit, command, environment."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from pathlib import Path

GIT_SECONDS = 10.0
MOST_PACKAGES = 2_000
LONGEST_COMMAND = 4_096

_SECRET_NAME = re.compile(r"(?i)(token|secret|passw|credential|api.?key|access.?key|signature|auth)")


def capture_code(folder: Path) -> dict[str, object]:
    """Return repository, commit and dirty flag of the git work tree around a folder; empty outside of one."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    status = _git(folder, "status", "--porcelain")
    code: dict[str, object] = {"commit": commit, "dirty": bool(status)}
    remote = _git(folder, "remote", "get-url", "origin")
    return code | {"repository": without_credentials(remote)} if remote else code


def capture_git_email(folder: Path) -> str:
    """Return git's user.email as seen from a folder; empty if there is none."""
    return _git(folder, "config", "user.email") or ""


def capture_command(arguments: list[str] | None = None) -> str:
    """Return the command line of this process, with what looks like a secret replaced by `***`."""
    hidden: list[str] = []
    hide_next = False
    for argument in sys.argv if arguments is None else arguments:
        name, equals, _ = argument.partition("=")
        secret = bool(_SECRET_NAME.search(name))
        if hide_next or (secret and equals):
            hidden.append(f"{name}=***" if equals and not hide_next else "***")
        else:
            hidden.append(without_credentials(argument))
        hide_next = secret and not equals and argument.startswith("-")
    return shlex.join(hidden)[:LONGEST_COMMAND].encode(errors="backslashreplace").decode()


def capture_environment() -> dict[str, object]:
    """Return Python, platform and the installed packages with their versions."""
    from importlib import metadata  # noqa: PLC0415 - takes longer to import than git takes to answer

    packages = {item.metadata["Name"]: item.version for item in metadata.distributions() if item.metadata["Name"]}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())[:MOST_PACKAGES]),
    }


def without_credentials(url: str) -> str:
    """Return a URL without user and password; anything else as it is."""
    if "://" not in url or "@" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - git is where the user has it
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
