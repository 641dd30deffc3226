"""`retention`: the rules by which old versions are deleted: shown, set and applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import CommandGroup, command
from bucketry.cli.files import read_input, read_stdin
from bucketry.cli.output import page
from bucketry.cli.parameters import MODEL
from bucketry.errors import UNREADABLE, CorruptError, NotFoundError, UsageError, reason_of
from bucketry.registry.versions.listing import iter_model_names
from bucketry.registry.versions.retention import (
    apply_retention,
    load_retention,
    plan_retention,
    set_retention,
)
from bucketry.schema.documents.retention import parse_retention_toml
from bucketry.schema.names import parse_model_name
from bucketry.schema.text import displayable
from bucketry.show.figures import count_of, size_text
from bucketry.show.tables import NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.registry.core.session import Session
    from bucketry.registry.versions.retention import RetentionInForce, RetentionPlan
    from bucketry.schema.judging.retention import Fate
    from bucketry.schema.names import ModelName

STDIN = "-"
COLUMNS = (TextColumn("VERSION", NARROWEST), TextColumn(""), TextColumn("WHY", NARROWEST))
DEFAULT = click.option("--default", "of_default", is_flag=True, help="The registry's default, instead of a model's.")


@command("show", example="bucketry retention show acme/chat\nbucketry retention show --default")
@click.argument("model", type=MODEL, required=False)
@DEFAULT
def show(call: Call, model: ModelName | None, *, of_default: bool) -> None:
    """Show which rules hold for a model, and where they were set."""
    if (model is None) != of_default:
        raise UsageError("name a model, or --default, and not both", advice="see `bucketry retention show --help`")
    found = load_retention(call.open(), model)
    call.answer(_rules_document(model, found), _rules_lines(found))


@command(
    "set", example="bucketry retention set acme/chat retention.toml\nbucketry retention set --default retention.toml"
)
@click.argument("words", nargs=-1, metavar="[MODEL] FILE", type=click.Path())
@DEFAULT
def set_one(call: Call, words: tuple[str, ...], *, of_default: bool) -> None:
    """Set the rules of a model, or the registry's default, from a TOML file; - reads stdin.

    The rules of a model replace the default's as a whole. delete_after_days must be stated: 0 deletes nothing. What is
    older goes unless one of these keeps it: keep_newest (1), keep_promoted (true), keep_approved (true),
    keep_labels (none; each name or name=value). What an alias names or would be rolled back to, what others are made
    from, what is in review and what an instance reports is always kept. Nothing is deleted before `retention apply`.
    """
    if len(words) != (1 if of_default else 2):
        raise UsageError(
            "write the file of the default rules alone" if of_default else "write a model and then a file",
            advice="`bucketry retention set MODEL FILE`, or `bucketry retention set --default FILE`",
        )
    model, file = None if of_default else parse_model_name(words[0]), words[-1]
    what = "the rules on stdin" if file == STDIN else displayable(file)
    body = read_stdin() if file == STDIN else read_input(Path(file))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 text", advice="write the rules as TOML in UTF-8") from error
    session = call.open()
    changed = set_retention(session, model, parse_retention_toml(text, what=what))
    name = f"the retention rules of {model}" if model else "the default retention rules"
    found = load_retention(session, model)
    lines = [f"set {name}" if changed else f"{name} say this already", *_rules_lines(found)]
    call.answer(_rules_document(model, found) | {"changed": changed}, lines)


@command(
    "apply", example="bucketry retention apply acme/chat --dry-run\nbucketry retention apply && bucketry gc --apply"
)
@click.argument("model", type=MODEL, required=False)
@click.option("--dry-run", is_flag=True, help="Only say of each version whether it is kept, and why.")
def apply_rules(call: Call, model: ModelName | None, *, dry_run: bool) -> None:
    """Delete the versions that the rules let go: of MODEL, or of every model for which rules hold.

    It deletes as `bucketry delete` does, and decides again on the state that each deletion replaces. What is refused by
    then is named and stays. `bucketry gc` frees the bytes later.
    """
    session = call.open()
    versions: list[dict[str, object]] = []
    lines: list[tuple[str, str, str]] = []
    damaged: list[str] = []
    count, size_bytes = 0, 0
    for plan in [plan_retention(session, model)] if model is not None else _iter_plans(session, damaged):
        name, kept, gone = plan.model, [fate for fate in plan.fates if fate.is_kept], plan.going
        if not dry_run:
            done = apply_retention(session, plan)
            kept, gone = [*done.refused, *kept], done.deleted
            lines += [(f"{name}:{fate.version}", "refused", fate.why) for fate in done.refused]
            size_bytes += done.size_bytes
        count += len(gone)
        versions += sorted((_fate_document(name, fate) for fate in (*kept, *gone)), key=_by_version, reverse=True)
        lines += [(f"{name}:{fate.version}", "goes" if dry_run else "deleted", fate.why) for fate in gone]
        lines += [(f"{name}:{fate.version}", "kept", fate.why) for fate in kept if dry_run]
    document: dict[str, object] = {"versions": versions, "dry_run": dry_run, "deleted_bytes": size_bytes}
    told = [*(text_table(COLUMNS, lines, page()) if lines else ()), _summary(count, size_bytes, dry_run=dry_run)]
    if damaged:
        error = CorruptError(
            f"{count_of(len(damaged), 'model')} cannot be read and was left alone, first {damaged[0]}",
            advice="run `bucketry fsck`, and mend what it names",
        )
        raise AnsweredError(error, document, told)
    call.answer(document, told)


def _iter_plans(session: Session, damaged: list[str]) -> Iterator[RetentionPlan]:
    """Yield a plan for each model for which rules hold that delete anything; what cannot be read is noted."""
    for name in iter_model_names(session):
        try:
            if load_retention(session, name).rules.delete_after_days:
                yield plan_retention(session, name)
        except NotFoundError:
            continue  # deleted as a whole, or nothing was ever published to it
        except UNREADABLE as error:
            damaged.append(f"{name}: {reason_of(error)}")


def _by_version(document: dict[str, object]) -> int:
    version = document["version"]
    return version if isinstance(version, int) else 0


def _fate_document(model: ModelName, fate: Fate) -> dict[str, object]:
    return {"model": str(model), "version": fate.version, "keep": fate.is_kept, "why": fate.why}


def _rules_document(model: ModelName | None, found: RetentionInForce) -> dict[str, object]:
    return found.rules.to_document() | {"model": str(model) if model else None, "set_by": found.set_by or None}


def _rules_lines(found: RetentionInForce) -> Iterable[Text]:
    if not found.set_by:
        return ["nobody has set retention rules: nothing is deleted"]
    rules = found.rules
    return [
        f"delete after {count_of(rules.delete_after_days, 'day')}" if rules.delete_after_days else "delete nothing",
        f"keep the newest {rules.keep_newest}",
        *(["keep what was ever promoted"] if rules.keep_promoted else []),
        *(["keep what is approved"] if rules.keep_approved else []),
        *(f"keep what has the label {displayable(label)}" for label in rules.keep_labels),
        f"set for the {'model' if found.set_by == 'model' else 'registry'}",
    ]


def _summary(count: int, size_bytes: int, *, dry_run: bool) -> str:
    if dry_run:
        return f"{count_of(count, 'version')} would be deleted"
    freed = f" ({size_text(size_bytes)}; `bucketry gc --apply` frees what nothing else needs)" if count else ""
    return f"deleted {count_of(count, 'version')}{freed}"


run = CommandGroup(
    "retention",
    example="bucketry retention set --default retention.toml\nbucketry retention apply --dry-run",
    commands=[show, set_one, apply_rules],
    help="Show, set or apply the rules by which old versions are deleted.",
)
