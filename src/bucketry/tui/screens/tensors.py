"""The tensors in one file of a version, as its header says."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading.tensors import list_tensors
from bucketry.schema.names import ByVersion, Reference
from bucketry.show.figures import size_text
from bucketry.show.spans import Line, Span, line
from bucketry.show.tables import Column
from bucketry.tui.data.source import Listing
from bucketry.tui.drawing.table import ListRows
from bucketry.tui.screens.listing import FINDING, MOVING, ListView

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from bucketry.index.views import VersionLine
    from bucketry.registry.reading.tensors import TensorEntry
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.tui.data.source import ListSelection
    from bucketry.tui.shell.commands import Command
    from bucketry.tui.shell.view import Shell

LEAST_NAME_COLUMNS, MOST_NAME_COLUMNS = 24, 42
_ORDERS: dict[str, Callable[[TensorEntry], object]] = {
    "name": lambda entry: entry.name,
    "dtype": lambda entry: entry.dtype,
    "shape": lambda entry: entry.shape,
    "size": lambda entry: entry.size_bytes,
}


class TensorsView(ListView["TensorEntry"]):
    """The tensors of one file, in the order of their bytes unless they are sorted."""

    CALLED = "the tensors of a file (enter on one)"

    COMMANDS: ClassVar[tuple[Command[TensorsView], ...]] = (*FINDING, *MOVING)

    def __init__(self, shell: Shell, row: VersionLine, artifact: Artifact) -> None:
        self.row = row
        self.artifact = artifact
        self._entries: tuple[TensorEntry, ...] | None = None
        super().__init__(shell)  # which asks for the columns

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return (str(self.row.model), f"v{self.row.version}", self.artifact.path)

    def columns(self) -> Sequence[Column[TensorEntry]]:
        """Return the columns; the names of tensors differ at their ends, so they are cut last."""
        longest = max((len(entry.name) for entry in self._entries or ()), default=0)
        least = max(LEAST_NAME_COLUMNS, min(longest, MOST_NAME_COLUMNS))
        return (
            Column("name", "TENSOR", lambda entry: entry.name, least, max(least, longest)),
            Column("dtype", "DTYPE", lambda entry: entry.dtype, 7),
            Column("shape", "SHAPE", _shape, 14, 30),
            Column("size", "SIZE", lambda entry: size_text(entry.size_bytes), 8, right=True),
            Column(
                "bytes",
                "BYTES OF THE FILE",
                lambda entry: f"{entry.start:,}-{entry.stop:,}",
                17,
                31,
                right=True,
                rank=1,
                sortable=False,
            ),
        )

    def key_of(self, row: TensorEntry) -> Hashable:
        """Return the tensor's name, which is its own in a file."""
        return row.name

    def fetch(self, wanted: ListSelection) -> Listing[TensorEntry]:
        """Return the tensors whose name, type or shape has every word."""
        entries = self._entries or ()
        words = wanted.filter.lower().split()
        said = ((entry, f"{entry.name} {entry.dtype} {_shape(entry)}".lower()) for entry in entries)
        found = [entry for entry, text in said if all(word in text for word in words)]
        if wanted.order in _ORDERS:
            found.sort(key=_ORDERS[wanted.order], reverse=wanted.descending)  # type: ignore[arg-type]
        return Listing(ListRows(found, self.key_of), len(entries))

    def open_row(self, row: TensorEntry) -> None:
        """Say all of one tensor that its columns may cut."""
        self.shell.flash(f"{row.name}  {row.dtype} {_shape(row)}  {row.size_bytes:,} bytes")

    def empty_lines(self) -> Sequence[Line]:
        """Return why there is nothing."""
        return (line(f"{self.artifact.path} has no tensors."), line("h goes back."))

    def reload(self) -> None:
        """Read the file's header, once; then list what it says."""
        if self._entries is not None:
            super().reload()
            return
        reference, path = Reference(self.row.model, ByVersion(self.row.version)), self.artifact.path

        def done(entries: tuple[TensorEntry, ...]) -> None:
            self._entries = entries
            self.reload()

        self.shell.read(
            f"tensors-{id(self)}",
            ("tensors", str(reference)),
            lambda session: list_tensors(session, resolve(session, reference), path=path),
            done,
            self._fail,
        )

    def data_changed(self) -> None:
        """Try again what failed; what was read stays, as a version's files never change."""
        if self._entries is None:
            self.reload()

    def _loading_lines(self) -> Sequence[Line]:
        return (line(), line(Span(f"  Reading the header of {self.artifact.path} ...", "dim")))


def _shape(entry: TensorEntry) -> str:
    return " x ".join(str(size) for size in entry.shape) or "scalar"
