from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bucketry.errors import CorruptError, RejectedError
from bucketry.schema.codec import digest_of, encode
from bucketry.schema.documents.audit import NO_RECORD, Record, continue_trail
from bucketry.schema.documents.head import (
    LARGEST_DESCRIPTION_BYTES,
    LARGEST_HEAD_BYTES,
    LARGEST_ROW_BYTES,
    Head,
    Row,
    SealedPages,
    check_row,
    decode_head,
    encode_head,
    fit_metrics,
)
from bucketry.schema.documents.pages import (
    ROWS_KEPT,
    Directory,
    Page,
    PageEntry,
    PlacedRow,
    change_sealed_row,
    check_head_size,
    decode_directory,
    decode_page,
    encode_directory,
    encode_page,
    entry_of,
    needs_sealing,
    placed_row,
    read_placed_rows,
    seal,
)
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName
from examples import of_hundred

MODEL = ModelName("acme", "chat")
MANY_VERSIONS = 100_000


@dataclass
class Model:
    """A model in memory that is published to and changed as the service layer does it."""

    head: Head = field(default_factory=lambda: Head("registry", MODEL))
    bodies: dict[str, bytes] = field(default_factory=dict)
    expected: dict[int, Row] = field(default_factory=dict)
    row_bytes: int = 0
    head_bytes: int = 0

    @property
    def directory(self) -> Directory:
        digest = self.head.sealed.directory
        return decode_directory(self.bodies[digest], what="directory") if digest else Directory()

    def page(self, digest: str) -> Page:
        return decode_page(self.bodies[digest], what="page")

    def publish(self) -> None:
        row = make_row(self.head.next_version, row_bytes=self.row_bytes)
        self.expected[row.version] = row
        self.settle(replace(self.head, rows=(*self.head.rows, row), next_version=row.version + 1))

    def change(self, version: int, label: str) -> None:
        row = replace(self.expected[version], labels={"label": label})
        self.expected[version] = row
        if self.head.find_row(version):
            self.settle(replace(self.head, rows=self.head.with_row(row)))
            return
        entry = self.directory.find(version)
        assert entry is not None
        changed = change_sealed_row(self.head, self.directory, self.page(entry.page), row)
        self.keep(changed.bodies)
        self.settle(changed.head)

    def settle(self, head: Head) -> None:
        if needs_sealing(head):
            self.head = head
            change = seal(head, self.directory)
            self.keep(change.bodies)
            head = change.head
        self.head = with_record(head)
        self.head_bytes = len(encode_head(self.head))

    def keep(self, bodies: tuple[bytes, ...]) -> None:
        self.bodies |= {digest_of(body): body for body in bodies}

    def rows(self) -> list[Row]:
        sealed = [row for entry in self.directory.entries for row in self.page(entry.page).rows]
        return [*sealed, *self.head.rows]


def make_row(version: int, *, row_bytes: int = 0) -> Row:
    row = Row(
        version=version,
        manifest=Digest(hashlib.sha256(b"manifest %d" % version).hexdigest()),
        placement=((1, 3),),
        size_bytes=1_000_000 + version,
        created_at="2026-03-03T12:00:00.000Z",
        created_by="trainer@example.org",
        state=State.REGISTERED,
        metrics={"accuracy": 0.987654321},
        idempotency=hashlib.sha256(b"key %d" % version).hexdigest()[:32] if version % 3 else None,
    )
    if not row_bytes:
        return row
    dossier = Digest("d" * 64)
    filled = replace(row, dossier=dossier, labels={"l": ""})
    return replace(filled, labels={"l": "x" * (row_bytes - len(encode(filled.to_document())))})


def with_record(head: Head) -> Head:
    """Return the head with one more record, as large as a record can be."""
    record = Record(0, f"{head.generation + 1:032x}", "2026-03-03T12:00:00.000Z", "a" * 64, "publish", "1", NO_RECORD)
    record = continue_trail(head.trail, record)
    room = 400 - len(encode(replace(record, detail={"note": ""}).to_document()))
    trail, _ = head.trail.extended(replace(record, detail={"note": "n" * room}))
    return replace(head, trail=trail)


STEPS = st.lists(st.one_of(st.just(("publish", 0)), st.tuples(st.just("change"), st.integers(0, 10_000))), max_size=60)


