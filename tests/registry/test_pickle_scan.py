"""Is a file found to be what it is, and is what could not be looked at never called safe?"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bucketry.client import open_registry
from bucketry.errors import CorruptError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.gating import check_version_gates
from bucketry.registry.review.policies import set_policy
from bucketry.registry.scanning import pickle_scan, pickle_walk
from bucketry.registry.scanning.pickle_scan import CodeFindings, FileScan, ScanStoppedError
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import ModelName, parse_reference
from registry.opened import make_registry
from registry.safetensors_files import make_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry
    from bucketry.schema.documents.gates import GateResult
    from bucketry.schema.judging.gate_checks import ScanReport

from registry.scanned_files import (
    CALL,
    ENCRYPTED,
    EVIL,
    HARMLESS,
    UNKNOWN,
    Evil,
    array,
    budget,
    joblib_file,
    keras_layer,
    old_tar,
    old_torch,
    patched,
    scan,
    tarred,
    zipped,
)

CHAT = ModelName("acme", "chat")
OBJECTS = np.array([Evil()], dtype=object)
DANGEROUS = {
    "a pickle": EVIL,
    "protocol 0": pickle.dumps(Evil(), 0),
    "a second pickle": HARMLESS + EVIL,
    "a zip": zipped(a__weights=EVIL),
    "new torch": zipped(**{"archive__data.pkl": EVIL, "archive__data__0": b"1234"}),
    "a storage of new torch": zipped(**{"a__data.pkl": HARMLESS, "a__data__0": EVIL}),
    "old torch": old_torch(Evil()),
    "zlib": zlib.compress(EVIL),
    "gzip": gzip.compress(EVIL, mtime=0),
    "gzip after gzip": gzip.compress(b"", mtime=0) + gzip.compress(EVIL, mtime=0),
    "bzip2": bz2.compress(EVIL),
    "xz": lzma.compress(EVIL),
    "lzma": lzma.compress(EVIL, lzma.FORMAT_ALONE),
    "a zip in zlib": zlib.compress(zipped(a=EVIL)),
    "a zip in a zip": zipped(a=zipped(b=EVIL)),
    "a deflated zip": zipped(zipfile.ZIP_DEFLATED, a=EVIL),
    "a zip of bzip2": zipped(zipfile.ZIP_BZIP2, a=EVIL),
    "a zip of lzma": zipped(zipfile.ZIP_LZMA, a=EVIL),
    "before a zip": EVIL + zipped(a=HARMLESS),
    "behind a zip": zipped(a=HARMLESS) + EVIL,
    "behind what gzip packed": gzip.compress(HARMLESS, mtime=0) + EVIL,
    "behind an array": array(np.arange(3)) + EVIL,
    "an array of objects": array(OBJECTS),
    "an array in a zip": zipped(**{"a.npy": array(OBJECTS)}),
    "a tar": tarred(pickle=EVIL),
    "a tar of GNU": tarred(tarfile.GNU_FORMAT, **{"a" * 300: EVIL}),
    "a tar of POSIX": tarred(tarfile.PAX_FORMAT, **{"\u00e4" * 300: EVIL}),
    "a tar from before POSIX": old_tar(EVIL),
    "a tar in gzip": gzip.compress(old_tar(EVIL), mtime=0),
    "behind a tar": tarred(a=HARMLESS) + EVIL,
    "a pickle that breaks off": EVIL[:-3],
    "a pickle and what is none": EVIL + b"junk",
    "before bytes that are no opcode": EVIL[:-1] + b"\xff",
    "names from the memo": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x9400h\x00h\x01\x93" + CALL,
    "names behind 2,000 opcodes": b"\x80\x04\x8c\x05posix\x8c\x06system" + b"\x94" * 2_000 + b"\x93" + CALL,
    "names as bytes": b"S'posix'\nS'system'\n\x93" + CALL,
    "the old name of a module": b"cos\nsystem\n(S'id'\ntR.",
    "INST": b"(S'id'\niposix\nsystem\n.",
    "OBJ": b"(cposix\nsystem\nS'id'\no.",
    "an array of joblib's, read by pickle": joblib_file(b"cposix\nsystem\n(S'id'\ntR.", aligned=False),
    "a name of Python 2": b"ccommands\ngetoutput\n(S'id'\ntR.",
}
HARMLESS_FILES = {
    "a pickle": (HARMLESS, 1),
    "nothing": (b"", 0),
    "text": (b"hello world\n", 0),
    "labels that begin as an import does": (b"cat\ndog\nbird\n", 0),
    "code that begins as a call does": (b"import numpy as np\nimport json\n", 0),
    "a README": (b"I am a README.\n\nSee (this).\n", 0),
    "a list": (b"(a, b)\n", 0),
    "a text that begins as zlib does": (b"x^2 + y^2 = z^2\n", 0),
    "JSON": (b'{"class_name": "BertModel", "layers": [1]}', 0),
    "a model of Keras": (keras_layer("Dense"), 0),
    "raw numbers": (bytes(range(255, 0, -1)) * 100, 0),
    "raw floats": (np.arange(1000, dtype="f4").tobytes(), 0),
    "tokens": (np.arange(40, 20_000, 77, dtype="u2").tobytes(), 0),
    "numbers that begin as a pickle does": (b"N.\xff\xfe\xfd", 0),
    "numbers that begin as the extension registry does": (b"\x82\x01\xff\xff", 0),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", 0),
    "new torch": (zipped(**{"a__data.pkl": HARMLESS, "a__data__0": bytes(64), "a__version": b"3\n"}), 2),
    "old torch": (old_torch({"w": 1}), 1),
    "an array": (array(np.arange(100)), 0),
    "zlib": (zlib.compress(HARMLESS), 2),
    "a README in a zip": (zipped(README=b"I am a README.\n"), 1),
    "a note before a zip": (b"#!/bin/sh\nexit 1\n" + zipped(a=b"text"), 1),
    "a tar": (tarred(a=b"text", b=b'{"a": 1}'), 1),
    "joblib": (joblib_file(np.arange(3.0).tobytes()), 1),
    "torchscript": (b"\x80\x02c__torch__.nets\nNet\n)\x81.", 1),
    "GGUF": (b"GGUF\x03\0\0\0" + bytes(200), 0),
    "safetensors": (make_tensors({"w": ("U8", [3], b"abc")}), 0),
}
UNREADABLE = {
    "cut off": (b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93\x8c", "cannot be read as a pickle"),
    "bytes behind it": (HARMLESS + b"junk", "bytes follow its pickles"),
    "an escape that Python warns of, where warnings are errors": (b"\x80\x02S'\\w'\nS'x'\n\x93.", "hides the names"),
    "an unknown opcode behind an import": (b"cnumpy\ndtype\n\xff", "cannot be read as a pickle"),
    "a name that is made": (b"\x80\x04cnumpy\nstr_\n)RV\x93\n\x93.", "hides the names"),
    "a change of what is imported": (b"cnumpy\ndtype\n}b.", "changes numpy.dtype"),
    "protocol 6": (b"\x80\x06N.", "nothing is known of pickle protocol 6"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(100), "7z packed"),
    "RAR": (b"Rar!\x1a\x07\x01\x00" + bytes(100), "RAR packed"),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(100), "LZ4 packed"),
    "Zstandard": (b"\x28\xb5\x2f\xfd" + bytes(100), "Zstandard packed"),
    "OpenSSL": (b"Salted__" + bytes(100), "OpenSSL packed"),
    "too many layers": (zipped(a=zipped(b=zipped(c=zipped(d=EVIL)))), "packed more than 3 times"),
    "an encrypted member": (ENCRYPTED, "is encrypted"),
    "a member whose header alone says encrypted": (patched(zipped(a=HARMLESS), 6, b"\x01"), "is encrypted"),
    "a member with another name in its header": (patched(zipped(a=HARMLESS), 30, b"b"), "differ"),
    "a member with another method in its header": (patched(zipped(a=HARMLESS), 8, b"\x08"), "differ"),
    "a member with another size in its header": (patched(zipped(a=HARMLESS), 18, b"\x01"), "differ"),
    "a member that is packed as nobody knows": (patched(zipped(a=b""), 8, b"\x63", in_directory=10), "packed in a way"),
    "a member that the directory does not list": (zipped(a=b"x")[:32] + zipped(b=b"y"), "does not list"),
    "a zip without its directory": (zipped(a=HARMLESS)[:-40], "directory"),
    "a tar that ends early": (tarred(a=bytes(2000))[:1500], "ends early"),
    "PyTables": (b"\x89HDF\r\n\x1a\n" + bytes(50) + b"PYTABLES_FORMAT_VERSION", "PyTables"),
    "joblib with fewer numbers than it says": (joblib_file(bytes(8), count=9), "cannot be read as a pickle"),
}
KERAS = {
    "JSON": keras_layer("Lambda"),
    "a list of layers": b"[" + keras_layer("Lambda") + b"]",
    "another spelling": keras_layer("Lambda").replace(b"Lambda", b"\\u004cambda"),
    "a package": keras_layer("Custom>Lambda"),
    "an archive": zipped(zipfile.ZIP_DEFLATED, **{"config.json": keras_layer("Lambda")}),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(2_000_000) + keras_layer("Lambda"),
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_runs_code_is_found(name: str) -> None:
    assert {one.rpartition(".")[2] for one in scan(DANGEROUS[name]).dangerous} & {"system", "getoutput"}


@pytest.mark.parametrize("name", KERAS)
def test_a_layer_that_is_code_is_found_wherever_it_is_written(name: str) -> None:
    assert scan(KERAS[name]).dangerous == {"keras.layers.Lambda"}


def test_a_layer_of_a_module_that_is_not_keras_is_judged_as_any_import() -> None:
    assert scan(keras_layer("Popen", "subprocess")).dangerous == {"subprocess.Popen"}
    assert scan(keras_layer("Mine", "acme.layers")).suspicious == {"acme.layers.Mine"}


@pytest.mark.parametrize("name", HARMLESS_FILES)
def test_what_is_harmless_passes(name: str) -> None:
    body, scanned = HARMLESS_FILES[name]
    assert scan(body) == CodeFindings(scanned=scanned)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_scanned_to_its_end_is_a_fault(name: str) -> None:
    body, words = UNREADABLE[name]
    findings = scan(body)
    assert [fault for fault in findings.faults if words in fault], findings


def test_what_nobody_knows_is_suspicious() -> None:
    assert scan(UNKNOWN) == CodeFindings(suspicious={"sklearn.Fit"}, scanned=1)


@pytest.mark.parametrize(
    "body",
    [zlib.compress(EVIL)[:-9], gzip.compress(EVIL, mtime=0)[:-9], zipped(a=EVIL)[:-9] + b"x" * 9],
    ids=["zlib", "gzip", "zip"],
)
def test_damaged_archives_are_never_cleared(body: bytes) -> None:
    findings = scan(body)
    assert findings.faults or findings.dangerous


def test_a_checksum_that_is_wrong_hides_nothing() -> None:
    """PyTorch reads such members."""
    for body in (
        patched(zipped(a=EVIL), 14, b"\x00\x01\x02\x03"),
        patched(zipped(a=EVIL), 14, b"\x55", in_directory=16),
    ):
        assert scan(body).dangerous


def test_a_bomb_is_stopped() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    for body in (bomb, gzip.compress(bytes(50_000_000)), zipped(zipfile.ZIP_DEFLATED, a=bytes(50_000_000))):
        with pytest.raises(ScanStoppedError, match="too large"):
            FileScan(budget(unpacked_bytes=10_000_000), CodeFindings()).scan(io.BytesIO(body), "x")
    with pytest.raises(ScanStoppedError, match="too long"):
        FileScan(budget(seconds=-1), CodeFindings()).scan(io.BytesIO(bomb), "x")


def test_lengths_in_a_file_are_not_believed() -> None:
    for body in (b"c" + b"x" * 2_000_000, b"B\xff\xff\xff\x7f" + bytes(2_000_000)):
        assert scan(body) == CodeFindings()
    assert scan(pickle.dumps(bytes(2_000_000))) == CodeFindings(scanned=1)
    assert scan(pickle.dumps({"a": bytes(2_000_000), "b": Evil()})).dangerous


def test_a_pickle_with_too_many_opcodes_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_walk, "MOST_OPCODES", 1_000)
    assert "more than 1,000 opcodes" in scan(pickle.dumps(list(range(2_000)))).faults[0]
    monkeypatch.setattr(pickle_scan, "MOST_PICKLES", 10)
    assert "more than 10 pickles" in scan(b"N." * 20).faults[0]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    make_registry(tmp_path / "registry")
    with open_registry(str(tmp_path / "registry"), identity="ada@example.org") as opened:
        yield opened


def publish(registry: Registry, folder: Path, **files: bytes) -> None:
    source = folder / f"out{len(list(folder.iterdir()))}"
    source.mkdir()
    for name, body in files.items():
        (source / name.replace("__", ".")).write_bytes(body)
    registry.publish("acme/chat", [source])


def report(registry: Registry, version: int = 1) -> ScanReport:
    return pickle_scan.scan_pickles(
        registry.session, resolve(registry.session, parse_reference(f"acme/chat:{version}"))
    )


def gate(registry: Registry, *, scan: bool = True, strict: bool = False) -> GateResult:
    wanted = '"strict"' if strict else "true"
    set_policy(registry.session, CHAT, parse_policy_toml(f"[[gate]]\npickle_scan = {wanted}", what="p"))
    head = load_existing_head(registry.session, CHAT)
    row = load_row(registry.session, head, head.next_version - 1)
    (result,) = check_version_gates(registry.session, head, row, alias=None, scan=scan)
    return result


def test_every_file_that_may_hold_pickles_is_scanned(registry: Registry, tmp_path: Path) -> None:
    publish(
        registry, tmp_path, a__safetensors=EVIL, b__unknown=EVIL, c__PT=HARMLESS, config__json=b"{}", notes__txt=EVIL
    )
    found = report(registry)
    assert {file.path: bool(file.dangerous) for file in found.files} == {
        "a.safetensors": True,
        "b.unknown": True,
        "c.PT": False,
        "config.json": False,
        "notes.txt": True,
    }
    assert found.counts == "4 scanned, 1 harmless by content, 0 not scannable"
    assert gate(registry).reason == (
        "a.safetensors: imports posix.system; b.unknown: imports posix.system; notes.txt: imports posix.system "
        "(4 scanned, 1 harmless by content, 0 not scannable)"
    )


@pytest.mark.parametrize("name", ["a.txt", "a.h5", "a.gguf", "a.json", "a.md", "a.png", "LICENSE", "a"])
def test_a_name_clears_nothing(registry: Registry, tmp_path: Path, name: str) -> None:
    publish(registry, tmp_path, **{name: EVIL})
    assert gate(registry).reason.startswith(f"{name}: imports posix.system")


def test_what_is_unknown_passes_but_not_the_strict_scan(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, a__pkl=UNKNOWN)
    assert gate(registry).reason == "1 scanned, 0 harmless by content, 0 not scannable; 1 import unknown names"
    assert gate(registry, strict=True).reason == (
        "a.pkl: imports sklearn.Fit, not known to be harmless (1 scanned, 0 harmless by content, 0 not scannable)"
    )
    publish(registry, tmp_path, a__pkl=b"\x80\x04\x8c\x05numpy\x8c\x0c__builtins__\x93.")
    assert gate(registry).reason.startswith("a.pkl: imports numpy.__builtins__ (")


def test_what_cannot_be_scanned_fails_and_is_counted(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, a__zip=ENCRYPTED, b__bin=b"\0\1", c__pkl=HARMLESS)
    assert (gate(registry).passed, gate(registry).value) == (False, 1)
    assert gate(registry).reason == (
        "a.zip: a.zip: the member 'data.pkl' is encrypted, and is not looked into "
        "(1 scanned, 1 harmless by content, 1 not scannable)"
    )


def test_a_large_file_is_read_in_verified_chunks(registry: Registry, tmp_path: Path) -> None:
    storage = os.urandom(40_000_000)
    publish(registry, tmp_path, w__pt=zipped(**{"a__data__0": storage, "a__data.pkl": EVIL}))
    assert "posix.system" in gate(registry).reason
    (blob,) = (
        file for file in (tmp_path / "registry").rglob("*") if file.is_file() and file.stat().st_size > 1_000_000
    )
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    with pytest.raises(CorruptError):
        report(registry)


def test_a_scanner_that_fails_clears_nothing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(pickle_walk.Walk, "take_one", fail)
    publish(registry, tmp_path, a__pkl=HARMLESS)
    assert gate(registry).reason.startswith("a.pkl: the scan failed with RecursionError (0 scanned")


def test_a_version_is_scanned_once_in_a_session(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, tmp_path, a__pkl=HARMLESS)
    assert "not looked at for this list" in gate(registry, scan=False).reason
    assert gate(registry).passed
    monkeypatch.setattr(pickle_scan, "scan_pickles", None)
    assert gate(registry).passed
    assert gate(registry, scan=False).passed


def test_a_scan_says_nothing_by_itself(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, a__pkl=EVIL)
    program = (
        "import sys; from bucketry.client import open_registry\n"
        "from bucketry.registry.scanning.pickle_scan import scan_pickles\n"
        "with open_registry(sys.argv[1]) as r:\n"
        "    assert scan_pickles(r.session, r.resolve('acme/chat:1')).files[0].dangerous\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "registry")]
    source = str(pickle_scan.__file__).rpartition("/bucketry/")[0]
    done = subprocess.run(
        command, capture_output=True, env=os.environ | {"PYTHONPATH": source}, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
