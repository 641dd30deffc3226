"""What can be known of how a version was made without asking anybody: commit, command, environment."""

from __future__ import annotations

import platform
import re
import shlex
import sys
from functools import cache
from typing import TYPE_CHECKING

from bucketry.registry.publishing.capture_git import read_git
from bucketry.registry.publishing.secret_files import secret_in_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_PACKAGES = 2_000
LONGEST_COMMAND = 4_096

_SECRET_NAME = re.compile(
    r"""(secret|passw|credential|api.?key|access.?key|signature
    |token(?!i[sz]|s|[-_.]?(?:len|type|limit|count|budget))  # --tokenizer, --max-tokens, --token-limit are none
    |auth(?!ors?\b|ors?[-_.]))                               # nor is --author
    """,
    re.IGNORECASE | re.VERBOSE,
)
_USER_OF_A_URL = re.compile(
    r"""(\A\s*[a-z][a-z0-9+.-]*://)[^/?#]*@  # what begins as a URL is one, and its password may hold blanks
    |(://)[^/?#\s"<>]*@                      # inside of a text these end a URL
    """,
    re.IGNORECASE | re.VERBOSE,
)


def capture_code(folder: Path) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return repository, commit and dirty flag of the git work tree around a folder, and what of it is not known, why.

    Empty outside of one. The flag is None where git could not tell.
    """
    state = read_git(folder)
    if not state.commit:
        return {}, state.notes
    code: dict[str, object] = {"commit": state.commit, "dirty": state.dirty}
    if state.remote:
        remote = without_credentials(state.remote)
        # Behind `?` or `#` some keep a token.
        code["repository"] = re.split(r"[?#]", remote, maxsplit=1)[0] if "://" in remote else remote
    return code, state.notes


def capture_command(arguments: list[str] | None = None) -> str:
    """Return the command line of this process, with what looks like a secret replaced by `***`."""
    hidden: list[str] = []
    hide_next = False
    for given in sys.argv if arguments is None else arguments:
        argument = without_credentials(given)  # first, as what looks like a name below may be the half of a URL
        name, equals, _ = argument.partition("=")
        secret = bool(_SECRET_NAME.search(name))
        if secret_in_text(argument):
            hidden.append(f"{name}=***" if equals and not secret_in_text(name) else "***")
        elif hide_next or (secret and equals):
            hidden.append(f"{name}=***" if equals and not hide_next else "***")
        else:
            hidden.append(argument)
        hide_next = secret and not equals and argument.startswith("-")
    return shlex.join(hidden)[:LONGEST_COMMAND].encode(errors="backslashreplace").decode()


def is_no_training() -> bool:
    """Return whether the command of this process says nothing of a training: ours, a prompt, or a notebook."""
    program = re.split(r"[\\/]", sys.argv[0] if sys.argv else "")[-1].removesuffix(".exe")
    return program in {"", "-c", "bucketry", "__main__.py", "ipykernel_launcher.py", "ipython", "ipython3"}


@cache
def capture_environment() -> Mapping[str, object]:
    """Return Python, platform and the installed packages of this process with their versions."""
    from importlib import metadata  # noqa: PLC0415 - takes longer to import than git takes to answer

    packages = {item.metadata["Name"]: item.version for item in metadata.distributions() if item.metadata["Name"]}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())[:MOST_PACKAGES]),
    }


def without_credentials(text: str) -> str:
    """Return a URL, or a text with URLs anywhere in it, without user and password; all else stays as it is.

    What stands between `://` and the last @ before a slash is taken for them: rather too much goes than too little.
    """
    return _USER_OF_A_URL.sub(r"\1\2", text)


def without_credentials_inside(stated: Mapping[str, object]) -> dict[str, object]:
    """Return what somebody stated, such as a dataset or a pipeline, with no user and password in its texts."""
    return {name: without_credentials(value) if isinstance(value, str) else value for name, value in stated.items()}