@settings(max_examples=of_hundred(15))
@given(
    before=st.sampled_from([0, 60, 63, 64, 120, 127, 128, 190, 255]), steps=STEPS, row_bytes=st.sampled_from([0, 768])
)
def test_rows_in_are_rows_out_whatever_is_published_and_changed(
    before: int, steps: list[tuple[str, int]], row_bytes: int
) -> None:
    model = Model(row_bytes=row_bytes)
    for _ in range(before):
        model.publish()
    for number, (step, chosen) in enumerate(steps):
        if step == "publish" or not model.expected:
            model.publish()
        else:
            model.change(1 + chosen % len(model.expected), f"label {number}"[:4])
        assert model.head_bytes < LARGEST_HEAD_BYTES
    if model.expected:
        assert decode_head(encode_head(model.head), what="head") == model.head
    assert model.rows() == [model.expected[version] for version in sorted(model.expected)]
    assert len(model.head.rows) >= min(ROWS_KEPT, len(model.expected))
    for version in {1, 63, 64, 65, 128, 129, len(model.expected)} & set(model.expected):
        assert _find(model, version) == model.expected[version]


@pytest.mark.parametrize("row_bytes", [0, LARGEST_ROW_BYTES])
def test_the_head_stays_under_96_kib_with_the_largest_everything(row_bytes: int) -> None:
    model = Model(row_bytes=row_bytes)
    model.head = replace(
        model.head,
        description="é" * (LARGEST_DESCRIPTION_BYTES // 2),
        labels={"l": "x" * 2_000},
        aliases=tuple(AliasName(f"a{'b' * 60}{number:02d}") for number in range(64)),
    )
    for _ in range(200):
        model.publish()
        assert model.head_bytes < LARGEST_HEAD_BYTES
        assert len(model.head.rows) >= min(ROWS_KEPT, len(model.expected))
    assert model.rows() == list(model.expected.values())


def test_the_head_and_the_directory_hold_100_000_versions() -> None:
    model = Model()
    for _ in range(70):
        model.settle(model.head)  # fills the audit trail
    directory = Directory()
    for start in range(0, MANY_VERSIONS, 64):
        rows = tuple(make_row(version) for version in range(start + 1, min(start + 64, MANY_VERSIONS) + 1))
        unsealed = replace(
            model.head,
            rows=(*model.head.rows, *rows),
            next_version=rows[-1].version + 1,
            sealed=SealedPages(directory.entries[-1].last if directory.entries else 0, None),
        )
        if len(unsealed.rows) <= ROWS_KEPT:
            model.head = unsealed
            continue
        leaving = unsealed.rows[:-ROWS_KEPT]
        directory = Directory((*directory.entries, _sealed_entry(leaving)))
        model.head = replace(unsealed, rows=unsealed.rows[-ROWS_KEPT:])
    body = encode_directory(directory)
    model.head = replace(model.head, sealed=SealedPages(directory.entries[-1].last, digest_of(body)))
    assert model.head.next_version == MANY_VERSIONS + 1
    assert len(body) < 4 * 1024 * 1024
    assert decode_directory(body, what="directory") == directory
    assert len(encode_head(model.head)) < 64 * 1024
    assert decode_head(encode_head(model.head), what="head") == model.head
    for version in (1, 64, 65, 50_000, MANY_VERSIONS - 64):
        entry = directory.find(version)
        assert entry is not None
        assert entry.first <= version <= entry.last


def test_versions_manifests_and_keys_are_found_on_at_most_one_page_and_rarely_another() -> None:
    model = Model()
    for _ in range(450):
        model.publish()
    candidates = []
    for version in range(1, model.head.sealed.count + 1):
        row = make_row(version)
        entry = model.directory.find(version)
        assert entry is not None
        assert entry in model.directory.with_manifest(row.manifest)
        candidates.append(len(model.directory.with_manifest(row.manifest)))
        if row.idempotency:
            assert entry in model.directory.with_key(row.idempotency)
    assert sum(candidates) <= len(candidates) + 3
    assert model.directory.with_manifest(Digest("f" * 64)) == ()
    assert model.directory.with_key("f" * 32) == ()


def test_a_version_that_is_not_sealed_is_not_in_the_directory() -> None:
    model = Model()
    for _ in range(130):
        model.publish()
    assert model.head.sealed.count == 64
    assert model.directory.find(64) is not None
    assert model.directory.find(65) is None
    assert model.directory.find(0) is None
    with pytest.raises(CorruptError, match="version 65"):
        change_sealed_row(model.head, model.directory, Page(()), make_row(65))


def test_exactly_the_newest_64_stay_when_128_are_sealed() -> None:
    model = Model()
    for _ in range(127):
        model.publish()
    assert (model.head.sealed.count, len(model.head.rows)) == (0, 127)
    model.publish()
    assert (model.head.sealed.count, len(model.head.rows)) == (64, 64)


def test_a_head_of_96_kib_is_rejected() -> None:
    check_head_size(Head("registry", MODEL, extra={"filler": "x" * 90_000}))
    with pytest.raises(RejectedError, match="would take"):
        check_head_size(Head("registry", MODEL, extra={"filler": "x" * 96 * 1024}))


def test_64_rows_are_never_sealed() -> None:
    rows = tuple(make_row(version, row_bytes=LARGEST_ROW_BYTES) for version in range(1, 65))
    head = replace(Head("registry", MODEL), rows=rows, next_version=65, extra={"filler": "x" * 40_000})
    assert not needs_sealing(head)


def test_a_changed_sealed_row_over_its_limit_is_rejected() -> None:
    model = Model()
    for _ in range(130):
        model.publish()
    with pytest.raises(RejectedError, match="768"):
        model.change(1, "x" * 700)


def test_a_directory_with_a_gap_is_corrupt() -> None:
    model = Model()
    for _ in range(300):
        model.publish()
    entries = model.directory.entries
    body = encode_directory(Directory((entries[0], *entries[2:])))
    with pytest.raises(CorruptError, match="after version 64 is missing"):
        decode_directory(body, what="directory")


def test_a_row_over_768_bytes_is_rejected_counting_the_dossier_that_it_may_get() -> None:
    row = replace(make_row(1), labels={"l": ""})
    room = LARGEST_ROW_BYTES - len(encode(replace(row, dossier=Digest("0" * 64)).to_document()))
    check_row(replace(row, labels={"l": "x" * room}))
    with pytest.raises(RejectedError, match="would take 769 bytes"):
        check_row(replace(row, labels={"l": "x" * (room + 1)}))


@given(
    st.dictionaries(st.text(min_size=1, max_size=128), st.floats(allow_nan=False, allow_infinity=False), max_size=12)
)
def test_headline_metrics_always_fit_and_come_from_the_front(metrics: dict[str, float]) -> None:
    row = replace(make_row(10**15), metrics={}, base=f"{'n' * 96}/{'m' * 96}:7")
    kept = fit_metrics(row, metrics)
    assert list(kept.items()) == list(metrics.items())[: len(kept)]
    assert len(kept) <= 8
    check_row(replace(row, metrics=kept))


def _sealed_entry(rows: tuple[Row, ...]) -> PageEntry:
    return entry_of(rows, digest_of(encode_page(Page(rows))))


def _find(model: Model, version: int) -> Row | None:
    row = model.head.find_row(version)
    if row is not None:
        return row
    entry = model.directory.find(version)
    return model.page(entry.page).find_row(version) if entry else None


def test_what_a_walk_reads_of_rows_is_what_their_reader_finds() -> None:
    manifest, dossier = Digest("a" * 64), Digest("d" * 64)
    plain = Row(1, manifest, ((3, 2),), 3, "2026-03-03T12:00:00Z", "ada@example.org", dossier=dossier)
    runs = replace(plain, version=2, dossier=None, placement=((3, 2), (5, 1)), state=State.DELETED)
    for rows in ((plain,), (plain, runs)):
        body = encode_page(Page(rows))
        assert read_placed_rows(body, what="this") == [placed_row(each) for each in rows]
    assert placed_row(plain) == PlacedRow(1, plain.manifest, ((3, 2),), plain.state, plain.dossier)
    with pytest.raises(CorruptError):
        read_placed_rows(encode_page(Page((plain,))).replace(b'"version":1', b'"version":0'), what="this")
    with pytest.raises(CorruptError):
        read_placed_rows(encode_page(Page((plain,))).replace(b"[3,2]", b"[3,0]"), what="this")
