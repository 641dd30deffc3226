"""Which files of a version does an engine need that serves it? Pure.

What only training needs is left out, and of weights that lie there in several formats all but one set: an engine that
loads a bucket by itself would load, or at least list, them all. A format gives way only to a better one in the same
folder or in one above, so that a pipeline whose parts have different formats keeps each.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bucketry.schema.documents.ready import ServingSelection

ONLY_FOR_TRAINING = (
    "optimizer*.bin",
    "optimizer*.pt",
    "optimizer*.pth",
    "optimizer*.safetensors",
    "scheduler.pt",
    "scaler.pt",
    "rng_state*.pth",
    "random_states*.pkl",
    "training_args.bin",
    "training_args.json",
    "trainer_state.json",
    "trainer_log.jsonl",
    "zero_to_fp32.py",
    "*_optim_states.pt",
    "events.out.tfevents.*",
)
"""By the name of a file, in any folder: what trainers of Hugging Face, DeepSpeed, Accelerate and PyTorch leave."""
FOLDERS_ONLY_FOR_TRAINING = ("checkpoint-*", "global_step*", "runs", "wandb", "mlruns", "original")
"""By the name of a folder: older states, logs, and the weights as their author had them before conversion."""
FORMATS: tuple[tuple[str, ...], ...] = (
    ("*.safetensors", "*.safetensors.index.json"),
    ("pytorch_model*.bin", "model*.bin", "adapter_model*.bin", "diffusion_pytorch_model*.bin", "*.bin.index.json"),
    ("*.pt", "*.pth", "*.ckpt"),
    ("*.gguf",),
    ("*.onnx", "*.onnx_data", "*.onnx.data"),
    ("openvino_model*.bin", "openvino_model*.xml"),
    ("*.h5", "*.h5.index.json"),
    ("*.msgpack", "*.msgpack.index.json"),
    ("*.ot",),
    ("*.tflite",),
)
"""Weights by the names of their files, the format that engines load best first."""
SECOND_SETS = ("consolidated*.safetensors",)
"""The same weights once more, beside those that are called `model*.safetensors`."""
FIRST_SETS = ("model*.safetensors",)


def choose_files(paths: Sequence[str], selection: ServingSelection) -> tuple[str, ...]:
    """Return which of a version's paths are served, in their order: what is needed, or what is asked for by name.

    Patterns match whole paths, as those of a pull: `*` also matches `/`.
    """
    chosen = paths if selection.include else _needed(paths)
    return tuple(
        path
        for path in chosen
        if (not selection.include or _matches(path, selection.include)) and not _matches(path, selection.exclude)
    )


def _needed(paths: Sequence[str]) -> list[str]:
    kept = [path for path in paths if not _is_only_for_training(path)]
    ranks = {path: _rank(path) for path in kept}
    best: dict[str, int] = {}
    for path, rank in ranks.items():
        if rank is not None:
            folder = path.rpartition("/")[0]
            best[folder] = min(rank, best.get(folder, rank))
    with_first = {path.rpartition("/")[0] for path in kept if _matches(_name(path), FIRST_SETS)}
    return [
        path
        for path, rank in ranks.items()
        if (rank is None or rank <= min(best.get(folder, rank) for folder in _folders(path)))
        and not (_matches(_name(path), SECOND_SETS) and path.rpartition("/")[0] in with_first)
    ]


def _is_only_for_training(path: str) -> bool:
    *folders, name = path.split("/")
    return _matches(name, ONLY_FOR_TRAINING) or any(_matches(one, FOLDERS_ONLY_FOR_TRAINING) for one in folders)


def _rank(path: str) -> int | None:
    """Return the place of a file's format among those of weights, or None for what is no weights."""
    name = _name(path)
    return next((rank for rank, patterns in enumerate(FORMATS) if _matches(name, patterns)), None)


def _folders(path: str) -> list[str]:
    """Return the folder of a path and all above it; that of the version itself is empty."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
