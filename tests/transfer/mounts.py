"""How do tests get a folder that no rename can replace?"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from faults.file_systems import bound, mounted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65534


@contextmanager
def as_nobody(*writable: Path) -> Iterator[None]:
    """Run as a user who owns these folders alone."""
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    for folder in writable:
        os.chown(folder, NOBODY, NOBODY)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def let_others_enter(folder: Path) -> None:
    """Let other users come to a folder of a test."""
    for above in (folder, *folder.parents):
        if "pytest" in str(above):
            above.chmod(above.stat().st_mode | 0o055)


@contextmanager
def irreplaceable(kind: str, home: Path) -> Iterator[Path]:
    """Yield an empty folder `chat` of one kind that no rename can replace."""
    target = home / "chat"
    with ExitStack() as stack:
        if kind == "file system":
            stack.enter_context(mounted(target, "size=64m"))
        elif kind == "bound folder":
            (home.parent / "volume").mkdir()
            stack.enter_context(bound(target, home.parent / "volume"))
        else:
            target.mkdir()
            if kind == "sticky parent":
                home.chmod(0o1777)
            let_others_enter(home.parent)
            stack.enter_context(as_nobody(target) if kind == "sealed parent" else as_nobody())
            if kind == "sticky parent":
                os.seteuid(0)
                target.chmod(0o777)
                os.seteuid(NOBODY)
        yield target
