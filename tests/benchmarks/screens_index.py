"""How quickly does the local index answer what the screens ask it: filter, sort, and the lines of a card?

A process of its own, so that what it takes is not measured with the screens. Cache and configuration come from the
environment: `python -m benchmarks.screens_index build REGISTRY VERSIONS MODELS` makes a registry and fills the index,
`lend REGISTRY URL` gives that index to a registry at another place, `measure REGISTRY` prints JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.screens_estate import LARGE, build_estate, card_text
from bucketry.index.refresh import refresh_index
from bucketry.index.store import open_index
from bucketry.index.views import list_models_by, list_versions_by
from bucketry.registry.core.opening import open_session
from bucketry.tui.drawing.card_lines import card_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.index.store import Index

ROUNDS = 9
FILTERS = ("v486", "ci-3", "grace fraud", "!fraud", "state:approved", "auc>0.91", "label:team=fraud", "size>50GB")
ORDERS = ("version", "state", "size", "created", "author", "metric:auc")
MODEL_FILTERS = ("team-03", "alias:production", "state:approved", "auc>0.94")
MODEL_ORDERS = ("name", "newest", "waiting", "updated")
CARD_COLUMNS = 100


def main(arguments: Sequence[str]) -> int:
    """Do what the first argument says."""
    match arguments:
        case ["build", registry, versions, models]:
            build_estate(Path(registry), versions=int(versions), models=int(models))
            session = open_session(registry)
            with open_index(session) as index:
                refresh_index(index, session, details=False)
        case ["lend", registry, url]:
            with open_index(open_session(registry)) as mine, open_index(open_session(url, late=True)) as other:
                source, target = mine.path, other.path
            shutil.copyfile(source, target)
        case ["measure", registry]:
            with open_index(open_session(registry)) as index:
                card = card_text()
                found = {**_listing(index), "card": _milliseconds(lambda: card_lines(card, CARD_COLUMNS))}
            sys.stdout.write(json.dumps(found))
        case _:
            raise SystemExit(__doc__)
    return 0


def _listing(index: Index) -> dict[str, dict[str, float]]:
    versions, models = partial(list_versions_by, index, LARGE), partial(list_models_by, index)
    return {
        "filter": {text: _milliseconds(partial(versions, query=text)) for text in FILTERS},
        "sort": {
            f"{order} {'down' if down else 'up'}": _milliseconds(partial(versions, order=order, descending=down))
            for order in ORDERS
            for down in (True, False)
        },
        "filter models": {text: _milliseconds(partial(models, query=text)) for text in MODEL_FILTERS},
        "sort models": {order: _milliseconds(partial(models, order=order)) for order in MODEL_ORDERS},
    }


def _milliseconds(ask: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began_at = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began_at) * 1000)
    return round(median(took), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
