"""`policy`: the rules of a model or of the registry: shown, tried, checked and set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import CommandGroup, command
from bucketry.cli.documents import damaged_document
from bucketry.cli.files import read_input, read_stdin
from bucketry.cli.output import page
from bucketry.cli.parameters import COUNT, MODEL
from bucketry.errors import UsageError
from bucketry.registry.review.policies import load_policy_history, load_policy_in_force, set_policy
from bucketry.registry.review.policy_trial import plan_policy, try_policy
from bucketry.schema.documents.gates import gate_text
from bucketry.schema.documents.policy import DEFAULT_POLICY, parse_policy_toml, policy_document
from bucketry.schema.judging.policy_changes import GATES, settings_of
from bucketry.schema.names import parse_model_name
from bucketry.schema.text import displayable
from bucketry.show.figures import age_text, count_of
from bucketry.show.tables import DAMAGED, NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.registry.review.policies import PolicyInForce
    from bucketry.registry.review.policy_trial import PolicyPlan, PolicyTrial
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.judging.policy_changes import PolicyChange
    from bucketry.schema.names import ModelName

COLUMNS = (TextColumn("RULE"), TextColumn("VALUE", NARROWEST), TextColumn("SET BY"))
HISTORY_COLUMNS = (
    TextColumn("GENERATION", right=True),
    TextColumn("AGE", right=True),
    TextColumn("BY", NARROWEST),
    TextColumn("CHANGE", NARROWEST),
)
STDIN = "-"
DEFAULT = click.option("--default", "of_default", is_flag=True, help="The registry's default, instead of a model's.")


@command("show", example="bucketry policy show acme/chat\nbucketry policy show --default --history")
@click.argument("model", type=MODEL, required=False)
@DEFAULT
@click.option("--history", is_flag=True, help="Show every change, newest first.")
def show(call: Call, model: ModelName | None, *, of_default: bool, history: bool) -> None:
    """Show which rules hold for a model, and where each was set."""
    if (model is None) != of_default:
        raise UsageError("name a model, or --default, and not both", advice="see `bucketry policy show --help`")
    if history:
        _show_history(call, model)
        return
    policy = load_policy_in_force(call.open(), model)
    effective = policy.effective.over(DEFAULT_POLICY)
    whole = policy_document(effective)
    document: dict[str, object] = whole | {
        "model": str(model) if model else None,
        "policy": policy.own_digest,
        "default_policy": policy.default_digest,
        "set_by": {key: _setter(policy, key) or None for key in whole},
    }
    rows = [(key, value, _setter(policy, key)) for key, value in settings_of(effective).items()]
    gates = [gate_text(gate) for gate in policy.effective.gates] or ["none"]
    rows += [("gate", gate, _setter(policy, GATES)) for gate in gates]
    call.answer(document, text_table(COLUMNS, rows, page()))


@command(
    "set",
    example="bucketry policy set acme/chat policy.toml --dry-run\nbucketry policy set --default policy.toml",
)
@click.argument("words", nargs=-1, metavar="[MODEL] FILE", type=click.Path())
@DEFAULT
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Do not ask, whatever protection this takes away.")
def set_one(call: Call, words: tuple[str, ...], *, of_default: bool, dry_run: bool, yes: bool) -> None:
    """Set the rules of a model, or the registry's default, from a TOML file; - reads stdin.

    The file replaces what was set before. What a model's file leaves out is taken from the default, key by key; a model
    that states any gate states all of its gates (`gate = []`: none). A number of days of 0 means that approvals do not
    end. Known keys: approvals_required, separate_duties, protected_aliases, signatures, headline_metrics, reviewers,
    approval_expires_days and any number of [[gate]].

    What takes protection away (a protected alias, approvals, a gate) says so and asks; without a terminal it needs
    --yes.
    """
    model, file = _target(words, of_default=of_default)
    policy = _read_policy(file)
    session = call.open()
    plan = plan_policy(session, model, policy)
    name = f"the policy of {model}" if model else "the default policy"
    if dry_run:
        _answer_plan(call, model, plan, name)
        return
    if plan.removed and not yes:
        for text in plan.removed:
            call.messages.note(f"this takes protection away: {text}")
        if not call.messages.confirm(f"set {name} all the same?"):
            raise UsageError(
                f"{name} was not set, since it takes protection away: {'; '.join(plan.removed)}",
                advice="answer y, or give --yes",
            )
    done = set_policy(session, model, policy, may_remove_protection=yes or bool(plan.removed))
    document = {
        "model": str(model) if model else None,
        "policy": done.policy,
        "generation": done.generation,
        "changed": done.changed,
        "changes": _change_documents(done.changes),
        "removed": list(plan.removed) if done.changed else [],
    }
    lines = [f"set {name}", *(f"  {change.text}" for change in done.changes)]
    call.answer(document, lines if done.changed else [f"{name} says this already"])


@command("check", example="bucketry policy check policy.toml\nbucketry policy check acme/chat policy.toml")
@click.argument("words", nargs=-1, metavar="[MODEL] FILE", type=click.Path())
@click.option(
    "--limit", type=COUNT, default=50, metavar="N", help="Look at the newest N versions, and those with an alias."
)
def check(call: Call, words: tuple[str, ...], limit: int) -> None:
    """Check a policy's file without setting it: is it understood, and which versions would not meet it?

    With MODEL its versions are measured by the file's rules, and by the default's where the file leaves some out. A
    version that an alias names fails, too, where the alias would be protected and the version lacks approvals. Pickle
    scans are left out.
    """
    if len(words) not in (1, 2):
        raise UsageError("write a file, or a model and then a file", advice="`bucketry policy check [MODEL] FILE`")
    model = parse_model_name(words[0]) if len(words) > 1 else None
    policy = _read_policy(words[-1])
    document: dict[str, object] = {"model": str(model) if model else None, "policy": policy_document(policy)}
    stated = [f"{key} = {value}" for key, value in settings_of(policy).items()]
    stated += [f"gate: {gate_text(gate)}" for gate in policy.gates]
    lines: list[Text] = [f"{_name_of(words[-1])} is understood", *(f"  {text}" for text in stated)]
    if model is not None:
        trial = try_policy(call.open(), model, policy, newest=limit)
        document["versions"] = trial.versions
        document["failing"] = [
            {
                "version": tried.version,
                "aliases": list(tried.aliases),
                "gates": [result.to_document() for result in tried.failed],
                "reasons": list(tried.reasons),
            }
            for tried in trial.failing
        ]
        lines += _trial_lines(model, trial)
        if trial.scans_left_out:
            call.messages.note("pickle scans were left out: `bucketry gates` makes them once the policy is set")
        if trial.more:
            call.messages.note(f"only the newest {limit} versions, and those with an alias, were looked at")
    call.answer(document, lines)


def _read_policy(file: str) -> Policy:
    """Return the policy of a file or of stdin; raise `UsageError` for one that states nothing."""
    body = read_stdin() if file == STDIN else read_input(Path(file))
    what = _name_of(file)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 text", advice="write the policy as TOML in UTF-8") from error
    policy = parse_policy_toml(text, what=what)
    if not policy_document(policy):
        raise UsageError(
            f"{what} states no rule: what was set would be gone",
            advice="state a rule, such as `approvals_required = 0`, if that is meant",
        )
    return policy


def _name_of(file: str) -> str:
    return "the policy on stdin" if file == STDIN else displayable(file)


def _answer_plan(call: Call, model: ModelName | None, plan: PolicyPlan, name: str) -> None:
    document = {
        "model": str(model) if model else None,
        "policy": plan.policy,
        "dry_run": True,
        "changed": plan.changed,
        "changes": _change_documents(plan.changes),
        "removed": list(plan.removed),
    }
    lines = [f"{name} would change", *(f"  {change.text}" for change in plan.changes)]
    lines += [f"  takes protection away: {text}" for text in plan.removed]
    call.answer(document, lines if plan.changed else [f"{name} says this already"])


def _trial_lines(model: ModelName, trial: PolicyTrial) -> Iterator[Text]:
    looked_at = count_of(trial.versions, "version")
    yield f"{looked_at} of {model} looked at, {len(trial.failing) or 'none'} would not meet it"
    for tried in trial.failing:
        named = "".join(f" @{alias}" for alias in tried.aliases)
        why = [*tried.reasons, *(f"{result.gate}: {result.reason}" for result in tried.failed)]
        yield f"  {model}:{tried.version}{named}: {'; '.join(why)}"


def _target(words: Sequence[str], *, of_default: bool) -> tuple[ModelName | None, str]:
    if len(words) != (1 if of_default else 2):
        raise UsageError(
            "write the file of the default policy alone" if of_default else "write a model and then a file",
            advice="`bucketry policy set MODEL FILE`, or `bucketry policy set --default FILE`",
        )
    return (None if of_default else parse_model_name(words[0])), words[-1]


def _show_history(call: Call, model: ModelName | None) -> None:
    session = call.open()
    documents: list[dict[str, object]] = []
    rows: list[tuple[str, ...]] = []
    for event in load_policy_history(session, model):
        document = {
            "generation": event.generation,
            "at": event.at,
            "actor": event.actor,
            "policy": event.policy,
            "changes": None if event.damaged else _change_documents(event.changes),
        }
        documents.append(document | damaged_document(event.damaged))
        nothing = f"{DAMAGED}: {event.damaged}" if event.damaged else "nothing that is shown"
        first, *others = [change.text for change in event.changes] or [nothing]
        rows.append((str(event.generation), age_text(event.at, session.clock.now()), event.actor, first))
        rows += [("", "", "", text) for text in others]
    lines: Sequence[Text] = text_table(HISTORY_COLUMNS, rows, page())
    if not rows:
        lines = ["nobody has set a policy"]
        if model is not None and load_policy_history(session, None):
            see = "`bucketry policy show --default --history`"
            lines = [f"nobody has set a policy of {model}: the default's holds, see {see}"]
    call.answer(documents, lines)


def _setter(policy: PolicyInForce, key: str) -> str:
    """Return where a key was set: by the model, by the default, or nowhere."""
    if policy.own is not None and key not in policy.own.unset:
        return "model"
    return "default" if policy.default_digest is not None and key not in policy.default.unset else ""


def _change_documents(changes: Sequence[PolicyChange]) -> list[dict[str, object]]:
    return [{"key": change.key, "before": change.before, "after": change.after} for change in changes]


run = CommandGroup(
    "policy",
    example="bucketry policy set acme/chat policy.toml\nbucketry policy show acme/chat",
    commands=[show, set_one, check],
    help="Show, check or set approvals, protected aliases and gates.",
)
