"""Lists the tensors of a version, and reads one of them without the rest.

From the headers of its `.safetensors` files alone: two small reads of each. A header, and the bytes of a tensor at the
edges of a range, seldom fill whole chunks, and only whole chunks can be verified; whoever wants every byte verified
asks for it, and the chunks around are then read whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError, NotFoundError, UnsupportedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.reading.safetensors_header import BITS, LENGTH_BYTES, parse_header, parse_length
from bucketry.registry.review.refusals import version_to_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from numpy.typing import NDArray

    from bucketry.registry.core.artifacts import ArtifactReader
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.schema.names import Digest

SUFFIX = ".safetensors"
MOST_TENSORS = 1_000_000
FILES_AT_ONCE = 256
NUMPY_TYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
    "C64": "<c8",
    # NumPy has no such floats: these are their bits.
    "BF16": "<u2",
    "F8_E5M2": "u1",
    "F8_E4M3": "u1",
    "F8_E8M0": "u1",
    "F8_E4M3FNUZ": "u1",
    "F8_E5M2FNUZ": "u1",
}


@frozen
class TensorEntry:
    """One tensor of a version: bytes `start:stop` of the file at `path`, whose SHA-256 is `sha256`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: str
    start: int
    stop: int
    sha256: Digest

    @property
    def size_bytes(self) -> int:
        """How many bytes it takes in the file."""
        return self.stop - self.start


def list_tensors(
    session: Session,
    resolved: ResolvedVersion,
    *,
    path: str | None = None,
    verified: bool = False,
    allow_rejected: bool = False,
) -> tuple[TensorEntry, ...]:
    """Return the tensors of all `.safetensors` files, in the files' order and then in that of their bytes.

    With `path`, only those of that file.

    With `verified`, the chunks that the headers lie in are read whole and verified. Raises `NotFoundError` for a
    version without such files, `CorruptError` for a header that contradicts itself or its file, `RejectedError` where
    an alias named a version that was refused, unless `allow_rejected`.
    """
    resolved = version_to_read(resolved, allow_rejected=allow_rejected)
    files = [
        artifact
        for artifact in resolved.manifest.artifacts
        if artifact.path.endswith(SUFFIX) and path in {None, artifact.path}
    ]
    if not files:
        raise NotFoundError(
            f"{resolved.model}:{resolved.version} has no {SUFFIX} file",
            advice=f"see its files with `bucketry show {resolved.model}:{resolved.version}`",
        )
    found: list[TensorEntry] = []
    # In groups, so that files that claim too many tensors are noticed before all are read.
    for start in range(0, len(files), FILES_AT_ONCE):
        batch = files[start : start + FILES_AT_ONCE]
        read = session.map_in_parallel(lambda file: _read_entries(session, resolved, file, verified=verified), batch)
        for entries in read:
            found += entries
            if len(found) > MOST_TENSORS:
                raise UnsupportedError(
                    f"{resolved.model}:{resolved.version} has more than {MOST_TENSORS:,} tensors",
                    advice="pull the files, and read them here",
                )
    return tuple(found)


def read_tensor(
    session: Session,
    resolved: ResolvedVersion,
    tensor: str | TensorEntry,
    *,
    rows: slice | None = None,
    verified: bool = False,
    allow_rejected: bool = False,
) -> NDArray[Any]:
    """Return a tensor, or some rows (along the first dimension) of it, as an array of its own.

    An entry of `list_tensors` costs no headers; a name is looked up in all of them. BF16 comes as `uint16` and the
    8-bit floats as `uint8`: their bits, which `array.view(ml_dtypes.bfloat16)` turns into numbers. Chunks that lie
    whole in what is read are verified; with `verified` all are, as those at the edges are read whole too. Raises
    `RejectedError` where an alias named a version that was refused, unless `allow_rejected`.
    """
    numpy = _import_numpy()
    resolved = version_to_read(resolved, allow_rejected=allow_rejected)
    entry = tensor if isinstance(tensor, TensorEntry) else _find(session, resolved, tensor, verified=verified)
    if resolved.artifact(entry.path).sha256 != entry.sha256:
        raise UsageError(
            f"the tensor {entry.name!a} was listed for another version", advice="list the tensors of this version"
        )
    if entry.dtype not in NUMPY_TYPES:
        raise UnsupportedError(
            f"NumPy has no array of {entry.dtype}, as which the tensor {entry.name!a} is stored",
            advice=f"read the bytes {entry.start} to {entry.stop} of {entry.path} with `Reader.open`",
        )
    start, stop, shape = _select(entry, rows)
    content = numpy.empty(stop - start, dtype=numpy.uint8)
    with open_artifact(session, resolved, entry.path) as file:
        target = memoryview(content)
        position = 0
        for piece in _iter_range(file, start, stop, verified=verified):
            target[position : position + len(piece)] = piece
            position += len(piece)
    try:
        array: NDArray[Any] = content.view(NUMPY_TYPES[entry.dtype]).reshape(shape)
    except (ValueError, OverflowError) as error:  # more dimensions than it has, or an empty tensor of a vast shape
        raise UnsupportedError(f"NumPy has no array of the shape of {entry.name!a}: {error}") from error
    return array


