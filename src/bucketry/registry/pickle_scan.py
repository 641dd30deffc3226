"""Do the files of a version hold pickles that would run code when they are loaded?

They are disassembled by picklescan, never loaded. Every file counts but those of formats that hold no pickles; archives
and compressed files are looked into. What cannot be scanned to its end, for whatever reason, counts as unsafe.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.registry.artifacts import open_artifact
from bucketry.registry.pickle_contents import Budget, FileScan, Findings, ScanStoppedError
from bucketry.registry.verified_file import VerifiedFile
from bucketry.schema.scans import ScannedFile, ScanReport

if TYPE_CHECKING:
    from types import ModuleType

    from bucketry.registry.resolve import ResolvedVersion
    from bucketry.registry.session import Session
    from bucketry.schema.manifest import Artifact

MOST_SECONDS = 600.0
MOST_READ_BYTES = 64 * 1024 * 1024 * 1024
"""Of one version, from the store; a file of PyTorch's present format is read in part."""
MOST_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
LONGEST_IMPORT = 120
MOST_IMPORTS_KEPT = 100
SCANNER = "picklescan"

# fmt: off
HOLD_NO_PICKLES = frozenset({
    "safetensors", "gguf", "onnx", "tflite", "h5", "hdf5", "parquet", "arrow", "proto", "vocab", "merges",
    "json", "jsonl", "yaml", "yml", "toml", "ini", "cfg", "csv", "tsv", "xml", "jinja", "lock",
    "txt", "md", "rst", "html", "css", "js", "py", "ipynb", "pdf", "sh", "log",
    "license", "notice", "readme", "dockerfile", "makefile", "gitattributes", "gitignore",
    "png", "jpg", "jpeg", "gif", "svg", "webp", "wav", "mp3", "mp4",
})
# fmt: on
"""Suffixes of files that no loader of these formats gives to a pickle module."""


def scan_pickles(session: Session, resolved: ResolvedVersion) -> ScanReport:
    """Return what is in every file of a version that could hold a pickle. Raises only what reading the files raises."""
    artifacts = [artifact for artifact in resolved.manifest.artifacts if _may_hold_pickles(artifact.path)]
    if not artifacts:
        return ScanReport(SCANNER)
    try:
        scanner = import_module("picklescan.scanner")
    except ImportError:
        return ScanReport(SCANNER, fault="picklescan is not installed: pip install bucketry[scan]")
    budget = Budget(
        session.ports.monotonic_seconds,
        session.ports.monotonic_seconds() + MOST_SECONDS,
        MOST_READ_BYTES,
        MOST_UNPACKED_BYTES,
    )
    return ScanReport(SCANNER, tuple(_scan_one(session, resolved, artifact, scanner, budget) for artifact in artifacts))


def _scan_one(
    session: Session,
    resolved: ResolvedVersion,
    artifact: Artifact,
    scanner: ModuleType,
    budget: Budget,
) -> ScannedFile:
    findings = Findings()
    try:
        with open_artifact(session, resolved, artifact.path) as reader:
            file = VerifiedFile(reader, budget.spend_read).buffered()
            FileScan(scanner, budget, findings).scan(file, artifact.path)
    except ScanStoppedError as stopped:
        findings.faults.append(str(stopped))
    except BucketryError:
        raise
    except Exception as error:  # noqa: BLE001 - a scanner that fails, however it does, has cleared nothing
        findings.faults.append(f"the scan failed with {type(error).__name__}")
    return ScannedFile(
        artifact.path,
        dangerous=_bounded(findings.dangerous),
        suspicious=_bounded(findings.suspicious),
        fault="; ".join(findings.faults[:3]),
    )


def _may_hold_pickles(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.rpartition(".")[2] not in HOLD_NO_PICKLES


def _bounded(imports: set[str]) -> tuple[str, ...]:
    return tuple(name[:LONGEST_IMPORT] for name in sorted(imports)[:MOST_IMPORTS_KEPT])
