"""How deep do the tests dig, and which servers do they share?

Everyday, property tests and the simulation draw some of their examples, and what is marked `deep` is skipped by name;
`--deep` draws all and runs all. Real S3 servers are started when the first test asks for them, once for each process of
pytest.
"""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from servers.moto import run_moto
from servers.rclone import run_rclone
from servers.weed import run_weed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.process import S3Server

gc.disable()  # while tests are collected: see the end of it

LONGEST_NAME = 40
"""Bytes of a parameter that name a test."""
LONG_FIRST = ("races", "simulation", "faults", "story", "tui", "jobs", "cli", "store", "transfer", "index", "registry")
"""Folders whose modules take long: they begin first, so that at the end no process works on alone."""
MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 * 1024**3
"""Where the folders of tests lie everyday: half of what thousands of small registries take is writing to a disk."""

# The same examples in each run, on machines of any speed; `--hypothesis-profile=search` looks for others.
# A test that says `max_examples=of_hundred(40)` draws 40 of the hundred of `deep`, and as many fewer everyday.
settings.register_profile("everyday", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("deep", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("search", max_examples=3_000, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--deep",
        action="store_true",
        help="draw every example of the property tests and every seed of the simulation, and run what is marked `deep`",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--deep") and has_room_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("deep" if config.getoption("--deep") else "everyday")


def has_room_in_memory() -> bool:
    """Return whether files of tests fit into memory and can be run from there, which containers often forbid."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return False
    there = os.statvfs(MEMORY)
    return there.f_bavail * there.f_frsize > ROOM_BYTES and not there.f_flag & os.ST_NOEXEC


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(item.path.relative_to(config.rootpath).parts))
    if not config.getoption("--deep"):
        for item in items:
            if item.get_closest_marker("deep"):
                item.add_marker(pytest.mark.skip(reason="takes long: `sh infra/test.sh --deep` runs it"))


def _turn(parts: tuple[str, ...]) -> int:
    """Return when the modules of a folder begin: `tests/FOLDER/...`."""
    return LONG_FIRST.index(parts[1]) if parts[1] in LONG_FIRST else len(LONG_FIRST)


@pytest.fixture(scope="session")
def is_deep(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--deep"))


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(autouse=True, scope="session")
def _signals_are_heard() -> None:
    """What tests start hears the signals that they send, although a shell ignores some for what it runs behind."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Let the collector of garbage begin, and pass over what collecting the tests made: it stays to the end."""
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long bytes are named by their argument: compressed ones hold the time, and all workers need the same names."""
    return argname if isinstance(val, bytes) and len(val) > LONGEST_NAME else None
