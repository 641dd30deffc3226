"""Is a version's card found, whole and as it was published?"""

from __future__ import annotations

import pytest

from bucketry.errors import CorruptError
from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading import cards
from bucketry.registry.reading.cards import find_card
from bucketry.schema import keys
from bucketry.schema.names import ByVersion, Reference
from bucketry.store.contract import Entry
from tui.desk import RISK, Registry, empty_registry
from tui.model_files import publish_files


@pytest.fixture
def registry() -> Registry:
    return empty_registry()


def card(registry: Registry, version: int) -> cards.Card | None:
    session = registry.session()
    return find_card(session, resolve(session, Reference(RISK, ByVersion(version))))


def test_the_card_is_the_file_that_the_manifest_names(registry: Registry) -> None:
    files = {"README.md": b"# not this", "docs/card.md": "# naïve".encode()}
    version = publish_files(registry, files, card="docs/card.md")
    assert card(registry, version) == cards.Card("docs/card.md", "# naïve".encode())


def test_a_version_without_a_card_has_none(registry: Registry) -> None:
    assert card(registry, publish_files(registry, {"README.md": b"# a file"})) is None


def test_bytes_that_are_no_text_are_replaced(registry: Registry) -> None:
    found = card(registry, publish_files(registry, {"c.md": b"a\xff\xfeb"}, card="c.md"))
    assert found is not None
    assert found.text == "a\ufffd\ufffdb"


def test_a_very_long_card_is_cut_and_says_so(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "LARGEST_CARD_BYTES", 10)
    version = publish_files(registry, {"c.md": b"0123456789abc"}, card="c.md")
    assert card(registry, version) == cards.Card("c.md", b"0123456789", is_cut=True)


def test_a_card_that_was_changed_in_the_bucket_is_not_shown(registry: Registry) -> None:
    version = publish_files(registry, {"c.md": b"the truth"}, card="c.md")
    store = registry.store
    key = next(entry.key for entry in store.list(keys.BLOBS) if isinstance(entry, Entry))
    store.delete(key)
    store.put_blob(key, memoryview(b"all lies!"))
    with pytest.raises(CorruptError):
        card(registry, version)
