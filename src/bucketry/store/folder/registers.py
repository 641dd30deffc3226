"""Keeps the numbered states of each key in a folder, of which exactly one writer makes the next.

A key that was written once is a plain file. A register's further states are numbered hard links beside it,
`.cas/<key>/<number>`; the plain file is state 0, and the highest number is the truth. The next state is made
by `link` to the next number, which the file system grants to one process alone. Nothing is ever locked, so
nothing is left locked by a process that dies.

Old numbers are trimmed in ascending order. Whoever held a base so long that it was trimmed may find the
number above it free again; that is why a writer looks, after its link, whether its base is still there. If
not, the link lies below the truth, where no reader looks, and the write is refused. A writer that stalls between its
link and that look, for so long that its base is trimmed, cannot tell this from a commit of its own which others built
on: it is refused although it happened. So a refusal decides nothing: the registry reads back and looks for its record.

The plain file is replaced after each commit, for people and their tools. A process that stops between the
two, or a slow one that replaces it late, leaves an older state there: harmless, since the numbers decide, and
the next commit repairs it. It is replaced before anything is trimmed: so once number 0 is gone, the plain
file is no longer state 0, and nobody can bring the register back to its beginning.
"""

# Descriptors and flags need `os`, and a Path would cost more than the call that it is made for.
# ruff: noqa: PTH105, PTH106, PTH108, PTH112, PTH208

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bucketry.clock import Backoff, Clock
from bucketry.frozen import frozen
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError
from bucketry.store.folder.errors import after_naming
from bucketry.store.folder.files import MOST_TRIES, Identity, identify, is_listed_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bucketry.store.contract import ETag
    from bucketry.store.folder.files import Files, StagedObject

NUMBERED = ".cas"
MOST_STATES = 16
KEPT_STATES = 8
PAUSE_SECONDS = 0.001


@frozen
class RegisterState:
    """One state of a key: the file that holds it, and its number."""

    sequence: int
    identity: Identity

    @property
    def etag(self) -> ETag:
        """The ETag of this state. It never recurs, because neither number nor time do."""
        return self.identity.etag(self.sequence)


