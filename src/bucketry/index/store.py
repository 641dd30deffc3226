"""Keeps what is known of a registry on this machine, so that searching it waits for no bucket.

One SQLite file for each registry, user, machine and version of the tables, below the cache's folder. It is a cache: a
file that is damaged, or has other tables, is thrown away and filled anew. Processes and threads share it (write-ahead
log, one connection for each thread); filling it is `refresh.py`, asking it `search.py`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import sqlite3
import tempfile
import threading
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import DeniedError, UnavailableError, UsageError
from bucketry.index.tables import APPLICATION, TABLES, VERSION
from bucketry.registry.core.location import FolderLocation, parse_location
from bucketry.schema.search.match import has_letters
from bucketry.store.modes import make_folders
from bucketry.transfer.disk.cache_place import default_cache_root
from bucketry.transfer.disk.local_files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from bucketry.registry.core.config import RegistryProfile
    from bucketry.registry.core.session import Session

LOCK_TIMEOUT_SECONDS = 30.0
SHARED_MEMORY = ("/dev/shm",)  # noqa: S108 - for a private folder in it, where there is no temporary folder
"""Transactions are short: who waits longer waits for a process that hangs."""

_NEXT_EDITION = (
    "INSERT INTO facts (name, value) VALUES ('edition', '1')"
    " ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
)
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_PROFILE")
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SUFFIXES = ("", "-wal", "-shm")


class IndexDamagedError(UnavailableError):
    """The index's file was damaged; it has been thrown away, and the next refresh fills a new one."""


def open_index(session: Session) -> Index:
    """Open the index of a registry; nothing is read from the bucket.

    Where nothing can be kept (no writable cache, or a session that only this process can open) the index is private
    and ends with its `close`.
    """
    if session.profile is not None:
        with suppress(OSError, UnavailableError, DeniedError, UsageError):
            path = _file_of(session.profile)
            make_folders(path.parent.parent)
            make_private_folder(path.parent)
            return Index(path)
    return Index(None)


def find_index(profile: RegistryProfile) -> Index | None:
    """Open the index that this machine has of a registry, without opening the registry; None if there is none."""
    with suppress(OSError, UnavailableError, UsageError):
        path = _file_of(profile)
        return Index(path) if path.exists() else None
    return None


class Index:
    """What is known of a registry. Safe for threads; each has a connection of its own, until `close`."""

    def __init__(self, path: Path | None) -> None:
        self._private = _make_private_folder() if path is None else None
        self.path = Path(self._private.name, "index.sqlite") if self._private else path or Path()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._opened = 0
        self._prepare()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection; failures of the file become errors with plain names."""
        with self._translated():
            yield self._connection()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection in one transaction, which is undone if the block fails.

        One that changed something makes a new `edition`.
        """
        with self._transaction() as connection:
            before = connection.total_changes
            yield connection
            if connection.total_changes != before:
                connection.execute(_NEXT_EDITION)

    def edition(self) -> int:
        """Return a number that is another one when any process has changed what is known of the registry."""
        with self.reading() as connection:
            found = connection.execute("SELECT value FROM facts WHERE name = 'edition'").fetchone()
        return int(found[0]) if found else 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # the first failure is the one to tell
                    connection.execute("ROLLBACK")
                raise

    def refreshed_at(self) -> datetime | None:
        """Return when all heads and aliases were last as the bucket had them; None if never."""
        with self.reading() as connection:
            found = connection.execute("SELECT value FROM facts WHERE name = 'refreshed_at'").fetchone()
        return datetime.fromisoformat(found[0]) if found else None

    def note(self, name: str, value: str) -> None:
        """Note a fact that no list shows: it makes no new edition."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._opened += 1
        if self._private is not None:
            self._private.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connection(self) -> sqlite3.Connection:
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "known", None)
        if known is not None and known[0] == self._opened:
            return known[1]
        connection = _connect(self.path)
        with self._lock:
            self._connections.append(connection)
            self._local.known = (self._opened, connection)
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise UnavailableError(
                    f"the local index {self.path} cannot be used: {error}",
                    advice="free some space, or remove the file: it is filled anew",
                ) from error
            self._discard()
            raise IndexDamagedError(
                f"the local index {self.path} was damaged and has been thrown away",
                advice="run it again: the index is filled anew",
            ) from error

    def _prepare(self) -> None:
        """Make sure that a file with our tables is there."""
        with self._exclusive(), self._translated_once():
            _create_file(self.path)
            with closing(_connect(self.path)) as connection:
                names = ("application_id", "user_version")
                marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
                if marks == [APPLICATION, VERSION]:
                    return
                if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
                    _create_tables(connection)
                    return
            _remove(self.path)
            _create_file(self.path)
            with closing(_connect(self.path)) as connection:
                _create_tables(connection)

    @contextmanager
    def _translated_once(self) -> Iterator[None]:
        """Translate failures while the file is being prepared; a damaged one is replaced at once."""
        try:
            yield
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise UnavailableError(f"the local index {self.path} cannot be used: {error}") from error
            _remove(self.path)
            _create_file(self.path)
            with closing(_connect(self.path)) as connection:
                _create_tables(connection)

    def _discard(self) -> None:
        """Throw the damaged file away, unless another process did so already, and begin a new one."""
        with self._lock:
            damaged = self._connections[:]
            self._connections.clear()
            self._opened += 1
        for connection in damaged:
            with suppress(sqlite3.Error):
                connection.close()
        with self._exclusive():
            if not _is_sound(self.path):
                _remove(self.path)
        self._prepare()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep other processes from making or removing the file: nobody opens what is about to be thrown away."""
        descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with suppress(OSError):  # a file system without locks: only a damaged file is ever thrown away
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _make_private_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder that ends with the index; raise `UnavailableError` where this machine has no place for one."""
    for folder in (None, *SHARED_MEMORY):
        with suppress(OSError):
            return tempfile.TemporaryDirectory(prefix="bucketry-index-", dir=folder)
    raise UnavailableError(
        "there is no place for the local index: neither a cache nor a temporary folder can be written",
        advice="set BUCKETRY_CACHE or TMPDIR to a folder that can be written",
    )


def _file_of(profile: RegistryProfile) -> Path:
    """Return where the index of a registry lies: one for each place, endpoint, machine and version of the tables.

    Two versions of the program at once would throw away each other's file for ever. Each machine has its own, because
    what processes share of a write-ahead log is memory: a home folder on a network file system may be used by many.
    Which registry is at the place is noted inside.
    """
    location = parse_location(profile.url)
    settings = [f"{name}={os.environ.get(name, '')}" for name in _ENDPOINT_VARIABLES]
    settings += [f"{name}={profile.s3.get(name, '')}" for name in ("endpoint_url", "profile")]
    place = [str(location)] if isinstance(location, FolderLocation) else [str(location), *settings]
    identity = "\n".join([*place, socket.gethostname()])
    root = default_cache_root(os.environ)
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return root / "index" / str(os.getuid()) / f"{name}-{VERSION}.sqlite"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may lose the last batch, no more
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.create_function("has_letters", 2, has_letters, deterministic=True)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create_file(path: Path) -> None:
    """Create the file for its owner alone; SQLite gives the files beside it the same rights."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION:d}; PRAGMA user_version = {VERSION:d}; COMMIT;"
    )


def _is_sound(path: Path) -> bool:
    try:
        with closing(_connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def _remove(path: Path) -> None:
    for suffix in _SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