def _read_entries(
    session: Session, resolved: ResolvedVersion, artifact: Artifact, *, verified: bool
) -> list[TensorEntry]:
    what, file_bytes = f"{artifact.path!a}", artifact.size_bytes
    with open_artifact(session, resolved, artifact.path) as file:
        prefix = file.read_range(0, min(LENGTH_BYTES, file_bytes))
        header_stop = LENGTH_BYTES + parse_length(prefix, file_bytes=file_bytes, what=what)
        if verified:
            # The length was only a hint until here: now it is read again, in a chunk that is verified.
            beginning = b"".join(_iter_range(file, 0, header_stop, verified=True))
            prefix, header = beginning[:LENGTH_BYTES], beginning[LENGTH_BYTES:]
            if parse_length(prefix, file_bytes=file_bytes, what=what) != len(header):
                raise CorruptError(f"the store sent two different lengths of the header of {what}")
        else:
            header = file.read_range(LENGTH_BYTES, header_stop)
    return [
        TensorEntry(one.name, one.dtype, one.shape, artifact.path, one.start, one.stop, artifact.sha256)
        for one in parse_header(header, file_bytes=file_bytes, what=what)
    ]


def _find(session: Session, resolved: ResolvedVersion, name: str, *, verified: bool) -> TensorEntry:
    found = [entry for entry in list_tensors(session, resolved, verified=verified) if entry.name == name]
    if not found:
        raise NotFoundError(
            f"{resolved.model}:{resolved.version} has no tensor {name!a}",
            advice=f"see its tensors with `bucketry tensors {resolved.model}:{resolved.version}`",
        )
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} files of {resolved.model}:{resolved.version} have a tensor {name!a}, "
            f"among them {found[0].path!a} and {found[1].path!a}",
            advice="list the tensors, and give the entry that is meant instead of the name",
        )
    return found[0]


def _select(entry: TensorEntry, rows: slice | None) -> tuple[int, int, tuple[int, ...]]:
    """Return where the wanted rows begin and end in the file, and their shape."""
    if rows is None:
        return entry.start, entry.stop, entry.shape
    if not entry.shape:
        raise UsageError(f"the tensor {entry.name!a} is a single number and has no rows", advice="read all of it")
    first, last, step = rows.indices(entry.shape[0])
    if step != 1:
        raise UsageError("rows are read without leaving any out", advice="read all between, and then take every nth")
    row_bytes = BITS[entry.dtype] // 8
    for count in entry.shape[1:]:
        row_bytes *= count
    last = max(first, last)
    return entry.start + first * row_bytes, entry.start + last * row_bytes, (last - first, *entry.shape[1:])


def _iter_range(file: ArtifactReader, start: int, stop: int, *, verified: bool) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a range; with `verified`, from chunks that are read whole."""
    if not verified or start == stop:
        yield from file.iter_bytes(start, stop)
        return
    chunk_bytes = file.artifact.chunks.size_bytes
    position = start // chunk_bytes * chunk_bytes
    for piece in file.iter_bytes(position, min(file.size_bytes, -(-stop // chunk_bytes) * chunk_bytes)):
        yield memoryview(piece)[max(0, start - position) : max(0, stop - position)]
        position += len(piece)


def _import_numpy() -> ModuleType:
    try:
        import numpy  # noqa: ICN001, PLC0415 - only arrays need it, and it takes long to load
    except ImportError as error:
        raise UnsupportedError(
            "NumPy is not installed, and a tensor is read as a NumPy array",
            advice="pip install bucketry[numpy]",
        ) from error
    return numpy
