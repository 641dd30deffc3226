"""Lists the blobs of many models, each model's together, by one listing of all of them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING

from bucketry.schema import keys
from bucketry.schema.names import parse_model_name
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bucketry.schema.names import ModelName
    from bucketry.store.contract import Store


def iter_model_blobs(store: Store, glob: str = "") -> Iterator[tuple[ModelName, Iterable[Entry]]]:
    """Yield each model that has blobs, with their entries, which are to be read before the next model is asked for.

    With a glob only the models that it fits; raises `UsageError` for one that could fit none.
    """
    is_one = bool(glob) and not any(sign in glob for sign in "*?[")
    prefix = keys.blobs(parse_model_name(glob)) if is_one else keys.BLOBS
    entries = (entry for entry in store.list(prefix) if isinstance(entry, Entry))
    for folder, group in groupby(entries, lambda entry: keys.blobs_of_key(entry.key)):
        model = keys.find_model_of_blobs(folder)
        if model is not None and (is_one or not glob or fnmatchcase(str(model), glob)):
            yield model, group
