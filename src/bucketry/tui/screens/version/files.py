"""The files of a version; enter on one with tensors lists them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.reading.tensors import SUFFIX
from bucketry.show.figures import count_of, size_text
from bucketry.show.spans import Line, Span, line
from bucketry.show.tables import TextColumn, text_table
from bucketry.tui.screens.version.tab import TabContent, TabRequest
from bucketry.tui.shell.places import TensorsPlace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.index.views import VersionLine
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.tui.shell.view import Shell

SHORT_DIGEST, WHOLE_DIGEST = 12, 64
WHOLE_DIGEST_FROM_COLUMNS = 120


def load_files(request: TabRequest) -> TabContent:
    """Return the files in the manifest's order; costs the manifest, unless it was read before."""
    manifest = load_manifest(request.session, request.row.model, request.row.manifest)
    artifacts = manifest.artifacts
    if not artifacts:
        return TabContent((line("This version has no files: it was published for its records alone."),))
    with_tensors = sum(artifact.path.endswith(SUFFIX) for artifact in artifacts)
    lines: list[Line] = [_summary(manifest.size_bytes, len(artifacts), with_tensors), line()]
    rows = [_cells(artifact, manifest.card, _digits(request.width)) for artifact in artifacts]
    table = text_table(_headings(request.width), rows, request.page)
    first = len(lines) + 1
    links = {first + place: _opens(request.row, artifact) for place, artifact in enumerate(artifacts)}
    return TabContent((*lines, *table), links)


def _headings(width: int) -> tuple[TextColumn, ...]:
    return (
        TextColumn("PATH", 24, 120),
        TextColumn("SIZE", 8, 8, right=True),
        TextColumn("CHUNKS", 6, 6, right=True, rank=1),
        TextColumn("MEDIA TYPE", 10, 40, rank=2),
        TextColumn("SHA-256", SHORT_DIGEST, _digits(width)),
    )


def _digits(width: int) -> int:
    return WHOLE_DIGEST if width >= WHOLE_DIGEST_FROM_COLUMNS else SHORT_DIGEST


def _summary(size_bytes: int, count: int, with_tensors: int) -> Line:
    said = f"{size_text(size_bytes)} in {count_of(count, 'file')}"
    opens = f"; enter on a {SUFFIX} file lists its tensors" if with_tensors else "; enter shows the whole digest"
    return line(Span(said, "strong"), Span(opens, "dim"))


def _cells(artifact: Artifact, card: str | None, digits: int) -> tuple[Span, ...]:
    return (
        Span(artifact.path, "accent" if artifact.path == card else "plain"),
        Span(size_text(artifact.size_bytes)),
        Span(f"{len(artifact.chunks.sha256):,}"),
        Span(artifact.media_type, "dim"),
        Span(artifact.sha256[:digits], "dim"),
    )


def _opens(row: VersionLine, artifact: Artifact) -> Callable[[Shell], None]:
    return partial(_open_tensors if artifact.path.endswith(SUFFIX) else _tell, row=row, artifact=artifact)


def _open_tensors(shell: Shell, *, row: VersionLine, artifact: Artifact) -> None:
    shell.go(TensorsPlace(row, artifact))


def _tell(shell: Shell, *, row: VersionLine, artifact: Artifact) -> None:  # noqa: ARG001 - as its neighbour
    shell.flash(f"sha256:{artifact.sha256}  {artifact.path}  {artifact.size_bytes:,} bytes")
