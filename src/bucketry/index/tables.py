"""The tables of the local index. Changing them is changing `VERSION`: an index of another one is filled anew.

`models.etag` is the ETag of the head whose rows are here, all of them; it is empty while they are being read, so that
whoever is interrupted goes on. `versions.pending` says what is still to be read of a version: its manifest and its
dossier (2), its dossier (1), nothing (0). Metrics keep what was published (`published`, `measured_as`), so that later
evidence is folded in without reading the manifest again. `standings` is how a version's reviews stood when they were
read, and for which dossier, policies and state that holds (`basis`): with another one it is read again.
`metrics_by_value` has a metric's versions of each model in their order: a list is sorted by reading it.
`damaged` says why a head or an alias's register cannot be read, and is empty for one that can; of a model that nobody
here has read yet, nothing but that is known. `damages` says the same of versions: of their rows (`row`; such a version
has the state `damaged`, and nothing but its number), of their manifests and evidence (`details`), of their decisions
(`reviews`).
`versions_listed` has what the rows of a list are chosen and sorted by: a tenth of what whole rows would be to read.
"""

VERSION = 7
APPLICATION = 0x42_4B_49_58
"""`BKIX`, by which a SQLite file says whose it is."""

TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    etag TEXT NOT NULL,
    generation INTEGER NOT NULL,
    versions INTEGER NOT NULL,
    newest INTEGER,
    updated_at TEXT NOT NULL,
    description TEXT NOT NULL,
    labels TEXT NOT NULL,
    directory TEXT,
    policy TEXT,
    damaged TEXT NOT NULL DEFAULT ''
);

CREATE INDEX models_damaged ON models (damaged) WHERE damaged <> '';

CREATE TABLE pages (
    model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    page TEXT NOT NULL,
    PRIMARY KEY (model_id, first)
) WITHOUT ROWID;

CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    version INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    labels TEXT NOT NULL,
    metrics TEXT NOT NULL,
    base TEXT,
    dossier TEXT,
    created_us INTEGER NOT NULL,
    author TEXT NOT NULL,
    words TEXT NOT NULL,
    pending INTEGER NOT NULL,
    evidence TEXT NOT NULL DEFAULT '',
    published_notes TEXT NOT NULL DEFAULT '',
    notes TEXT NOT NULL DEFAULT '',
    UNIQUE (model_id, version)
);
CREATE INDEX versions_by_time ON versions (created_us);
CREATE INDEX versions_by_state ON versions (state, model_id);
CREATE INDEX versions_listed ON versions (model_id, version, state, size_bytes, created_us, author, words)
    WHERE state <> 'deleted';
CREATE INDEX versions_pending ON versions (created_us, id) WHERE pending > 0;

CREATE TABLE standings (
    version_id INTEGER PRIMARY KEY REFERENCES versions ON DELETE CASCADE,
    basis TEXT NOT NULL,
    approvals INTEGER NOT NULL,
    required INTEGER NOT NULL,
    refused_by TEXT,
    is_revoked INTEGER NOT NULL,
    has_ended INTEGER NOT NULL,
    ends_us INTEGER,
    lacks_evidence INTEGER NOT NULL,
    is_signed INTEGER NOT NULL
);

CREATE TABLE damages (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    part TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (version_id, part)
) WITHOUT ROWID;

CREATE TABLE labels (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (version_id, name, value)
) WITHOUT ROWID;
CREATE INDEX labels_by_name ON labels (name, value);

CREATE TABLE metrics (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    name TEXT NOT NULL,
    slice TEXT NOT NULL,
    value,
    published,
    measured_as TEXT,
    model_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (version_id, name, slice)
) WITHOUT ROWID;
CREATE INDEX metrics_by_value ON metrics (name, slice, model_id, value, version);

CREATE TABLE parameters (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    name TEXT NOT NULL,
    number,
    text TEXT NOT NULL,
    PRIMARY KEY (version_id, name)
) WITHOUT ROWID;
CREATE INDEX parameters_by_name ON parameters (name, number);

CREATE TABLE datasets (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (version_id, name)
) WITHOUT ROWID;

CREATE TABLE parents (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    relation TEXT NOT NULL,
    PRIMARY KEY (version_id, model, version, relation)
) WITHOUT ROWID;
CREATE INDEX parents_by_model ON parents (model, version);

CREATE TABLE aliases (
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    etag TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER,
    manifest TEXT,
    before INTEGER,
    protected INTEGER NOT NULL,
    moved_at TEXT NOT NULL,
    moved_by TEXT NOT NULL,
    damaged TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (model, alias)
) WITHOUT ROWID;
CREATE INDEX aliases_damaged ON aliases (damaged) WHERE damaged <> '';
CREATE INDEX aliases_by_version ON aliases (model, version);
"""
