from __future__ import annotations

import gzip
import io
import lzma
import os
import pickle
import subprocess
import sys
import time
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import picklescan.scanner  # type: ignore[import-untyped]
import pytest

from bucketry.errors import CorruptError
from bucketry.registry import pickle_contents, pickle_opcodes, pickle_scan
from bucketry.registry.client import open_registry
from bucketry.registry.gating import check_version_gates
from bucketry.registry.opening import create_registry
from bucketry.registry.pickle_contents import Budget, FileScan, Findings, ScanStoppedError
from bucketry.registry.policies import set_policy
from bucketry.registry.registers import load_existing_head
from bucketry.registry.resolve import resolve
from bucketry.registry.rows import load_row
from bucketry.schema.names import ModelName, parse_reference
from bucketry.schema.policy import parse_policy_toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.registry.client import Registry
    from bucketry.schema.gates import GateResult
    from bucketry.schema.scans import ScanReport

CHAT = ModelName("acme", "chat")
MAGIC = 0x1950A86A20F9469CFC6C


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo owned",)


EVIL = pickle.dumps(Evil())
HARMLESS = pickle.dumps({"layers": [1, 2, 3]})
UNKNOWN = b"\x80\x04\x8c\x07sklearn\x8c\x03Fit\x93."


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/")), body)  # without the time of day
    return file.getvalue()


def array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def old_torch(thing: object) -> bytes:
    parts = (MAGIC, 1001, {"little_endian": True}, thing, ["0"])
    return b"".join(pickle.dumps(part, 2) for part in parts) + bytes(range(256)) * 20


def budget(unpacked_bytes: int = 1 << 30, seconds: float = 60) -> Budget:
    return Budget(time.monotonic, time.monotonic() + seconds, 1 << 40, unpacked_bytes)


def scan(body: bytes) -> Findings:
    findings = Findings()
    FileScan(picklescan.scanner, budget(), findings).scan(io.BytesIO(body), "x")
    return findings


OBJECTS = np.array([Evil()], dtype=object)
DANGEROUS = {
    "a pickle": EVIL,
    "protocol 0": pickle.dumps(Evil(), 0),
    "a second pickle": HARMLESS + EVIL,
    "a zip": zipped(a__weights=EVIL),
    "new torch": zipped(**{"archive__data.pkl": EVIL, "archive__data__0": b"1234"}),
    "old torch": old_torch(Evil()),
    "zlib": zlib.compress(EVIL),
    "gzip": gzip.compress(EVIL, mtime=0),
    "xz": lzma.compress(EVIL),
    "a zip in zlib": zlib.compress(zipped(a=EVIL)),
    "a zip in a zip": zipped(a=zipped(b=EVIL)),
    "an array of objects": array(OBJECTS),
}
HARMLESS_FILES = {
    "a pickle": HARMLESS,
    "nothing": b"",
    "text": b"hello world\n",
    "raw numbers": bytes(range(255, 0, -1)) * 100,
    "new torch": zipped(**{"a__data.pkl": HARMLESS, "a__data__0": EVIL, "a__version": b"3\n"}),
    "old torch": old_torch({"w": 1}),
    "an array": array(np.arange(100)),
    "zlib": zlib.compress(HARMLESS),
}
UNREADABLE = {
    "cut off": (EVIL[:-3], "cannot be read as a pickle"),
    "bytes behind it": (HARMLESS + b"junk", "cannot be read as a pickle"),
    "a number that only the unpickler reads": (b"I0x10\ncposix\nsystem\n.", "cannot be read as a pickle"),
    "a text that looks like our rule": (b"Iat position 0, opcode b'x' unknown\ncos\nsystem\n.", "cannot be read"),
    "an escape that Python warns of, where warnings are errors": (b"S'\\w'\n.", "cannot be read as a pickle"),
    "an unknown opcode behind an import": (b"cos\nsystem\n\xff", "cannot be read as a pickle"),
    "the extension registry": (b"\x80\x04\x82\x01.", "extension registry"),
    "an import far from its name": (
        b"\x80\x04\x8c\x02os\x8c\x06system" + b"\x94" * 2_000 + b"\x93.",
        "hides the names",
    ),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(100), "7z packed"),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(100), "LZ4 packed"),
    "bzip2": (b"BZh9" + bytes(100), "bzip2 packed"),
    "tar": (b"a" * 257 + b"ustar" + bytes(300), "tar packed"),
    "too many layers": (zipped(a=zipped(b=zipped(c=zipped(d=EVIL)))), "packed more than 3 times"),
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_runs_code_is_found(name: str) -> None:
    assert {one.rpartition(".")[2] for one in scan(DANGEROUS[name]).dangerous} == {"system"}


def test_a_pickle_before_an_archive_and_one_in_it_are_found() -> None:
    findings = scan(EVIL + zipped(a=EVIL))
    assert findings.dangerous
    assert findings.faults


