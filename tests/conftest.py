"""Real S3 servers for the tests: each is started when the first test asks for it, once for each pytest process."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from servers.moto import run_moto
from servers.rclone import run_rclone
from servers.weed import run_weed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.process import S3Server

LONGEST_NAME = 40
"""Bytes of a parameter that name a test."""

# The same examples in each run, on machines of any speed; `--hypothesis-profile=search` looks for others.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=3_000, deadline=None)
settings.load_profile("same")


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


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over what collecting made: it stays to the end."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long bytes are named by their argument: compressed ones hold the time, and all workers need the same names."""
    return argname if isinstance(val, bytes) and len(val) > LONGEST_NAME else None
