"""Has every file that is read whole a limit, and a name for it?"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.errors import BucketryError, RejectedError, UsageError
from bucketry.registry.core import config
from bucketry.registry.core.config import load_config
from bucketry.trust.trust_file import load_trust_file
from registry.in_memory import CHAT, content, open_in_memory
from test_imports import load_modules

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = {
    "store/s3/store.py": "the reply to a request for a range of known length",
    "transfer/disk/in_place.py": "/proc/self/mountinfo, which the kernel writes",
    "transfer/disk/leftovers.py": "files of /proc, which the kernel writes",
    "tui/web/page.py": "files of an installed library",
}
"""Who reads something whole without a limit, and why that is right."""
MEBIBYTE = 1024 * 1024


def test_nothing_that_others_may_write_is_read_without_a_limit() -> None:
    """Every `read_text`, `read_bytes` and `read()` without a number of bytes is one of the table above."""
    found = set()
    for module in load_modules():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name = node.func.attr
            if name in {"read_bytes", "read_text"} or (name == "read" and not node.args and not node.keywords):
                found.add(module.path)
    assert found == set(WHOLE)


def test_a_configuration_of_50_megabytes_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    with path.open("wb") as file:
        file.truncate(50 * MEBIBYTE)
    monkeypatch.setenv("BUCKETRY_CONFIG", str(path))
    for load in (load_config, lambda: open_registry("somewhere")):
        with pytest.raises(UsageError, match=f"is larger than {config.LARGEST_CONFIG_BYTES:,} bytes"):
            load()
    from bucketry.tui.shell.settings import load_settings  # noqa: PLC0415 - needs Textual

    with pytest.raises(UsageError, match="is larger than"):
        load_settings()


def test_a_trust_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.toml"
    path.write_bytes(b"#" * (MEBIBYTE + 1))
    path.chmod(0o600)
    with pytest.raises(RejectedError, match="limit of 1,048,576 bytes"):
        load_trust_file(path)


def test_a_card_of_10_mebibytes_is_refused_before_anything_is_uploaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "weights.bin").write_bytes(b"weights")
    registry = open_in_memory(files, monkeypatch)
    before = content(registry)
    (files / "weights.bin").write_bytes(b"other weights")
    (files / "README.md").write_bytes(b"# A card\n" + b"x" * (10 * MEBIBYTE))
    (tmp_path / "long.md").write_bytes(b"x" * (8 * MEBIBYTE + 1))
    with pytest.raises(BucketryError, match=r"model card README.md has 10,485,769 bytes; the limit is 8,388,608"):
        registry.publish(CHAT, files)
    with pytest.raises(UsageError, match="the limit is 8,388,608"):
        registry.publish(CHAT, files / "weights.bin", card=tmp_path / "long.md")
    assert content(registry) == before
