"""Is what no model needs left out, what looks like a secret refused, and what is asked for published?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UsageError
from bucketry.registry.publishing.collect import Collection, collect_files
from bucketry.registry.publishing.selection import FileSelection

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----\nb3Blbn\n"
FILES = {
    "model.safetensors": b"x",
    "config.json": b"{}",
    ".gitattributes": b"*.bin filter=lfs\n",
    ".env.example": b"TOKEN=\n",
    "sub/weights.bin": b"y",
}
JUNK = {
    ".git/config": b"[core]",
    ".git/objects/ab/cd": b"z",
    ".env": b"TOKEN=x",
    "sub/.env.local": b"TOKEN=x",
    ".cache/huggingface/download/model.safetensors.metadata": b"m",
    ".DS_Store": b"d",
    "sub/.DS_Store": b"d",
    "sub/._weights.bin": b"d",
    "__pycache__/a.cpython-311.pyc": b"c",
    "sub/__pycache__/b.cpython-311.pyc": b"c",
    ".ipynb_checkpoints/a.ipynb": b"{}",
    ".venv/bin/python": b"p",
    ".config.json.swp": b"s",
    "Thumbs.db": b"t",
}


def make(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def collect(folder: Path, *, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Collection:
    return collect_files([folder], selection=FileSelection(include, exclude))


def labels(collection: Collection) -> set[str]:
    return {file.label for file in collection.files}


def test_what_no_model_needs_is_left_out_and_told(tmp_path: Path) -> None:
    found = collect(make(tmp_path, FILES | JUNK))
    assert labels(found) == set(FILES)
    assert set(found.left_out) == {
        ".git/", ".env", "sub/.env.local", ".cache/huggingface/", ".DS_Store", "sub/.DS_Store", "sub/._weights.bin",
        "__pycache__/", "sub/__pycache__/", ".ipynb_checkpoints/", ".venv/", ".config.json.swp", "Thumbs.db",
    }  # fmt: skip


def test_a_git_file_of_a_work_tree_or_submodule_is_left_out(tmp_path: Path) -> None:
    assert collect(make(tmp_path, {".git": b"gitdir: /x", "a": b"a"})).left_out == (".git",)


@pytest.mark.parametrize("name", sorted(JUNK))
def test_what_is_asked_for_by_name_comes_along(tmp_path: Path, name: str) -> None:
    assert labels(collect(make(tmp_path, FILES | JUNK), include=(f"/{name}",))) == {*FILES, name}


def test_a_folder_that_is_asked_for_comes_along_whole(tmp_path: Path) -> None:
    found = collect(make(tmp_path, FILES | JUNK), include=(".git/",))
    assert labels(found) == {*FILES, ".git/config", ".git/objects/ab/cd"}
    assert ".git/" not in found.left_out


def test_patterns_leave_out_and_the_stricter_one_holds(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    assert labels(collect(tmp_path, exclude=("sub/", "*.json"))) == {
        "model.safetensors",
        ".gitattributes",
        ".env.example",
    }
    assert "config.json" not in labels(collect(tmp_path, exclude=("*.json",), include=("config.json",)))
    assert labels(collect(tmp_path, exclude=("*", "!config.json"))) == {"config.json"}


def test_a_folder_says_itself_what_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, FILES | {".bucketryignore": b"# mine\n/sub/\n*.json\n!config.json\n", "other.json": b"{}"})
    found = collect(tmp_path)
    assert labels(found) == {"model.safetensors", "config.json", ".gitattributes", ".env.example"}
    assert set(found.left_out) == {"sub/", "other.json", ".bucketryignore"}
    assert "sub/weights.bin" in labels(collect(tmp_path, include=("sub/weights.bin",)))


def test_a_folder_may_want_what_is_left_out_by_default(tmp_path: Path) -> None:
    make(tmp_path, {".bucketryignore": b"!.DS_Store\n", ".DS_Store": b"d"})
    assert labels(collect(tmp_path)) == {".DS_Store"}


def test_a_pattern_that_is_none_is_told(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    with pytest.raises(UsageError, match=r'--exclude: "\[z-a\]" is not a pattern'):
        collect(tmp_path, exclude=("[z-a]",))
    (tmp_path / ".bucketryignore").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        collect(tmp_path)


def test_a_folder_of_nothing_but_what_is_left_out_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file to publish .* but what is left out \(\.git/\)"):
        collect(make(tmp_path, {".git/config": b"x"}))


SECRETS = {
    "id_rsa": b"anything",
    "keys/id_ed25519": b"anything",
    "server.pem": KEY,
    "notes.txt": b"key:\n" + KEY,
    "credentials.json": b"{}",
    "gcp/service-account-prod.json": b"{}",
    "any.json": b'{"type": "service_account", "private_key": "-----BEGIN ' + b'PRIVATE KEY-----\\nMII"}',
    ".netrc": b"machine x",
    ".aws/credentials": b"[default]",
    "rootkey.csv": b"a,b",
    "my_accessKeys.csv": b"a,b",
    "kaggle.json": b"{}",
    "store.p12": b"\0",
    "a.cfg": b"aws_secret_access_key = " + b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYABCDEFGHIJ",
    "b.cfg": b"id: " + b"AKIA" + b"Q3EGRIZL7Y2XWVUT",
    "train.sh": b"export HF_TOKEN=" + b"hf_" + b"a1B2" * 9,
    "c.py": b"t = 'ghp" + b"_" + b"a1B2" * 9 + b"'",
    "d.yml": b"token: github_pat_" + b"a1B2" * 20,
    "e.toml": b"glpat-" + b"a1B2" * 5,
    "f.txt": b"xoxb-" + b"1234567890-abcdefghij",
    "g.js": b"AIza" + b"a1B2c" * 7,
    "h.py": b"sk-proj-" + b"a1B2" * 10,
    "i.py": b"sk-ant-" + b"a1B2" * 10,
    "j.ini": b"npm_" + b"a1B2" * 9,
    "k.txt": b"pypi-AgEIcHlwaS5vcmc" + b"a1B2" * 20,
    "l.txt": b"DefaultEndpointsProtocol=https;AccountKey=" + b"a1B2" * 21 + b"ab==",
}


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_what_looks_like_a_secret_is_refused_unless_it_is_named(tmp_path: Path, name: str) -> None:
    make(tmp_path, {"model.bin": b"x", name: SECRETS[name]})
    with pytest.raises(UsageError, match=f"{name} looks like a") as caught:
        collect(tmp_path)
    assert f"--exclude {name}" in str(caught.value.advice)
    assert labels(collect(tmp_path, exclude=(name,))) == {"model.bin"}
    assert labels(collect(tmp_path, include=(name,))) == {"model.bin", name}
    with pytest.raises(UsageError, match="looks like"):
        collect_files([tmp_path / name])


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("cert.pem", b"-----BEGIN CERTIFICATE-----\nMII\n"),
        ("id_rsa.pub", b"ssh-rsa AAAA"),
        ("README.md", b"Use `hf_xxxxxxxx`, AKIAIOSFODNN7EXAMPLE, sk-... and aws_secret_access_key = YOUR_KEY"),
        ("doc.md", b"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("tokenizer.json", b'{"model": {"vocab": {"secret": 1, "token": 2, "password": 3}}}'),
        ("tokenizer_config.json", b'{"token": "<s>"}'),
        ("special_tokens_map.json", b"{}"),
        ("weights.bin", b"\0" + KEY),
        ("big.txt", KEY + b"x" * 300_000),
        (".env.example", b"TOKEN="),
    ],
)
def test_what_is_no_secret_passes(tmp_path: Path, name: str, body: bytes) -> None:
    assert labels(collect(make(tmp_path, {name: body}))) == {name}


def test_a_secret_in_a_file_that_is_named_itself_is_refused(tmp_path: Path) -> None:
    make(tmp_path, {".env": b"x"})
    with pytest.raises(UsageError, match="looks like a file of credentials"):
        collect_files([tmp_path / ".env"])
    assert labels(collect_files([tmp_path / ".env"], selection=FileSelection(include=(".env",)))) == {".env"}


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Return a snapshot as the cache of Hugging Face has them."""
    repository = tmp_path / "hub" / "models--acme--chat"
    make(repository / "blobs", {"aaaa": b"config", "bbbb": b"weights"})
    (tmp_path / "secret").write_bytes(b"s")
    folder = repository / "snapshots" / "0123456789abcdef"
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").symlink_to("../../blobs/aaaa")
    (folder / "onnx" / "model.onnx").symlink_to("../../../blobs/bbbb")
    return folder