@pytest.mark.parametrize("name", HARMLESS_FILES)
def test_what_is_harmless_passes(name: str) -> None:
    assert scan(HARMLESS_FILES[name]) == Findings()


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_scanned_to_its_end_is_a_fault(name: str) -> None:
    body, words = UNREADABLE[name]
    findings = scan(body)
    assert [fault for fault in findings.faults if words in fault]
    assert not findings.dangerous


def test_what_nobody_knows_is_suspicious() -> None:
    assert scan(UNKNOWN) == Findings(suspicious={"sklearn.Fit"})


@pytest.mark.parametrize(
    "body",
    [zlib.compress(EVIL)[:-9], gzip.compress(EVIL, mtime=0)[:-9], zipped(a=EVIL)[:-9] + b"x" * 9],
    ids=["zlib", "gzip", "zip"],
)
def test_damaged_archives_are_never_cleared(body: bytes) -> None:
    try:
        findings = scan(body)
    except Exception:  # noqa: BLE001 - the caller makes a fault of whatever comes
        return
    assert findings.faults or findings.dangerous


def test_a_bomb_is_stopped() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    with pytest.raises(ScanStoppedError, match="too large"):
        FileScan(picklescan.scanner, budget(unpacked_bytes=10_000_000), Findings()).scan(io.BytesIO(bomb), "x")
    with pytest.raises(ScanStoppedError, match="too long"):
        FileScan(picklescan.scanner, budget(seconds=-1), Findings()).scan(io.BytesIO(bomb), "x")


def test_lengths_in_a_file_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_contents, "LARGEST_PICKLE_BYTES", 1_000_000)
    for body in (b"c" + b"x" * 2_000_000, b"B\xff\xff\xff\x7f" + bytes(2_000_000), pickle.dumps(bytes(2_000_000))):
        with pytest.raises(ScanStoppedError, match="more pickled bytes"):
            scan(body)


def test_a_pickle_with_too_many_opcodes_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_opcodes, "MOST_OPCODES", 1_000)
    assert "more than 1,000 opcodes" in scan(pickle.dumps(list(range(2_000)))).faults[0]
    monkeypatch.setattr(pickle_opcodes, "MOST_PICKLES", 10)
    assert "more than 10 pickles" in scan(b"N." * 20).faults[0]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    create_registry(str(tmp_path / "registry"), identity="ada@example.org")
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


def gate(registry: Registry, *, scan: bool = True) -> GateResult:
    set_policy(registry.session, CHAT, parse_policy_toml("[[gate]]\npickle_scan = true", what="p"))
    head = load_existing_head(registry.session, CHAT)
    row = load_row(registry.session, head, head.next_version - 1)
    (result,) = check_version_gates(registry.session, head, row, alias=None, scan=scan)
    return result


def test_every_file_that_may_hold_pickles_is_scanned(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, a__safetensors=EVIL, b__unknown=EVIL, c__PT=HARMLESS, config__json=b"{}", noending=EVIL)
    found = report(registry)
    assert {file.path: bool(file.dangerous) for file in found.files} == {
        "b.unknown": True,
        "c.PT": False,
        "noending": True,
    }
    assert gate(registry).reason == "b.unknown: imports posix.system; noending: imports posix.system"


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


def test_a_missing_scanner_clears_nothing_but_what_has_no_pickles(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picklescan.scanner", None)
    publish(registry, tmp_path, a__safetensors=b"x")
    assert gate(registry).passed
    publish(registry, tmp_path, a__pkl=HARMLESS)
    result = gate(registry)
    assert (result.passed, result.reason) == (False, "picklescan is not installed: pip install bucketry[scan]")
    monkeypatch.undo()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    assert gate(registry).passed


def test_a_scanner_that_fails_clears_nothing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(picklescan.scanner, "scan_pickle_bytes", fail)
    publish(registry, tmp_path, a__pkl=HARMLESS)
    assert gate(registry).reason == "a.pkl: the scan failed with RecursionError"


def test_a_version_is_scanned_once_in_a_session(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, tmp_path, a__pkl=HARMLESS)
    assert "not scanned for this list" in gate(registry, scan=False).reason
    assert gate(registry).passed
    monkeypatch.setattr(pickle_scan, "scan_pickles", None)
    assert gate(registry).passed
    assert gate(registry, scan=False).passed


def test_a_scan_says_nothing_by_itself(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, a__pkl=EVIL)
    program = (
        "import sys; from bucketry.registry.client import open_registry\n"
        "from bucketry.registry.pickle_scan import scan_pickles\n"
        "with open_registry(sys.argv[1]) as r:\n"
        "    assert scan_pickles(r.session, r.resolve('acme/chat:1')).files[0].dangerous\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "registry")]
    source = str(pickle_scan.__file__).rpartition("/bucketry/")[0]
    done = subprocess.run(
        command, capture_output=True, env=os.environ | {"PYTHONPATH": source}, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
