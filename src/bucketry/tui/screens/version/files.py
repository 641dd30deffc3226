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
    from bucketry.index.views import VersionLine
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.tui.shell.view import Shell

SHORT_DIGEST, WHOLE_DIGEST = 12, 64
WHOLE_DIGEST_FROM_COLUMNS = 120


def load_files(request: TabRequest) -> TabContent:
    """Return the files in the manifest's order; costs the manifest, unless it was read before."""
    row = request.row
    manifest = load_manifest(request.session, row.model, row.manifest)
    artifacts = manifest.artifacts
    if not artifacts:
        return TabContent((line("This version has no files: it was published for its records alone."),))
    digits = WHOLE_DIGEST if request.width >= WHOLE_DIGEST_FROM_COLUMNS else SHORT_DIGEST
    headings = (
        TextColumn("PATH", 24, 120),
        TextColumn("SIZE", 8, 8, right=True),
        TextColumn("CHUNKS", 6, 6, right=True, rank=1),
        TextColumn("MEDIA TYPE", 10, 40, rank=2),
        TextColumn("SHA-256", SHORT_DIGEST, digits),
    )
    cells = [
        (
            Span(artifact.path, "accent" if artifact.path == manifest.card else "plain"),
            Span(size_text(artifact.size_bytes)),
            Span(f"{len(artifact.chunks.sha256):,}"),
            Span(artifact.media_type, "dim"),
            Span(artifact.sha256[:digits], "dim"),
        )
        for artifact in artifacts
    ]
    has_tensors = any(artifact.path.endswith(SUFFIX) for artifact in artifacts)
    opens = f"enter on a {SUFFIX} file lists its tensors" if has_tensors else "enter shows the whole digest"
    said = f"{size_text(manifest.size_bytes)} in {count_of(len(artifacts), 'file')}"
    lines: list[Line] = [line(Span(said, "strong"), Span(f"; {opens}", "dim")), line()]
    links = {place: partial(_open, row, artifact) for place, artifact in enumerate(artifacts, len(lines) + 1)}
    return TabContent((*lines, *text_table(headings, cells, request.page)), links)


def _open(row: VersionLine, artifact: Artifact, shell: Shell) -> None:
    """Open the tensors of a file, or say all of one that has none."""
    if artifact.path.endswith(SUFFIX):
        shell.go(TensorsPlace(row, artifact))
    else:
        shell.flash(f"sha256:{artifact.sha256}  {artifact.path}  {artifact.size_bytes:,} bytes")