class FolderRegisters:
    """The states of every key below one folder."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def open(self, key: str) -> tuple[int, RegisterState]:
        """Open the current state, for the caller to close; raise `ObjectNotFoundError` if there is none."""
        backoff: Backoff | None = None
        for _ in range(MOST_TRIES):
            numbers = self._numbers(key)
            path = self._path(key, numbers[-1]) if numbers else self._files.path(key)
            try:
                descriptor, found = self._files.open_file(path)
            except FileNotFoundError as error:
                if not numbers and not self._numbers(key):
                    self._files.check_root()
                    raise ObjectNotFoundError(f"there is no {key} in {self._files.root}") from error
                # Trimmed since we looked; an NFS client may need a moment to see what came instead.
                backoff = backoff or Backoff(Clock(), first_seconds=PAUSE_SECONDS)
                backoff.pause()
                continue
            if numbers or not self._numbers(key):
                return descriptor, RegisterState(numbers[-1] if numbers else 0, identify(found))
            # Numbered between our two looks: the plain file may be any later state.
            os.close(descriptor)
        raise self._files.restless(key)

    @contextmanager
    def opened(self, key: str) -> Iterator[tuple[int, RegisterState]]:
        """Open the current state; raise `ObjectNotFoundError` if there is none."""
        descriptor, state = self.open(key)
        try:
            yield descriptor, state
        finally:
            os.close(descriptor)

    def current(self, key: str) -> RegisterState:
        """Return the current state; raise `ObjectNotFoundError` if there is none."""
        with self.opened(key) as (_, state):
            return state

    def create(self, key: str, written: StagedObject) -> RegisterState:
        """Make the first state of a key that has none."""
        if self._numbers(key) or not self._files.publish(written, self._files.path(key)):
            raise PreconditionFailedError(
                f"{key} exists already in {self._files.root}", advice="read it again before you write it"
            )
        return RegisterState(0, written.identity)

    def check(self, key: str, etag: ETag) -> RegisterState:
        """Return the current state if it has this ETag; raise `PreconditionFailedError` otherwise."""
        try:
            state = self.current(key)
        except ObjectNotFoundError as error:
            raise self._refusal(key) from error
        if state.etag != etag:
            raise self._refusal(key)
        return state

    def replace(self, key: str, base: RegisterState, written: StagedObject) -> RegisterState:
        """Make the state after `base`; raise `PreconditionFailedError` if another did, or may have done."""
        if base.sequence == 0:
            self._number_the_first(key, base)
        path = self._path(key, base.sequence + 1)
        try:
            won = self._files.link(written, path)
        except FileNotFoundError as error:
            self._files.check_staged(written)
            raise self._refusal(key) from error
        if not won:
            raise self._refusal(key)
        with after_naming(path):
            if not self._is_base(key, base):
                if self._files.find_identity(path) == written.identity:
                    self._remove(path)
                raise self._refusal(key)
            self._files.sync_folder_of(path)
        # Refresh the readable copy, then trim. The commit has happened: no error here may deny it.
        with suppress(OSError):
            self._replace_plain_file(key, written)
            numbers = self._numbers(key)
            if len(numbers) > MOST_STATES:
                # Even a power failure must not undo the replacement and keep the trimming.
                self._files.sync_folder_of(self._files.path(key))
                for number in numbers[:-KEPT_STATES]:
                    self._remove(self._path(key, number))
        return RegisterState(base.sequence + 1, written.identity)

    def overwrite(self, key: str, written: StagedObject) -> RegisterState:
        """Write whatever is there."""
        for _ in range(MOST_TRIES):
            if self._numbers(key):
                with suppress(PreconditionFailedError, ObjectNotFoundError):
                    return self.replace(key, self.current(key), written)
                continue
            self._replace_plain_file(key, written)
            if not self._numbers(key):
                return RegisterState(0, written.identity)
        raise self._files.restless(key)

    def renew_plain_file(self, key: str, written: StagedObject) -> None:
        """Put a file in place of the readable copy; where that is the only state, it is not touched."""
        if self._numbers(key):
            self._replace_plain_file(key, written)

    def delete(self, key: str) -> None:
        """Remove all states. The newest goes last, so that no reader sees an older one instead of it."""
        plain = self._files.path(key)
        self._files.check_folders_of(plain)
        self._files.check_folders_of(self._path(key, 0))
        for _ in range(MOST_TRIES):
            for number in self._numbers(key):
                self._remove(self._path(key, number))
            with suppress(OSError):
                os.rmdir(self._folder(key))
            with suppress(FileNotFoundError, NotADirectoryError):
                try:
                    os.unlink(plain)
                except (IsADirectoryError, PermissionError):
                    # A folder of other keys is not an object; macOS says EPERM for it.
                    if not os.path.isdir(plain):
                        raise
            if not self._numbers(key):
                self._files.prune_folders_of(plain)
                self._files.prune_folders_of(self._folder(key))
                return
        raise self._files.restless(key)

    def names_in(self, folder: str) -> frozenset[str]:
        """Return the names below a prefix whose keys may have numbered states."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return frozenset(os.listdir(self._files.path(f"{NUMBERED}/{folder}")))
        return frozenset()

    def hidden_names(self, folder: str, names: Iterable[str]) -> set[str]:
        """Return which of these names below a prefix have numbered states, here or (with a slash) further down.

        They are listed as well, though somebody removed the plain file: what is read must be seen.
        """
        found = set()
        for name in names:
            if not is_listed_name(name, folder):
                continue
            if self._numbers(f"{folder}{name}"):
                found.add(name)
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._folder(folder + name)) as inner:
                if any(entry.is_dir(follow_symlinks=False) for entry in inner):
                    found.add(f"{name}/")
        return found

    def _folder(self, key: str) -> str:
        return self._files.path(f"{NUMBERED}/{key}")

    def _path(self, key: str, number: int) -> str:
        return f"{self._folder(key)}/{number}"

    def _numbers(self, key: str) -> list[int]:
        """Return the numbers of a key's states, ascending; none if it is a plain file or nothing."""
        try:
            with os.scandir(self._folder(key)) as found:
                # A folder with a number for a name belongs to other keys, such as `<key>/7`.
                names = [entry.name for entry in found if entry.is_file(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def _number_the_first(self, key: str, base: RegisterState) -> None:
        """Make the plain file's number 0, unless it has it."""
        path = self._path(key, 0)
        for _ in range(MOST_TRIES):
            if self._is_base(key, base):
                return
            self._files.make_folders_of(path)
            try:
                os.link(self._files.path(key), path, follow_symlinks=False)
            except FileExistsError:
                if not self._is_base(key, base):
                    raise self._refusal(key) from None
            except FileNotFoundError as error:
                if self._files.find_identity(self._files.path(key)) is None:
                    raise self._refusal(key) from error
            else:
                self._files.sync_folder_of(path)
        raise self._files.restless(path)

    def _is_base(self, key: str, base: RegisterState) -> bool:
        return self._files.find_identity(self._path(key, base.sequence)) == base.identity

    def _replace_plain_file(self, key: str, written: StagedObject) -> None:
        path = self._files.path(key)
        copy = f"{written.path}.copy"
        os.link(written.path, copy, follow_symlinks=False)
        try:
            for _ in range(MOST_TRIES):
                self._files.make_folders_of(path)
                try:
                    os.replace(copy, path)
                except FileNotFoundError:
                    self._files.check_staged(written)
                    continue
                except IsADirectoryError:
                    self._files.clear_empty_folder(path)
                    continue
                return
            raise self._files.restless(path)
        finally:
            # A rename onto a name of the same file does nothing, and leaves both.
            self._remove(copy)

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)

    def _refusal(self, key: str) -> PreconditionFailedError:
        return PreconditionFailedError(
            f"{key} was changed by another writer in {self._files.root}", advice="read it again and repeat"
        )
