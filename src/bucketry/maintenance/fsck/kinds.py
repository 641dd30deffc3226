"""The one table of what a check can find: how bad each kind is, what to do, and whether `fsck --repair` mends it.

The table of findings in `docs/operations.md` is made from it, and so are the tests that plant each kind. A new kind of
key in the bucket adds its rows here.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from bucketry.frozen import frozen

Grade = Literal["damage", "unfinished", "garbage"]
"""Damage is a state that no crash and no race can leave behind, and what cannot be read, so that nobody can say whether
it is right. Unfinished is a legal state that a crash left, and that a person must end: its remedy says what to run.
Garbage is a legal leftover that only takes room.
"""

RESTORE = "`bucketry fsck --repair --from MIRROR`, or restore it from the bucket's older versions"
MIRROR = "from a mirror"
BY_DIGEST = "from a mirror, if the digest is right"
ALIAS_RENEWED = "from the head and the decisions"
COPY_RENEWED = "from the register"
CONTRADICTION = "no: two documents differ, and nothing here says which of them is right"
PERSON = "no: a person decides"
BYTES = "no: it moves documents only; `bucketry mirror` and a new publish bring files"
NEVER = "no: it never removes anything"
ASK = "find out by `bucketry audit` and a mirror who wrote what, and restore the side that is wrong"
LEAVE = "nothing needs to be done: it only takes room"
REMOVE = "find out who put it there, and remove it by hand"


@frozen
class KindRow:
    """One row of the table; `remedy` may have fields in braces, which each finding fills in."""

    grade: Grade
    meaning: str
    remedy: str
    repair: str
    """From what `fsck --repair` mends it, or why it leaves it."""


class Kind(Enum):
    """Every kind of finding, the registers first."""

    REGISTER_LOST = KindRow("damage", "`registry.json`, a head, or an alias that was moved is missing", RESTORE, MIRROR)
    REGISTER_UNREADABLE = KindRow("damage", "a register cannot be read or decoded", RESTORE, MIRROR)
    REGISTER_FOREIGN = KindRow("damage", "a head or an alias says that it is of another registry", RESTORE, MIRROR)
    NEWER_FORMAT = KindRow(
        "damage",
        "a newer program wrote a document, which this one does not understand",
        "install a version of bucketry that reads it, and restore nothing over it",
        "no: it would take away what a newer program wrote",
    )
    HEAD_TOO_LARGE = KindRow(
        "damage",
        "a head is larger than any program writes it",
        "find out which program wrote it, and restore it",
        PERSON,
    )
    SEALED_RECORDS_LOST = KindRow(
        "damage",
        "a sealed block of audit records is missing or is another one",
        RESTORE,
        "from a mirror, if the record after it names it",
    )
    AUDIT_CHAIN_BROKEN = KindRow(
        "damage", "audit records do not follow from one another, or name nothing valid", ASK, CONTRADICTION
    )
    NOTE_LOST = KindRow(
        "damage", "the long reason that an audit record names is missing or altered", RESTORE, BY_DIGEST
    )
    READABLE_COPY_WRONG = KindRow(
        "damage",
        "in a folder, the file for people beside a register is missing or is not its copy",
        "the next commit of the register replaces the file",
        COPY_RENEWED,
    )
    READABLE_COPY_BEHIND = KindRow(
        "garbage",
        "in a folder, the file for people beside a register is an older copy",
        "the next commit of the register replaces the file",
        COPY_RENEWED,
    )
    REGISTRY_CONTRADICTION = KindRow("damage", "`registry.json` and its own audit records differ", ASK, CONTRADICTION)
    HEAD_CONTRADICTION = KindRow("damage", "a head and its own audit records differ", ASK, CONTRADICTION)

    # Versions

    ROW_CONTRADICTION = KindRow(
        "damage",
        "the row of a version and its manifest, evidence, decisions or audit records differ",
        ASK,
        CONTRADICTION,
    )
    DIRECTORY_LOST = KindRow(
        "damage",
        "the directory of the sealed versions is missing or altered",
        RESTORE,
        "from the pages that are there, or from a mirror, if the digest is right",
    )
    PAGE_LOST = KindRow("damage", "a page of sealed versions is missing or altered", RESTORE, BY_DIGEST)
    PAGE_CONTRADICTION = KindRow(
        "damage", "a page, its directory and the head count versions differently", ASK, CONTRADICTION
    )
    MANIFEST_LOST = KindRow(
        "damage", "the manifest of a version is missing, altered, or of another model", RESTORE, BY_DIGEST
    )
    PLACEMENT_WRONG = KindRow("damage", "a placement does not count the artifacts of its version", ASK, CONTRADICTION)
    BLOB_LOST = KindRow(
        "damage",
        "the bytes of a version's file are missing, or cannot be read",
        "restore them, or publish the same files again; who has them says `bucketry deployments`",
        BYTES,
    )
    BLOB_ALTERED = KindRow(
        "damage",
        "the bytes of a version's file are others, or a symbolic link",
        "keep them aside, find out who wrote them, and restore them",
        BYTES,
    )
    BASE_LOST = KindRow("damage", "the base of a live version is not there, or deleted", ASK, CONTRADICTION)
    BASE_NOT_PINNED = KindRow("damage", "nothing keeps the base of a live version from being deleted", ASK, PERSON)
    DOSSIER_LOST = KindRow(
        "damage", "the dossier of a version is missing, altered, or of another version", RESTORE, BY_DIGEST
    )
    DOSSIER_CONTRADICTION = KindRow(
        "damage", "a dossier does not cite, once each, what was committed", ASK, CONTRADICTION
    )
    EVIDENCE_LOST = KindRow("damage", "an evaluation that a dossier cites is missing or altered", RESTORE, BY_DIGEST)
    DECISION_LOST = KindRow("damage", "a decision that a dossier cites is missing or altered", RESTORE, BY_DIGEST)
    CITED_MISPLACED = KindRow(
        "damage", "what a dossier cites lies elsewhere, or is about something else", ASK, CONTRADICTION
    )
    POLICY_LOST = KindRow("damage", "a policy is missing, altered or cannot be read", RESTORE, BY_DIGEST)
    DELETION_UNFINISHED = KindRow(
        "unfinished",
        "a deletion was begun and not ended",
        "`bucketry delete {model}:{version}` finishes it, or takes it back if an alias names the version",
        PERSON,
    )

    # Aliases

    ALIAS_TARGET_LOST = KindRow(
        "damage",
        "an alias names a version that is not there, is deleted, or has another manifest",
        "`bucketry promote {model}:VERSION {alias}` moves it, once it is known who wrote it",
        PERSON,
    )
    ALIAS_NOT_IN_HEAD = KindRow(
        "damage", "an alias has a register, and its name is not in the head", ASK, CONTRADICTION
    )
    ALIAS_CONTRADICTION = KindRow(
        "damage", "an alias and its own audit records, or the decisions about its version, differ", ASK, CONTRADICTION
    )
    ALIAS_STATE_WRONG = KindRow(
        "damage",
        "the state that an alias repeats is not that of its version",
        "`bucketry promote {model}:{version} {alias}` renews it",
        ALIAS_RENEWED,
    )
    ALIAS_UNSET = KindRow(
        "unfinished",
        "a head names an alias that has no register: its first promotion did not end",
        "`bucketry promote {model}:VERSION {alias}` sets it",
        PERSON,
    )
    ALIAS_BEHIND = KindRow(
        "unfinished",
        "an alias does not carry the decisions about its version as they are",
        "`bucketry promote {model}:{version} {alias}` brings them",
        ALIAS_RENEWED,
    )
    REFUSAL_NOT_TOLD = KindRow(
        "unfinished",
        "an alias names a version that was refused, and does not carry the refusal",
        "`bucketry review {action} {model}:{version} --comment REASON` tells every alias",
        ALIAS_RENEWED,
    )

    # What belongs to nobody

    KEY_OF_NO_REGISTER = KindRow("damage", "a key where registers lie is that of none", REMOVE, NEVER)
    MODEL_WITHOUT_HEAD = KindRow(
        "damage",
        "aliases or sealed audit records are there, and no head of their model",
        "restore the head",
        "no: but the head is, which is named beside it",
    )
    UNLISTABLE = KindRow(
        "damage",
        "a part of the bucket cannot be listed",
        "give the right to list it, or mend the store; check again",
        "no: nothing can be said of what cannot be seen",
    )
    REPLICA_INCOMPLETE = KindRow(
        "unfinished",
        "no mirror has brought all that this replica is to hold",
        "`bucketry mirror {source} {place}` goes on",
        "no: the mirror does",
    )
    HEAD_TO_COME = KindRow(
        "garbage",
        "in a replica that is not complete, audit records came before their head",
        "let the mirror go on",
        "no: the mirror does",
    )
    STRAY_KEY = KindRow("garbage", "a key that no rule of the format explains", REMOVE, NEVER)
    BLOB_UNNAMED = KindRow(
        "garbage", "bytes that no version names, such as those of a killed publish", LEAVE, "no: `bucketry gc` does"
    )
    DOCUMENT_UNNAMED = KindRow(
        "garbage", "a manifest, evaluation, decision or other document that nothing names", LEAVE, NEVER
    )
    UPLOAD_UNFINISHED = KindRow("garbage", "an upload in parts that was not finished", LEAVE, "no: `bucketry gc` does")
    PROBE_LEFTOVER = KindRow("garbage", "scratch that a probe of the store left", LEAVE, "no: `bucketry gc` does")
    SERVED_FILE_WRONG = KindRow(
        "damage",
        "a file below `serve/` that is said to be ready is missing or has another size",
        "`bucketry materialize {version}` copies it again",
        "no: `bucketry materialize` does",
    )
    SERVED_READY_UNREADABLE = KindRow(
        "damage",
        "what says that files below `serve/` are ready cannot be read, or is about another folder",
        "`bucketry materialize {version} --remove`, then materialize it again",
        "no: `bucketry materialize` does",
    )
    SERVED_INCOMPLETE = KindRow(
        "garbage",
        "files below `serve/` that nothing says are ready",
        "`bucketry materialize {version}` completes them, with `--remove` it removes them",
        "no: `bucketry materialize` does",
    )
    SERVED_FOR_NOBODY = KindRow(
        "garbage",
        "files below `serve/` of a version that was refused or deleted",
        "`bucketry gc --apply` frees them",
        "no: `bucketry gc` does",
    )
    PIN_WITHOUT_CHILD = KindRow(
        "garbage",
        "a version is held back for another model, which has no live version made from it",
        "`bucketry delete {model}:{version}` drops such a pin; a publish may be on its way",
        PERSON,
    )
    RECEIPT_UNREADABLE = KindRow(
        "garbage",
        "what lies where a server reports is no receipt",
        "let the instance report again, or remove it",
        NEVER,
    )

    @property
    def label(self) -> str:
        """The kind's name in documents."""
        return self.name.lower().replace("_", "-")

    @property
    def grade(self) -> Grade:
        """How bad it is."""
        return self.value.grade


def findings_table() -> str:
    """Return the table of all kinds as it stands in `docs/operations.md`."""
    rows = [
        f"| `{kind.label}` | {kind.grade} | {kind.value.meaning} | {kind.value.remedy} | {kind.value.repair} |"
        for kind in Kind
    ]
    return "\n".join(
        [
            "| kind | grade | what was found | what to do | does `--repair` mend it? |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
