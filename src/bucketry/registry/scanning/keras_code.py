"""Finds code that a Keras model carries, or imports that it should not make, when it is loaded.

A model's layers are written as JSON: a file of its own, a member of a `.keras` archive, or a text inside of an HDF5
file. A `Lambda` layer is a marshalled Python function; any other entry names a class and its module.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from bucketry.registry.scanning.pickle_imports import Safety, safety_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST_JSON_BYTES = 32 * 1024 * 1024
MOST_NODES = 5_000_000
HDF5 = b"\x89HDF\r\n\x1a\n"
LAMBDA = "keras.layers.Lambda"
_OVERLAP_BYTES = 256
_LAMBDA = re.compile(rb'\\*"class_name\\*"\s*:\s*\\*"(?:[^"\\]{0,100}>)?Lambda\\*"')
_HIDDEN = re.compile(rb'\\*"class_name\\*"\s*:\s*\\*"[^"]{0,100}\\u00')
_TABLES = re.compile(rb"PYTABLES_FORMAT_VERSION")
_KERAS = re.compile(r"(keras|tf_keras|keras_hub|keras_nlp|keras_cv|tensorflow)(\..*)?")


def code_in_json(body: bytes) -> dict[str, Safety]:
    """Return the classes that a model's JSON names besides those of Keras; nothing for JSON of another kind."""
    if b"class_name" not in body and b"\\u00" not in body:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, Safety] = {}
    for entry in _entries(document):
        module, name = entry.get("module"), entry["class_name"]
        if name == "Lambda" or (isinstance(name, str) and name.endswith(">Lambda")):
            found[LAMBDA] = Safety.DANGEROUS
        elif isinstance(module, str) and isinstance(name, str) and not _KERAS.fullmatch(module):
            place = entry.get("config") if name == "function" else name
            found[f"{module}.{place}"] = safety_of(module, str(place))
    return found


def faults_in_hdf5(pieces: Iterable[bytes]) -> tuple[dict[str, Safety], str]:
    """Return what an HDF5 file's texts name, and why it may hold what is not looked at, if it does."""
    found: dict[str, Safety] = {}
    fault, before = "", b""
    for piece in pieces:
        text = before + piece
        if _LAMBDA.search(text):
            found[LAMBDA] = Safety.DANGEROUS
        if _HIDDEN.search(text):
            fault = "it hides the classes of its layers"
        if _TABLES.search(text):
            fault = "PyTables keeps pickles in its attributes, and they are not looked at"
        before = text[-_OVERLAP_BYTES:]
    return found, fault


def _entries(document: object) -> Iterator[dict[str, object]]:
    pending = [document]
    for _ in range(MOST_NODES):
        if not pending:
            return
        node = pending.pop()
        if isinstance(node, dict):
            if "class_name" in node and "config" in node:
                yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node
