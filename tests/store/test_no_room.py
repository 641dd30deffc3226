"""Four kinds of no room are told apart, and none is waited for."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UnavailableError
from bucketry.store.contract import StoreFullError
from bucketry.store.folder.errors import explain
from bucketry.store.no_room import NO_ROOM
from bucketry.transfer.disk.local_files import NoRoomError, translate_os_error

if TYPE_CHECKING:
    from pathlib import Path

KINDS = [
    (errno.ENOSPC, {"f_favail": 10, "f_bavail": 0}, "the disk is full", "free some space"),
    (errno.ENOSPC, {"f_favail": 0, "f_bavail": 256}, "takes no more files.*1,048,576 bytes are free", "remove files"),
    (errno.ENOSPC, {"f_favail": 0, "f_bavail": 256, "f_files": 0}, "the disk is full", "free some space"),
    (errno.EDQUOT, {}, "a quota is used up", "quota"),
    (errno.EFBIG, {}, "a file would be larger than", "ulimit"),
]


@pytest.mark.parametrize(("number", "system", "words", "advice"), KINDS)
def test_each_kind_of_no_room_has_its_words(
    number: int, system: dict[str, int], words: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(**{"f_files": 100, "f_favail": 1, "f_bavail": 1, "f_frsize": 4096, **system})
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    error = OSError(number, os.strerror(number), str(tmp_path / "not" / "there"))
    for told in (explain(error, "write x", str(tmp_path)), translate_os_error(error, "x")):
        assert isinstance(told, UnavailableError)
        with pytest.raises(UnavailableError, match=words):
            raise told
        assert advice in told.advice
    assert isinstance(explain(error, "write x", str(tmp_path)), StoreFullError)  # which nobody tries again
    assert isinstance(translate_os_error(error, "x"), NoRoomError)  # nor this
    assert number in NO_ROOM
