"""Decides which files of a folder are published: by default, by `.bucketryignore`, and by what one asks.

Patterns are those of `.gitignore`. What somebody leaves out by name stays out; what somebody asks for by name comes
along, whatever else says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bucketry.errors import DeniedError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from pathlib import Path

IGNORE_NAME = ".bucketryignore"
LARGEST_IGNORE_BYTES = 1024 * 1024
LEFT_OUT = (
    ".git",
    ".hg/",
    ".svn/",
    ".bzr/",
    ".env",
    ".env.*",
    "!.env.example",
    "!.env.sample",
    "!.env.template",
    ".envrc",
    ".cache/huggingface/",
    ".huggingface/",
    ".locks/",
    ".DS_Store",
    "._*",
    ".Trash-*/",
    ".Spotlight-V100/",
    "Thumbs.db",
    "desktop.ini",
    "__pycache__/",
    "*.pyc",
    ".ipynb_checkpoints/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".tox/",
    ".nox/",
    ".venv/",
    "node_modules/",
    ".idea/",
    ".vscode/",
    ".dvc/cache/",
    ".dvc/tmp/",
    ".nfs*",
    ".*.swp",
    "lost+found/",
    IGNORE_NAME,
)
"""What no model needs, and what tells of the machine that it was made on."""


@frozen
class FileSelection:
    """What to publish of folders, as patterns. `include` also takes along what looks like a secret."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Sieve:
    """The patterns for one folder: those of the selection, of the folder's own file, and ours."""

    def __init__(self, selection: FileSelection, folder: Path | None = None) -> None:
        self._included = _patterns(selection.include, "--include")
        self._excluded = _patterns(selection.exclude, "--exclude")
        own = [] if folder is None else _read_ignored(folder / IGNORE_NAME)
        self._ignored = _patterns((*LEFT_OUT, *own), IGNORE_NAME)
        self._asks_for_some = bool(selection.include)

    def is_asked_for(self, path: str) -> bool:
        """Return whether a file is named by `--include`, and not by `--exclude`."""
        return self._included.match_file(path) and not self._excluded.match_file(path)

    def leaves_out(self, path: str) -> bool:
        """Return whether a file is left out, or a folder, whose path ends in a slash."""
        if self._excluded.match_file(path):
            return True
        return bool(self._ignored.match_file(path)) and not self._included.match_file(path)

    def may_ask_for_some_in(self, folder: str) -> bool:
        """Return whether something in a folder that is left out may be asked for."""
        return self._asks_for_some and not self._excluded.match_file(folder)


def _patterns(lines: tuple[str, ...], what: str) -> Any:  # noqa: ANN401 - the library is loaded when it is needed
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only a publish needs it

    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except Exception as error:
            raise UsageError(
                f'{what}: "{displayable(line)[:100]}" is not a pattern: {displayable(str(error))[:100]}',
                advice="write it as in .gitignore: `*.log`, `/logs/`, `!keep.log`",
            ) from error
    return GitIgnoreSpec.from_lines(lines)


def _read_ignored(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_IGNORE_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(path))} may not be read") from error
    if len(body) > LARGEST_IGNORE_BYTES:
        raise UsageError(f"{displayable(str(path))} is too large", advice="write fewer patterns")
    try:
        return body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{displayable(str(path))} is not UTF-8", advice="write it as .gitignore is") from error
