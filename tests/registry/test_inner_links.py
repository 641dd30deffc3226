"""Is a file refused that names another one which is not there, or which lies outside of the version?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import UsageError
from bucketry.registry.publishing import onnx_links
from bucketry.registry.publishing.collect import collect_files
from bucketry.registry.publishing.inner_links import check_inner_links
from bucketry.registry.publishing.onnx_links import find_external_locations
from registry.in_memory import CHAT, content, open_in_memory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + varint(rest)


def field(number: int, value: bytes | int) -> bytes:
    """Return a field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(location: str, *, external: bool = True) -> bytes:
    entries = [("offset", "0"), ("location", location), ("length", "16")]
    data = b"".join(field(13, field(1, key.encode()) + field(2, text.encode())) for key, text in entries)
    return field(1, 4) + field(8, b"w") + field(9, bytes(20_000)) + data + (field(14, 1) if external else b"")


def model(graph: bytes) -> bytes:
    """Return an ONNX model with some of the fields that stand around the graph."""
    return field(1, 9) + field(2, b"a test") + field(8, field(2, 17)) + field(7, graph) + field(14, field(1, b"k"))


def ways_to(inside: bytes) -> dict[str, bytes]:
    """Return models that hold a tensor at each place where the format allows one."""
    attribute = field(5, field(5, inside))
    loop = field(1, field(5, field(6, field(5, inside))))
    return {
        "initializer": model(field(5, inside)),
        "sparse": model(field(15, field(1, inside))),
        "constant": model(field(1, attribute)),
        "list of constants": model(field(1, field(5, field(10, inside)))),
        "graph in a node": model(loop),
        "list of graphs": model(field(1, field(5, field(11, field(1, attribute))))),
        "function": model(b"") + field(25, field(7, attribute)),
        "training": model(b"") + field(20, field(2, field(5, inside))),
    }


WAYS = sorted(ways_to(b""))


def check(folder: Path, files: Mapping[str, bytes | Any]) -> None:
    for name, body in files.items():
        path = folder / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    check_inner_links(collect_files([folder / "model"]).files)


def index(*shards: str) -> dict[str, object]:
    return {"metadata": {"total_size": 1}, "weight_map": {f"layer.{n}": shard for n, shard in enumerate(shards)}}


INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    "files",
    [
        {INDEX: index("a-1.safetensors", "a-2.safetensors"), "a-1.safetensors": b"1", "a-2.safetensors": b"2"},
        {f"unet/{INDEX}": index("./a.safetensors"), "unet/a.safetensors": b"1"},
        {"pytorch_model.bin.index.json": index("parts/a.bin"), "parts/a.bin": b"1"},
        {"x.safetensors.index.fp16.json": index("a.safetensors"), "a.safetensors": b"1"},
        {"m.weights.json": {"weight_map": {"dense": ["m_00000.weights.h5"]}}, "m_00000.weights.h5": b"1"},
        {"faiss.index.json": {"dimension": 5}, "other.index.json": b"no json", "c.index.json": [1]},
        {"model.onnx": model(field(5, tensor("data/w.bin"))), "data/w.bin": b"1"},
        {"model.onnx": model(field(5, tensor("w.bin", external=False)))},
        {"model.onnx": b"version https://git-lfs.github.com/spec/v1\n"},
        {"m-00001-of-00002.gguf": b"1", "m-00002-of-00002.gguf": b"2"},
        {"modules.json": [{"idx": 0, "path": ""}, {"idx": 1, "path": "2_Normalize"}]},
    ],
)
def test_a_version_that_holds_what_its_files_name_is_published(tmp_path: Path, files: dict[str, Any]) -> None:
    check(tmp_path, files)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({INDEX: index("a-1.bin", "a-2.bin"), "a-1.bin": b"1"}, 'names "a-2.bin", which is not among'),
        ({f"unet/{INDEX}": index("a.safetensors"), "a.safetensors": b"1"}, "unet.*which is not among"),
        ({INDEX: index("../a.safetensors"), "a.safetensors": b"1"}, 'names "../a.safetensors", which lies outside'),
        ({INDEX: index("x/../../a.safetensors")}, "lies outside"),
        ({INDEX: index("/etc/passwd")}, "lies outside"),
        ({INDEX: index("..\\a")}, "lies outside"),
        ({INDEX: index("C:a")}, "lies outside"),
        ({INDEX: index("")}, "lies outside"),
        ({INDEX: index("https://example.org/a")}, "lies outside"),
        ({INDEX: index("a\x1b[2J")}, r'names "a\\x1b\[2J", which is not'),
        ({"x.safetensors.index.fp16.json": index("a.safetensors")}, "not among the files"),
        ({"m.weights.json": {"weight_map": {"dense": ["a.h5", "b.h5"]}}, "a.h5": b"1"}, 'names "b.h5"'),
        ({"deep/model.onnx": model(field(5, tensor("w.bin"))), "w.bin": b"1"}, r'deep/model.onnx names "w.bin"'),
        ({"model.ONNX": model(field(5, tensor("../w.bin"))), "w.bin": b"1"}, 'names "../w.bin", which lies outside'),
        ({"m-00001-of-00003.gguf": b"1", "m-00003-of-00003.gguf": b"3"}, "m-00002-of-00003.gguf is not among"),
        ({"modules.json": [{"path": "../../etc"}]}, 'names "../../etc", which lies outside'),
    ],
)  # fmt: skip
def test_a_link_to_nothing_or_to_the_outside_is_refused_by_file_and_link(
    tmp_path: Path, files: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check(tmp_path, files)


@pytest.mark.parametrize("way", WAYS)
def test_external_data_is_found_wherever_a_graph_may_hold_a_tensor(tmp_path: Path, way: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(ways_to(tensor("../secret") + field(1, 5))[way])
    assert list(find_external_locations(path)) == ["../secret"]


@given(body=st.binary(max_size=200) | st.lists(st.integers(0, 255), max_size=60).map(bytes))
def test_whatever_bytes_a_file_has_the_walk_ends(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    for junk in (body, model(body), model(field(5, body)), model(field(5, tensor("x")))[: len(body)]):
        path.write_bytes(junk)
        list(find_external_locations(path))


def test_a_graph_that_holds_itself_without_end_is_no_onnx(tmp_path: Path) -> None:
    inside = tensor("../x")
    for _ in range(200):
        inside = field(1, field(5, field(6, inside)))
    (tmp_path / "model.onnx").write_bytes(model(inside))
    assert list(find_external_locations(tmp_path / "model.onnx")) == []


def test_a_graph_with_more_fields_than_any_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_links, "MOST_FIELDS", 100)
    (tmp_path / "model.onnx").write_bytes(model(field(3, 1) * 200) + field(3, 1) * 200)
    with pytest.raises(UsageError, match="more than 100 fields"):
        find_external_locations(tmp_path / "model.onnx")


def test_an_index_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucketry.registry.publishing.inner_links.LARGEST_INDEX_BYTES", 10)
    with pytest.raises(UsageError, match="the limit of an index is 10"):
        check(tmp_path, {INDEX: index("a")})


def test_nothing_is_uploaded_for_a_version_with_a_link_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "weights.bin").write_bytes(b"weights")
    registry = open_in_memory(tmp_path / "files", monkeypatch)
    before = content(registry)
    (tmp_path / "files" / INDEX).write_text(json.dumps(index("weights.bin", "more.bin")))
    with pytest.raises(UsageError, match=f'{INDEX} names "more.bin"'):
        registry.publish(CHAT, tmp_path / "files")
    assert content(registry) == before
