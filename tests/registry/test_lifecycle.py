from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import NotFoundError, RejectedError, UnsupportedError, UsageError
from bucketry.registry.core.opening import probe_store, record_conformance
from bucketry.registry.core.registers import load_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.core.session import Session
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.detail import load_detail
from bucketry.registry.versions.lifecycle import LabelEdit, edit_model, edit_version, retire, unretire
from bucketry.registry.versions.listing import iter_versions, list_models
from bucketry.schema.names import AliasName, ModelName, parse_reference
from bucketry.store.memory import MemoryStore
from simulation.actors import CHAT, PRODUCTION
from simulation.scenes import FEW, SEALED, begin, founder
from simulation.world import Bucket, SeededScript, World

if TYPE_CHECKING:
    from bucketry.schema.documents.head import Head


def opened(*, sealed: bool = False) -> Session:
    world = World(SeededScript(0))
    begin(world, SEALED if sealed else FEW)
    return founder(world.bucket)


@pytest.fixture
def session() -> Session:
    return opened()


@pytest.fixture(params=["in the head", "sealed"])
def either(request: pytest.FixtureRequest) -> Session:
    return opened(sealed=request.param == "sealed")


def test_a_version_is_retired_and_taken_back(either: Session) -> None:
    assert retire(either, CHAT, 3, reason="too slow").state == "retired"
    assert load_detail(founder_of(either), parse_reference("acme/chat:3")).row.state == "retired"
    assert unretire(either, CHAT, 3).state == "registered"
    assert load_detail(founder_of(either), parse_reference("acme/chat:3")).row.state == "registered"


def test_an_alias_goes_on_serving_a_retired_version(session: Session) -> None:
    promote(session, CHAT, 3, PRODUCTION)
    retire(session, CHAT, 3)
    assert resolve(session, parse_reference("acme/chat@production")).version == 3


def test_latest_is_not_a_retired_version(session: Session) -> None:
    retire(session, CHAT, 3)
    assert resolve(session, parse_reference("acme/chat@latest")).version == 2
    assert resolve(session, parse_reference("acme/chat")).version == 3


def test_what_is_not_retired_cannot_be_taken_back(session: Session) -> None:
    with pytest.raises(RejectedError, match="not retired"):
        unretire(session, CHAT, 3)


def test_notes_and_labels_of_a_version(either: Session) -> None:
    edit_version(either, CHAT, 2, notes="noted", labels=LabelEdit({"team": "search", "tier": "1"}))
    edit_version(either, CHAT, 2, labels=LabelEdit({"tier": "2"}, frozenset({"team"})))
    detail = load_detail(founder_of(either), parse_reference("acme/chat:2"))
    assert detail.dossier.notes == "noted"
    assert detail.row.labels == {"tier": "2"}
    others = [row for row in iter_versions(either, _head(either)) if row.version != 2]
    assert all(other.row and not other.row.labels and other.row.dossier is None for other in others)


def test_description_and_labels_of_a_model(session: Session) -> None:
    edit_model(session, CHAT, description="answers", labels=LabelEdit({"owner": "search"}))
    edit_model(session, CHAT, labels=LabelEdit({"tier": "1"}))
    head = _head(founder_of(session))
    assert (head.description, head.labels) == ("answers", {"owner": "search", "tier": "1"})


@pytest.mark.parametrize("text", ["d" * 2049, "é" * 1025])
def test_a_description_over_2_kib_is_refused(session: Session, text: str) -> None:
    with pytest.raises((RejectedError, UsageError), match="2,048"):
        edit_model(session, CHAT, description=text)
    assert _head(session).description == ""


def test_labels_over_their_limit_are_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="256"):
        edit_version(session, CHAT, 1, labels=LabelEdit({"a": "x" * 256}))
    with pytest.raises(UsageError, match="2,048"):
        edit_model(session, CHAT, labels=LabelEdit({"a": "x" * 2048}))


def test_notes_that_are_too_long_are_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="65,536"):
        edit_version(session, CHAT, 1, notes="x" * 65_537)


@pytest.mark.parametrize("version", [4, 2**53])
def test_a_version_that_does_not_exist_is_not_found(session: Session, version: int) -> None:
    with pytest.raises(NotFoundError, match=f"no version {version}"):
        retire(session, CHAT, version)


def test_a_model_that_does_not_exist_is_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError, match="no model"):
        edit_model(session, ModelName("acme", "nothing"), description="x")


def test_nothing_is_written_where_nobody_has_probed() -> None:
    bucket = opened().store
    assert isinstance(bucket, Bucket)

    class Elsewhere(Bucket):
        endpoint = "elsewhere"

    other = Elsewhere()
    other.restore(bucket.snapshot())
    session = founder(other)
    with pytest.raises(UnsupportedError, match="nobody has probed"):
        retire(session, CHAT, 1)
    record_conformance(founder(other), probe_store(Session(MemoryStore(), "ada@example.org")))
    assert retire(session, CHAT, 1).state == "retired"  # whoever was refused need not open the registry again


def test_a_list_of_models_shows_versions_and_aliases(session: Session) -> None:
    promote(session, CHAT, 1, AliasName("staging"))
    summaries = list_models(session)
    assert [(str(one.model), one.versions, one.newest) for one in summaries] == [
        ("acme/base", 2, 2),
        ("acme/chat", 3, 3),
    ]
    assert [register.alias for register in summaries[1].aliases] == ["production", "staging"]
    assert [str(one.model) for one in list_models(session, query="CHAT")] == ["acme/chat"]


def test_versions_are_listed_newest_first_over_sealed_pages() -> None:
    session = opened(sealed=True)
    versions = [summary.version for summary in iter_versions(session, _head(session))]
    assert versions == list(range(190, 0, -1))
    assert len(_head(session).rows) >= 64


def founder_of(session: Session) -> Session:
    """Return a session that has read nothing yet."""
    assert isinstance(session.store, Bucket)
    return founder(session.store)


def _head(session: Session) -> Head:
    head = load_head(session, CHAT).state
    assert head is not None
    return head
