"""A registry in a folder, opened as a program opens it, with a cache and a configuration of its own."""

from __future__ import annotations

import functools
import json
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.client import open_registry
from bucketry.registry.core.opening import create_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from bucketry.client import Registry
    from bucketry.registry.publishing.registration import RegisteredVersion

ADA = "ada@example.org"
CHAT = "acme/chat"


def make_registry(folder: Path, identity: str = ADA) -> None:
    """Make a folder what `bucketry init` makes of it; the promises of folders are probed once for all tests."""
    body = _document_of_a_new_registry(identity)
    folder.mkdir(parents=True, exist_ok=True)
    name = json.loads(body)["registry"].encode()
    (folder / "registry.json").write_bytes(body.replace(name, str(uuid.uuid4()).encode()))


@functools.cache
def _document_of_a_new_registry(identity: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        create_registry(f"{folder}/registry", identity=identity)
        return Path(folder, "registry", "registry.json").read_bytes()


def open_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Create a registry in `folder/registry` and open it as Ada."""
    monkeypatch.setenv("BUCKETRY_CACHE", str(folder / "cache"))
    (folder / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(folder / "config.toml"))
    monkeypatch.delenv("BUCKETRY_REGISTRY", raising=False)
    make_registry(folder / "registry")
    return open_registry(str(folder / "registry"), identity=ADA)


def publish(
    registry: Registry,
    folder: Path,
    model: str,
    files: Mapping[str, bytes],
    *,
    base: str | None = None,
    relation: str | None = None,
) -> RegisteredVersion:
    """Publish files, written to a folder of their own first."""
    source = folder / f"source-{len(list(folder.glob('source-*')))}"
    source.mkdir()
    for name, body in files.items():
        (source / name).write_bytes(body)
    return registry.publish(model, [source], base=base, relation=relation)


def plant(registry_folder: Path, key: str, body: bytes) -> None:
    """Put bytes at a key behind the registry's back, in place, so that every link of the object shows them."""
    path = registry_folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.exists() else "xb") as file:
        file.write(body)
        file.truncate()
