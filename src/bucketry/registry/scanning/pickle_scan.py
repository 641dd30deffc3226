"""Finds code in the files of a version that would run when they are loaded.

Pickles are followed, never loaded. Every file counts, whatever its name; archives and compressed files are looked into.
What cannot be looked at to its end, for whatever reason, counts as unsafe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.reading.seekable_files import VerifiedFile
from bucketry.registry.scanning.pickle_contents import Budget, CodeFindings, FileScan, ScanStoppedError
from bucketry.schema.judging.gate_checks import ScannedFile, ScanReport

if TYPE_CHECKING:
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Artifact

MOST_SECONDS = 600.0
MOST_READ_BYTES = 64 * 1024 * 1024 * 1024
"""Of one version, from the store; a file of PyTorch's present format is read in part."""
MOST_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
LONGEST_IMPORT = 120
MOST_IMPORTS_KEPT = 100


def scan_pickles(session: Session, resolved: ResolvedVersion) -> ScanReport:
    """Return what is in every file of a version. Raises only what reading the files raises."""
    budget = Budget(
        session.clock.monotonic_seconds,
        session.clock.monotonic_seconds() + MOST_SECONDS,
        MOST_READ_BYTES,
        MOST_UNPACKED_BYTES,
    )
    return ScanReport(tuple(_scan_one(session, resolved, artifact, budget) for artifact in resolved.manifest.artifacts))


def _scan_one(session: Session, resolved: ResolvedVersion, artifact: Artifact, budget: Budget) -> ScannedFile:
    findings = CodeFindings()
    try:
        with open_artifact(session, resolved, artifact.path) as reader:
            file = VerifiedFile(reader, budget.spend_read).buffered()
            FileScan(budget, findings).scan(file, artifact.path)
    except ScanStoppedError as stopped:
        findings.faults.append(str(stopped))
    except BucketryError:
        raise
    except Exception as error:  # noqa: BLE001 - a scan that fails, however it does, has cleared nothing
        findings.faults.append(f"the scan failed with {type(error).__name__}")
    return ScannedFile(
        artifact.path,
        dangerous=_bounded(findings.dangerous),
        suspicious=_bounded(findings.suspicious),
        fault="; ".join(findings.faults[:3]),
        holds_code=findings.scanned > 0,
    )


def _bounded(imports: set[str]) -> tuple[str, ...]:
    return tuple(name[:LONGEST_IMPORT] for name in sorted(imports)[:MOST_IMPORTS_KEPT])
