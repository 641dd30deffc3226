"""Does a file count as of a format only where its content is?"""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.registry.scanning.file_formats import faults_in_formats
from registry.opened import make_registry
from registry.safetensors_files import make_file, make_tensors
from registry.scanned_files import EVIL, array, old_tar, zipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
TENSORS = make_tensors({"w": ("U8", [3], b"abc")})
NOT_TEXT = make_file(
    {"__metadata__": {"x": {"y": 1}}, "t": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"x"
)
MORE = make_file({"t": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1], "quant": "x"}}, b"x")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    make_registry(tmp_path / "registry")
    with open_registry(str(tmp_path / "registry"), identity="ada@example.org") as opened:
        yield opened


def faults(registry: Registry, folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    source = folder / "out"
    source.mkdir()
    for name, body in files.items():
        (source / name).write_bytes(body)
    published = registry.publish("acme/chat", [source])
    return faults_in_formats(registry.session, registry.resolve(f"acme/chat:{published.version}"))


def test_what_is_of_its_format_passes(registry: Registry, tmp_path: Path) -> None:
    files = {
        "a.safetensors": TENSORS,
        "more.SAFETENSORS": MORE,
        "config.json": b'{"a": 1}',
        "README.md": "# Mod\u00e8le\n".encode(),
        "old.md": "# Mod\u00e8le\n".encode("latin-1"),
        "wide.csv": "a,b\n1,2\n".encode("utf-16"),
        "labels.txt": b"cat\ndog\n",
        "empty.txt": b"",
        "LICENSE": b"Apache-2.0\n",
        "m.gguf": b"GGUF\x03\0\0\0",
        "m.onnx": b"\x08\x07\x12\x07pytorch",
        "m.tflite": b"\x1c\0\0\0TFL3",
        "a.npy": array([1, 2]),
        "a.npz": zipped(**{"a.npy": array([1, 2])}),
        "a.tar": old_tar(b"x"),
        "a.bin": b"\0\1\2",
        "model.pkl": EVIL,
        "unknown": b"\0",
    }
    assert faults(registry, tmp_path, files) == {}


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("a.safetensors", POINTER, "is a pointer of Git LFS or its kin, not the file"),
        ("a.bin", POINTER, "is a pointer of Git LFS or its kin, not the file"),
        (
            "a.bin",
            POINTER.replace(b"git-lfs.github", b"hawser.github"),
            "is a pointer of Git LFS or its kin, not the file",
        ),
        ("a.bin", b"../../.git/annex/objects/Xk/0/SHA256E-s1--0/0", "is a pointer of Git LFS or its kin, not the file"),
        ("a.safetensors", b"", "is not a valid safetensors file: its header would be 0 bytes of 0"),
        ("a.safetensors", NOT_TEXT, "is not a valid safetensors file: its metadata are not texts"),
        ("a.safetensors", TENSORS + b"x", "is not a valid safetensors file: its tensors end at byte"),
        ("a.safetensors", EVIL, "is not a valid safetensors file"),
        ("config.json", b"{", "is not JSON"),
        ("config.json", b"", "is not JSON"),
        ("config.json", b"\x1f\x8b", "is not JSON"),
        ("README.md", b"a\0b", "is not text"),
        ("README.md", EVIL, "is not text"),
        ("a.txt", pickle.dumps({1}, 0), "is a pickle"),
        ("a.txt", b"cos\nsystem\n(S'id'\ntR.", "is a pickle"),
        ("a.gguf", EVIL, "is not gguf by its content"),
        ("a.h5", EVIL, "is not h5 by its content"),
        ("a.onnx", EVIL, "is not onnx by its content"),
        ("a.npz", EVIL, "is not npz by its content"),
        ("a.png", b"GIF89a", "is not png by its content"),
        ("a.tflite", b"abc", "is not tflite by its content"),
        ("a.tar", b"x" * 1_000, "is not tar by its content"),
    ],
)
def test_what_is_not_what_its_name_says_is_told(
    registry: Registry, tmp_path: Path, name: str, body: bytes, reason: str
) -> None:
    (found,) = faults(registry, tmp_path, {name: body, "ok.json": json.dumps([1]).encode()}).items()
    assert found[0] == name
    assert found[1].startswith(reason)
