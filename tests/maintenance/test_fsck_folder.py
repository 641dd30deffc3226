"""What a registry in a folder has besides: a file for people beside each register, and names that may be links."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.fsck.registry import check_registry
from registry.opened import CHAT, open_in, publish

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.client import Registry

REGISTERS = ["registry.json", "heads/acme/chat.json", "aliases/acme/chat/production.json"]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = open_in(tmp_path, monkeypatch)
    for body in (b"one", b"two"):
        publish(registry, tmp_path, CHAT, {"model.bin": body})
    for version in (1, 2, 1):
        registry.promote(f"{CHAT}:{version}", "production")
    assert check_registry(registry.session).findings == ()
    return registry


def replaced(path: Path, body: bytes) -> None:
    """Put another file in place of one, so that the states behind it stay as they are."""
    path.unlink()
    path.write_bytes(body)


@pytest.mark.parametrize("key", REGISTERS[1:])
def test_a_file_for_people_that_says_something_else_is_damage(registry: Registry, tmp_path: Path, key: str) -> None:
    path = tmp_path / "registry" / key
    document = json.loads(path.read_bytes())
    lies: list[dict[str, object]] = [document | {"registry": "x"}, document | {"extra": 1, "protected": True}, {}]
    for forged in lies:
        replaced(path, json.dumps(forged).encode())
        (finding,) = check_registry(registry.session).findings
        assert (finding.grade, finding.key) == ("damage", key)
        assert "file for people" in finding.message


@pytest.mark.parametrize("key", REGISTERS[1:])
def test_a_file_for_people_that_is_gone_or_a_link_is_damage(registry: Registry, tmp_path: Path, key: str) -> None:
    path = tmp_path / "registry" / key
    path.unlink()
    assert [finding.key for finding in check_registry(registry.session).damage] == [key]
    path.symlink_to("/etc/hostname")
    assert key in [finding.key for finding in check_registry(registry.session).damage]
    path.unlink()
    os.mkfifo(path)  # which is not waited for
    assert [finding.key for finding in check_registry(registry.session).damage] == [key]


def test_a_file_for_people_of_an_older_state_is_what_a_crash_leaves(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "registry" / "heads/acme/chat.json"
    older = path.read_bytes()
    publish(registry, tmp_path, CHAT, {"model.bin": b"three"})
    replaced(path, older)
    (finding,) = check_registry(registry.session).findings
    assert finding.grade == "garbage"
    assert "the next commit replaces it" in finding.message
    publish(registry, tmp_path, CHAT, {"model.bin": b"four"})
    assert check_registry(registry.session).findings == ()


def test_bytes_that_are_a_symbolic_link_are_damage(registry: Registry, tmp_path: Path) -> None:
    blob = next(path for path in (tmp_path / "registry" / "blobs").rglob("*") if path.is_file())
    elsewhere = tmp_path / "elsewhere"
    blob.rename(elsewhere)
    blob.symlink_to(elsewhere)
    for deep in (False, True):
        assert any("are a symbolic link" in each.message for each in check_registry(registry.session, deep=deep).damage)


@pytest.mark.parametrize("key", ["heads/acme/new.json", "aliases/acme/new/production.json", "manifests/acme/new/x"])
def test_a_pipe_where_a_document_was_is_named_and_its_model_is_not_gone(
    registry: Registry, tmp_path: Path, key: str
) -> None:
    publish(registry, tmp_path, "acme/new", {"model.bin": b"new"})
    registry.promote("acme/new:1", "production")
    path = tmp_path / "registry" / key
    if key.startswith("manifests"):
        path = next(path.parent.iterdir())
        key = f"manifests/acme/new/{path.name}"
    for own in (path, tmp_path / "registry" / ".cas" / key):  # a head has states behind it, which would be read
        if own.is_dir():
            shutil.rmtree(own)
        else:
            own.unlink(missing_ok=True)
    os.mkfifo(path)
    assert [(finding.grade, finding.key) for finding in check_registry(registry.session).findings] == [("damage", key)]
    assert [str(listed.model) for listed in registry.models()] == ["acme/chat", "acme/new"]


def test_a_stray_file_beside_the_registry_is_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "registry" / "notes.txt").write_text("mine")
    (tmp_path / "registry" / "models").mkdir()
    (tmp_path / "registry" / "models" / "x").write_text("mine")
    found = check_registry(registry.session).findings
    assert [(finding.grade, finding.key) for finding in found] == [("garbage", "models/"), ("garbage", "notes.txt")]
