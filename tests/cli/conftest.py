"""What does every test of the command line stand on? A registry in a folder, some files, and nobody's own settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.harness import Program
from registry.opened import make_registry

WEIGHTS = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("BUCKETRY_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BUCKETRY_IDENTITY", "ada@example.org")
    source = str(Path(__file__).parents[2] / "src")
    monkeypatch.setenv("PYTHONPATH", source)


@pytest.fixture
def program(capfdbinary: pytest.CaptureFixture[bytes]) -> Program:
    return Program(capfdbinary)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a registry, which is also the one that the environment names."""
    folder = tmp_path / "registry"
    make_registry(folder)
    monkeypatch.setenv("BUCKETRY_REGISTRY", str(folder))
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a card, a text and weights."""
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("# A model\n")
    (folder / "sub" / "notes.txt").write_text("hello\n")
    (folder / "weights.bin").write_bytes(WEIGHTS)
    return folder
