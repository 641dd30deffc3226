"""Which files does an engine need, and which of several sets of weights?"""

from __future__ import annotations

import pytest

from bucketry.errors import UsageError
from bucketry.registry.serving.serving_files import choose_files
from bucketry.schema.documents.ready import MOST_PATTERNS, ServingSelection

DEFAULT = ServingSelection()


def test_what_only_training_needs_is_left_out() -> None:
    paths = (
        "config.json",
        "model.safetensors",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state_0.pth",
        "training_args.bin",
        "trainer_state.json",
        "checkpoint-500/model.safetensors",
        "global_step100/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
        "runs/today/events.out.tfevents.1",
        "tokenizer.json",
    )
    assert choose_files(paths, DEFAULT) == ("config.json", "model.safetensors", "tokenizer.json")


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        (("model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"), ("model.safetensors",)),
        (("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"), None),
        (("model.safetensors", "onnx/model.onnx", "openvino/openvino_model.bin"), ("model.safetensors",)),
        (("model-00001-of-00002.safetensors", "consolidated.safetensors"), ("model-00001-of-00002.safetensors",)),
        (("consolidated.safetensors", "params.json"), ("consolidated.safetensors", "params.json")),
        (("model.safetensors", "original/consolidated.00.pth"), ("model.safetensors",)),
        (("unet/a.safetensors", "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.bin"), None),
        (("first/1/model.onnx", "second/1/model.safetensors"), ("first/1/model.onnx", "second/1/model.safetensors")),
        (("model.onnx", "config.pbtxt", "labels.bin"), ("model.onnx", "config.pbtxt", "labels.bin")),
    ],
)
def test_one_set_of_weights_is_kept_the_best_in_a_folder_and_those_above(
    paths: tuple[str, ...], kept: tuple[str, ...] | None
) -> None:
    expected = {
        "pytorch_model.bin": ("pytorch_model.bin", "pytorch_model.bin.index.json"),
        "unet/a.safetensors": ("unet/a.safetensors", "vae/diffusion_pytorch_model.bin"),
    }
    assert choose_files(paths, DEFAULT) == (kept or expected[paths[0]])


def test_what_is_asked_for_by_name_comes_whatever_it_is() -> None:
    paths = ("model.safetensors", "onnx/model.onnx", "optimizer.pt")
    assert choose_files(paths, ServingSelection(include=("onnx/*", "optimizer.pt"))) == (
        "onnx/model.onnx",
        "optimizer.pt",
    )
    assert choose_files(paths, ServingSelection(exclude=("*.safetensors",))) == ()
    assert choose_files(paths, ServingSelection(("*",), ("*.pt",))) == ("model.safetensors", "onnx/model.onnx")


def test_a_selection_has_a_name_in_which_order_says_nothing() -> None:
    assert DEFAULT.name == ""
    name = ServingSelection(("a", "b")).name
    assert len(name) == 16
    assert name == ServingSelection(("b", "a", "a")).name
    assert name != ServingSelection((), ("a", "b")).name
    with pytest.raises(UsageError, match="at most 64 patterns"):
        ServingSelection(tuple(str(number) for number in range(MOST_PATTERNS + 1)))