def test_the_links_of_a_snapshot_are_followed_to_its_blobs(snapshot: Path) -> None:
    found = collect(snapshot)
    assert {file.label: file.path.read_bytes() for file in found.files} == {
        "config.json": b"config",
        "onnx/model.onnx": b"weights",
    }
    assert not any(file.path.is_symlink() for file in found.files)
    assert labels(collect(snapshot / "onnx")) == {"model.onnx"}


def test_one_file_of_a_snapshot_is_published_by_its_name(snapshot: Path) -> None:
    (found,) = collect_files([snapshot / "config.json"], card=snapshot / "onnx" / "model.onnx").files[:1]
    assert (found.label, found.path.read_bytes()) == ("README.md", b"weights")
    assert labels(collect_files([snapshot / "config.json", snapshot / "onnx" / "model.onnx"])) == {
        "config.json",
        "model.onnx",
    }


def test_a_whole_repository_of_the_cache_says_which_folder_to_publish(snapshot: Path) -> None:
    with pytest.raises(UsageError, match="which is published by itself") as raised:
        collect(snapshot.parent.parent)
    assert raised.value.advice == f"publish {snapshot}"


def test_a_link_that_is_named_itself_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    make(tmp_path, {"a": b"a"})
    (tmp_path / "last").symlink_to("a")
    for arguments in ({"sources": [tmp_path / "last"]}, {"sources": [tmp_path / "a"], "card": tmp_path / "last"}):
        with pytest.raises(UsageError, match="last is a symbolic link") as raised:
            collect_files(**arguments)
        assert raised.value.advice == f"name the file itself: {tmp_path / 'a'}"


def test_a_snapshot_may_be_reached_by_a_link(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(snapshot)
    assert labels(collect(tmp_path / "latest")) == {"config.json", "onnx/model.onnx"}


@pytest.mark.parametrize("target", ["../../../../secret", "/etc/passwd", "../../blobs/missing", "config.json", ".."])
def test_other_links_of_a_snapshot_are_refused(snapshot: Path, target: str) -> None:
    (snapshot / "link").symlink_to(target)
    if target == "config.json":  # a link to a link into the blobs
        assert "link" in labels(collect(snapshot))
        return
    with pytest.raises(UsageError, match="is a symbolic link, and not one to the blobs"):
        collect(snapshot)


def test_a_link_in_any_other_folder_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "out", {"a": b"a"})
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_bytes(b"x")
    (tmp_path / "out" / "link").symlink_to("../blobs/x")
    with pytest.raises(UsageError, match="is a symbolic link"):
        collect(tmp_path / "out")
    assert labels(collect(tmp_path / "out", exclude=("link",))) == {"a"}
