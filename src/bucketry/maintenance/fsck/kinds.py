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

RESTORE = "restore it from the bucket's older versions or from a mirror"
ASK = "find out by `bucketry audit` and a mirror who wrote what, and restore the side that is wrong"
LEAVE = "nothing needs to be done: it only takes room"
REMOVE = "find out who put it there, and remove it by hand"


@frozen
class KindRow:
    """One row of the table; `remedy` may have fields in braces, which each finding fills in."""

    grade: Grade
    meaning: str
    remedy: str


class Kind(Enum):
    """Every kind of finding, the registers first."""

    REGISTER_LOST = KindRow("damage", "`registry.json`, a head, or an alias that was moved is missing", RESTORE)
    REGISTER_UNREADABLE = KindRow("damage", "a register cannot be read or decoded", RESTORE)
    REGISTER_FOREIGN = KindRow("damage", "a head or an alias says that it is of another registry", RESTORE)
    NEWER_FORMAT = KindRow(
        "damage",
        "a newer program wrote a document, which this one does not understand",
        "install a version of bucketry that reads it, and restore nothing over it",
    )
    HEAD_TOO_LARGE = KindRow(
        "damage", "a head is larger than any program writes it", "find out which program wrote it, and restore it"
    )
    SEALED_RECORDS_LOST = KindRow("damage", "a sealed block of audit records is missing or is another one", RESTORE)
    AUDIT_CHAIN_BROKEN = KindRow("damage", "audit records do not follow from one another, or name nothing valid", ASK)
    NOTE_LOST = KindRow("damage", "the long reason that an audit record names is missing or altered", RESTORE)
    READABLE_COPY_WRONG = KindRow(
        "damage",
        "in a folder, the file for people beside a register is missing or is not its copy",
        "the next commit of the register replaces the file",
    )
    READABLE_COPY_BEHIND = KindRow(
        "garbage",
        "in a folder, the file for people beside a register is an older copy",
        "the next commit of the register replaces the file",
    )
    REGISTRY_CONTRADICTION = KindRow("damage", "`registry.json` and its own audit records differ", ASK)
    HEAD_CONTRADICTION = KindRow("damage", "a head and its own audit records differ", ASK)

    # Versions

    ROW_CONTRADICTION = KindRow(
        "damage", "the row of a version and its manifest, evidence, decisions or audit records differ", ASK
    )
    DIRECTORY_LOST = KindRow("damage", "the directory of the sealed versions is missing or altered", RESTORE)
    PAGE_LOST = KindRow("damage", "a page of sealed versions is missing or altered", RESTORE)
    PAGE_CONTRADICTION = KindRow("damage", "a page, its directory and the head count versions differently", ASK)
    MANIFEST_LOST = KindRow("damage", "the manifest of a version is missing, altered, or of another model", RESTORE)
    PLACEMENT_WRONG = KindRow("damage", "a placement does not count the artifacts of its version", ASK)
    BLOB_LOST = KindRow(
        "damage",
        "the bytes of a version's file are missing, or cannot be read",
        "restore them, or publish the same files again; who has them says `bucketry deployments`",
    )
    BLOB_ALTERED = KindRow(
        "damage",
        "the bytes of a version's file are others, or a symbolic link",
        "keep them aside, find out who wrote them, and restore them",
    )
    BASE_LOST = KindRow("damage", "the base of a live version is not there, or deleted", ASK)
    BASE_NOT_PINNED = KindRow("damage", "nothing keeps the base of a live version from being deleted", ASK)
    DOSSIER_LOST = KindRow("damage", "the dossier of a version is missing, altered, or of another version", RESTORE)
    DOSSIER_CONTRADICTION = KindRow("damage", "a dossier does not cite, once each, what was committed", ASK)
    EVIDENCE_LOST = KindRow("damage", "an evaluation that a dossier cites is missing or altered", RESTORE)
    DECISION_LOST = KindRow("damage", "a decision that a dossier cites is missing or altered", RESTORE)
    CITED_MISPLACED = KindRow("damage", "what a dossier cites lies elsewhere, or is about something else", ASK)
    POLICY_LOST = KindRow("damage", "a policy is missing, altered or cannot be read", RESTORE)
    DELETION_UNFINISHED = KindRow(
        "unfinished",
        "a deletion was begun and not ended",
        "`bucketry delete {model}:{version}` finishes it, or takes it back if an alias names the version",
    )

    # Aliases

    ALIAS_TARGET_LOST = KindRow(
        "damage",
        "an alias names a version that is not there, is deleted, or has another manifest",
        "`bucketry promote {model}:VERSION {alias}` moves it, once it is known who wrote it",
    )
    ALIAS_NOT_IN_HEAD = KindRow("damage", "an alias has a register, and its name is not in the head", ASK)
    ALIAS_CONTRADICTION = KindRow(
        "damage", "an alias and its own audit records, or the decisions about its version, differ", ASK
    )
    ALIAS_STATE_WRONG = KindRow(
        "damage",
        "the state that an alias repeats is not that of its version",
        "`bucketry promote {model}:{version} {alias}` renews it",
    )
    ALIAS_UNSET = KindRow(
        "unfinished",
        "a head names an alias that has no register: its first promotion did not end",
        "`bucketry promote {model}:VERSION {alias}` sets it",
    )
    ALIAS_BEHIND = KindRow(
        "unfinished",
        "an alias does not carry the decisions about its version as they are",
        "`bucketry promote {model}:{version} {alias}` brings them",
    )
    REFUSAL_NOT_TOLD = KindRow(
        "unfinished",
        "an alias names a version that was refused, and does not carry the refusal",
        "`bucketry review {action} {model}:{version} --comment REASON` tells every alias",
    )

    # What belongs to nobody

    KEY_OF_NO_REGISTER = KindRow("damage", "a key where registers lie is that of none", REMOVE)
    MODEL_WITHOUT_HEAD = KindRow(
        "damage", "aliases or sealed audit records are there, and no head of their model", "restore the head"
    )
    UNLISTABLE = KindRow(
        "damage", "a part of the bucket cannot be listed", "give the right to list it, or mend the store; check again"
    )
    REPLICA_INCOMPLETE = KindRow(
        "unfinished",
        "no mirror has brought all that this replica is to hold",
        "`bucketry mirror {source} {place}` goes on",
    )
    HEAD_TO_COME = KindRow(
        "garbage", "in a replica that is not complete, audit records came before their head", "let the mirror go on"
    )
    STRAY_KEY = KindRow("garbage", "a key that no rule of the format explains", REMOVE)
    BLOB_UNNAMED = KindRow("garbage", "bytes that no version names, such as those of a killed publish", LEAVE)
    DOCUMENT_UNNAMED = KindRow(
        "garbage", "a manifest, evaluation, decision or other document that nothing names", LEAVE
    )
    UPLOAD_UNFINISHED = KindRow("garbage", "an upload in parts that was not finished", LEAVE)
    PROBE_LEFTOVER = KindRow("garbage", "scratch that a probe of the store left", LEAVE)
    SERVED_FILE_WRONG = KindRow(
        "damage",
        "a file below `serve/` that is said to be ready is missing or has another size",
        "`bucketry materialize {version}` copies it again",
    )
    SERVED_READY_UNREADABLE = KindRow(
        "damage",
        "what says that files below `serve/` are ready cannot be read, or is about another folder",
        "`bucketry materialize {version} --remove`, then materialize it again",
    )
    SERVED_INCOMPLETE = KindRow(
        "garbage",
        "files below `serve/` that nothing says are ready",
        "`bucketry materialize {version}` completes them, with `--remove` it removes them",
    )
    SERVED_FOR_NOBODY = KindRow(
        "garbage", "files below `serve/` of a version that was refused or deleted", "`bucketry gc --apply` frees them"
    )
    PIN_WITHOUT_CHILD = KindRow(
        "garbage",
        "a version is held back for another model, which has no live version made from it",
        "`bucketry delete {model}:{version}` drops such a pin; a publish may be on its way",
    )
    RECEIPT_UNREADABLE = KindRow(
        "garbage", "what lies where a server reports is no receipt", "let the instance report again, or remove it"
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
    rows = [f"| `{kind.label}` | {kind.grade} | {kind.value.meaning} | {kind.value.remedy} |" for kind in Kind]
    return "\n".join(["| kind | grade | what was found | what to do |", "|---|---|---|---|", *rows, ""])
