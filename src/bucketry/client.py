"""The Python client: what a program calls.

`Reader` cannot write, by type; `Registry` can. Both are thin faces of the service layer.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bucketry.errors import RefusedVersionWarning, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core import artifacts, opening, registers, resolve
from bucketry.registry.review.refusals import load_refusals, refused_text, version_to_read
from bucketry.registry.serving import aliases
from bucketry.registry.versions import detail, lifecycle, listing
from bucketry.schema.names import ByVersion, parse_alias, parse_model_name, parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from bucketry.errors import BucketryError
    from bucketry.index.review_queue import WaitingVersion
    from bucketry.registry.core.artifacts import ArtifactReader
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.registry.publishing.registration import RegisteredVersion
    from bucketry.registry.reading.pull import PullOptions
    from bucketry.registry.reading.pull_bases import PulledFamily
    from bucketry.registry.reading.tensors import TensorEntry
    from bucketry.registry.review.reviewing import RecordedDecision
    from bucketry.registry.review.signing import Sign
    from bucketry.registry.serving.alias_history import AliasEvent
    from bucketry.registry.serving.aliases import AliasMove
    from bucketry.registry.serving.auditing import Audit
    from bucketry.registry.serving.deployments import Deployments
    from bucketry.registry.serving.watch import WatchedMove
    from bucketry.registry.versions.deletion import DeletedVersion
    from bucketry.registry.versions.detail import VersionDetail
    from bucketry.registry.versions.evaluate import EvaluatedVersion
    from bucketry.registry.versions.lineage import Graph
    from bucketry.registry.versions.listing import ModelSummary, VersionSummary
    from bucketry.registry.versions.model_deletion import ModelDeletion
    from bucketry.schema.documents.deployment import Deployment
    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.documents.gates import GateResult
    from bucketry.schema.documents.manifest import Lineage, Training
    from bucketry.schema.judging.comparison import VersionDiff

    SignWith = bool | str | os.PathLike[str] | Sign
    """What signs: True for the usual SSH key, a key's file or its name in the agent, or a function; False: nothing."""


@frozen
class Reader:
    """A registry that can only be read. References are texts such as `acme/chat@production` or `acme/chat:7`."""

    session: Session

    def resolve(self, reference: str) -> ResolvedVersion:
        """Return what a reference names now: for `model@alias`, two GETs. Raises `NotFoundError`."""
        return resolve.resolve(self.session, parse_reference(reference))

    def pull(
        self,
        reference: str,
        dest: str | os.PathLike[str] | None = None,
        *,
        options: PullOptions | None = None,
        allow_rejected: bool = False,
    ) -> Path:
        """Download a version, verified, and return its directory: `dest`, or the cache's where none is given.

        `dest` appears complete or not at all. Raises `RejectedError` for a `dest` that holds something else, and where
        an alias names a version that was rejected or revoked, unless `allow_rejected`; a trust file is asked in any
        case. By number or digest it comes, with a `RefusedVersionWarning`.
        """
        from bucketry.registry.reading.pull import pull  # noqa: PLC0415 - a resolver needs no transfer

        target = None if dest is None else Path(dest)
        pulled = pull(self.session, parse_reference(reference), target, _insisting(options, insists=allow_rejected))
        _warn_of_refusals(self.session, pulled.resolved)
        return pulled.path

    def pull_with_bases(
        self,
        reference: str,
        dest: str | os.PathLike[str] | None = None,
        *,
        options: PullOptions | None = None,
        allow_rejected: bool = False,
    ) -> PulledFamily:
        """Download an adapter and, before it, what it adapts: to `dest` and `dest-base`, or into the cache.

        Refused versions as for `pull`; by an alias, one with a refused base is refused too.
        """
        from bucketry.registry.reading.pull_bases import pull_with_bases  # noqa: PLC0415 - a resolver needs no transfer

        target, chosen = None if dest is None else Path(dest), _insisting(options, insists=allow_rejected)
        family = pull_with_bases(self.session, parse_reference(reference), target, chosen)
        for pulled in (family.pulled, *(base.pulled for base in family.bases)):
            _warn_of_refusals(self.session, pulled.resolved)
        return family

    def report(
        self,
        reference: str,
        *,
        environment: str,
        instance: str | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Deployment:
        """Tell the registry that this instance (its host's name, if none is given) serves what a pull brought.

        The one thing that a reader writes: its own receipt below `deployments/`. Raises `RejectedError` where `path`,
        or the cache, does not hold that version, unchanged, and where the configuration says `read_only`.
        """
        from bucketry.registry.publishing.given import path_of  # noqa: PLC0415 - few readers report
        from bucketry.registry.serving.reporting import report  # noqa: PLC0415

        place = None if path is None else path_of(path, "path")
        parsed = parse_reference(reference)
        return report(self.session, parsed, environment=environment, instance=instance, path=place)

    def deployments(
        self, model: str | None = None, *, environment: str | None = None, stale_days: float | None = None
    ) -> Deployments:
        """Return which version each instance reported, beside what its alias names now."""
        from bucketry.registry.serving.deployments import list_deployments  # noqa: PLC0415 - few readers ask

        name = None if model is None else parse_model_name(model)
        return list_deployments(self.session, name, environment=environment, stale_days=stale_days)

    def watch(
        self,
        reference: str,
        *,
        interval_seconds: float = 30.0,
        allow_rejected: bool = False,
        on_refusal: Callable[[WatchedMove, BucketryError], None] | None = None,
    ) -> Iterator[WatchedMove]:
        """Yield what an alias names now, and then each change; a poll is one conditional GET.

        A move to a version that was rejected or revoked is left out, unless `allow_rejected`, and with a trust file one
        that it does not accept in any case; `on_refusal` is called with it and with why. That the version yielded last
        was refused is yielded all the same: its `state` is `rejected` then.
        """
        from bucketry.registry.serving.watch import watch  # noqa: PLC0415

        parsed = parse_reference(reference)
        return watch(
            self.session,
            parsed,
            interval_seconds=interval_seconds,
            allow_rejected=allow_rejected,
            on_refusal=on_refusal,
        )

    def open(
        self, version: ResolvedVersion | str, path: str, *, allow_rejected: bool = False
    ) -> AbstractContextManager[ArtifactReader]:
        """Open one file of a version, to read ranges of it. Refused versions as for `pull`."""
        resolved = self._to_read(version, allow_rejected=allow_rejected)
        return artifacts.open_artifact(self.session, resolved, path)

    def tensors(
        self, version: ResolvedVersion | str, *, verified: bool = False, allow_rejected: bool = False
    ) -> tuple[TensorEntry, ...]:
        """Return the tensors of a version's `.safetensors` files, from their headers alone.

        A header fills no whole chunk, so it is not verified, unless `verified` has its chunk read whole. Refused
        versions as for `pull`.
        """
        from bucketry.registry.reading.tensors import list_tensors  # noqa: PLC0415 - few readers look into files

        resolved = self._to_read(version, allow_rejected=allow_rejected)
        return list_tensors(self.session, resolved, verified=verified)

    def read_tensor(
        self,
        version: ResolvedVersion | str,
        tensor: str | TensorEntry,
        *,
        rows: slice | None = None,
        verified: bool = False,
        allow_rejected: bool = False,
    ) -> NDArray[Any]:
        """Return a tensor, or some of its rows, as a NumPy array; BF16 and 8-bit floats come as their bits.

        Give an entry of `tensors` rather than a name where many are read: a name is looked up in every header.
        Only chunks that lie whole in what is read are verified, unless `verified` has those at its edges read too.
        Refused versions as for `pull`.
        """
        from bucketry.registry.reading.tensors import read_tensor  # noqa: PLC0415

        resolved = self._to_read(version, allow_rejected=allow_rejected)
        return read_tensor(self.session, resolved, tensor, rows=rows, verified=verified)

    def _to_read(self, version: ResolvedVersion | str, *, allow_rejected: bool) -> ResolvedVersion:
        """Return the version that is to be read, if it may be; warn of one that somebody refused."""
        resolved = self.resolve(version) if isinstance(version, str) else version
        allowed = version_to_read(resolved, allow_rejected=allow_rejected)
        _warn_of_refusals(self.session, resolved)
        return allowed

    def models(self, query: str = "") -> list[ModelSummary]:
        """Return the models whose name contains every word of the query."""
        return listing.list_models(self.session, query=query)

    def versions(self, model: str, query: str = "") -> Iterator[VersionSummary]:
        """Yield the versions of a model, newest first."""
        head = registers.load_existing_head(self.session, parse_model_name(model))
        return listing.iter_versions(self.session, head, query=query)

    def show(self, reference: str) -> VersionDetail:
        """Return everything about one version."""
        return detail.load_detail(self.session, parse_reference(reference))

    def diff(self, baseline: str, *others: str, with_tensors: bool = False) -> VersionDiff:
        """Return how versions differ from the baseline: metrics with verdicts, parameters, data, files, card.

        Tensors are compared on request, by the headers of the `.safetensors` files.
        """
        from bucketry.registry.reading.compare import compare_versions  # noqa: PLC0415 - few readers compare

        references = [parse_reference(reference) for reference in (baseline, *others)]
        return compare_versions(self.session, references, with_tensors=with_tensors)

    def gates(self, reference: str, *, alias: str | None = None) -> tuple[GateResult, ...]:
        """Return whether each gate of its policy holds for a version; with `alias`, of those that count before it."""
        from bucketry.registry.review.gating import check_version_gates  # noqa: PLC0415 - few readers check gates

        parsed = parse_reference(reference)
        head = registers.load_existing_head(self.session, parsed.model)
        row = resolve.select_row(self.session, head, parsed.selector)
        return check_version_gates(self.session, head, row, alias=None if alias is None else parse_alias(alias))

    def reviews(self, *, mine: bool = False) -> list[WaitingVersion]:
        """Return every version that waits for a review, longest first; with `mine`, those that I may decide."""
        from bucketry.index.review_queue import list_waiting  # noqa: PLC0415 - few readers review

        return list_waiting(self.session, mine=mine)

    def lineage(self, reference: str, *, down: bool = False) -> Graph:
        """Return what a version was made from, all the way; with `down`, what was made from it."""
        from bucketry.registry.versions.lineage import load_lineage  # noqa: PLC0415 - few readers ask

        return load_lineage(self.session, parse_reference(reference), down=down)

    def audit(self, model: str | None = None) -> Audit:
        """Return who did what to a model, or to the registry itself, and what is wrong with that trail, if anything."""
        from bucketry.registry.serving.auditing import load_audit, load_registry_audit  # noqa: PLC0415 - few readers ask

        return load_registry_audit(self.session) if model is None else load_audit(self.session, parse_model_name(model))

    def history(self, model: str, alias: str) -> list[AliasEvent]:
        """Return every move of an alias, newest first."""
        from bucketry.registry.serving.alias_history import load_alias_history  # noqa: PLC0415 - few readers ask

        return load_alias_history(self.session, parse_model_name(model), parse_alias(alias))

    def close(self) -> None:
        """Release the connections."""
        self.session.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@frozen
class Registry(Reader):
    """A registry that can be written too.

    What changes or removes a version wants it named: `acme/chat:7`, `acme/chat@production`, `acme/chat@latest`. A
    model's name alone is a `UsageError`.

    What `publish` takes: `metrics` is plain automated evidence, in which a number of NumPy is a number; a label's value
    is a text, and `{"epoch": 3}` is refused. A value that cannot be compared, such as NaN, is left out with a warning
    and named in `left_out` of the result; `strict` refuses it. `evidence` may be what `bucketry.read_evidence` found in
    a file. `environment` is what it was trained in: `{python, packages, ...}`, or a file of pip, conda or a lock.
    `exclude` and `include` are patterns as in .gitignore: what of folders to leave out, and what to take along that is
    left out by default or looks like a secret. `sign` is as for `review`. With an idempotency key, repeating the call
    returns the version that is there. The result names the `files_left_out`, and says what of the code is `not_known`.
    """

    def publish(  # noqa: PLR0913 - each names one thing that a version records
        self,
        model: str,
        sources: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
        *,
        metrics: Mapping[str, float] | None = None,
        evidence: Sequence[Evidence] = (),
        parameters: Mapping[str, object] | None = None,
        datasets: Sequence[Mapping[str, object]] = (),
        training: Training | None = None,
        lineage: Lineage | None = None,
        base: str | None = None,
        relation: str | None = None,
        card: str | os.PathLike[str] | None = None,
        labels: Mapping[str, str] | None = None,
        notes: str = "",
        idempotency_key: str | None = None,
        sign: SignWith = False,
        request_review: bool = False,
        strict: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        environment: Mapping[str, object] | str | os.PathLike[str] | None = None,
    ) -> RegisteredVersion:
        """Upload files and folders as a new version of a model; the class says what the arguments take.

        Raises `UsageError` and `RejectedError` before anything is uploaded.
        """
        from bucketry.registry.publishing import given, publish  # noqa: PLC0415 - a reader needs none of these
        from bucketry.registry.publishing.capture import is_no_training  # noqa: PLC0415

        measured, left_out = given.usable_evidence(metrics, evidence, strict=strict)
        request = publish.PublishRequest(
            model=parse_model_name(model),
            sources=given.paths_of(sources),
            evidence=measured,
            training=given.training_of(training, parameters, datasets, environment),
            lineage=given.lineage_of(lineage),
            base=None if base is None else parse_reference(base),
            relation=relation,
            card=None if card is None else given.path_of(card, "card"),
            labels={} if labels is None else labels,
            notes=notes,
            idempotency_key=idempotency_key,
            sign=_signer(sign),
            selection=given.selection_of(include, exclude),
            trained_here=not is_no_training(),
            request_review=request_review,
        )
        return replace(publish.publish(self.session, request), left_out=left_out)

    def review(self, reference: str, action: str, *, comment: str = "", sign: SignWith = False) -> RecordedDecision:
        """Record a decision about a version: `request`, `comment`, `approve`, `reject` or `revoke`.

        `sign` is True for the usual SSH key, the key's file, its name in the agent, or what makes the signed review of
        a statement. A refusal has reached every alias that names the version when this returns. Raises `RejectedError`
        for what the version's state, the policy or a gate forbids.
        """
        from bucketry.registry.review.reviewing import decide  # noqa: PLC0415 - a reader needs none
        from bucketry.schema.documents.reviews import parse_action  # noqa: PLC0415

        signer = _signer(sign)
        named, parsed = parse_reference(reference), parse_action(action)
        version = resolve.load_version_number(self.session, named)
        return decide(self.session, named.model, version, parsed, comment=comment, sign=signer)

    def delete(self, reference: str, *, reason: str = "") -> DeletedVersion:
        """Give up a version that no alias names and no other is made from; a deletion that was begun is finished.

        Raises `RejectedError` naming what keeps it.
        """
        from bucketry.registry.versions.deletion import delete_version  # noqa: PLC0415 - a reader needs none

        parsed = parse_reference(reference)
        # A deletion that was interrupted is finished by number: the version can no longer be resolved for use.
        named = parsed.selector
        version = named.version if isinstance(named, ByVersion) else resolve.load_version_number(self.session, parsed)
        return delete_version(self.session, parsed.model, version, reason=reason)

    def delete_all_versions(self, model: str, *, reason: str = "") -> ModelDeletion:
        """Give up a whole model: every version, and then its name. A deletion that was interrupted is finished.

        Raises `RejectedError`, before anything is deleted, naming the aliases and the versions of others that keep it.
        """
        from bucketry.registry.versions.model_deletion import delete_model  # noqa: PLC0415 - a reader needs none

        return delete_model(self.session, parse_model_name(model), reason=reason)

    def evaluate(
        self,
        reference: str,
        *,
        metrics: Mapping[str, float] | None = None,
        evidence: Sequence[Evidence] = (),
        strict: bool = False,
    ) -> EvaluatedVersion:
        """Add evidence to a version; `metrics` is plain automated evidence. What is there already is not added again.

        A value that cannot be compared is left out with a warning and named in `left_out` of the result; `strict`
        refuses it. Raises `UsageError` where nothing is left.
        """
        from bucketry.registry.publishing.given import usable_evidence  # noqa: PLC0415
        from bucketry.registry.versions.evaluate import evaluate  # noqa: PLC0415 - a reader needs none

        measured, left_out = usable_evidence(metrics, evidence, strict=strict)
        version = resolve.resolve_explicit(self.session, parse_reference(reference))
        done = evaluate(self.session, version.model, version.version, measured)
        return replace(done, left_out=left_out)

    def promote(self, reference: str, alias: str, *, reason: str = "") -> AliasMove:
        """Make an alias name a version."""
        parsed, name = parse_reference(reference), parse_alias(alias)
        version = resolve.load_version_number(self.session, parsed)
        return aliases.promote(self.session, parsed.model, version, name, reason=reason)

    def roll_back(self, model: str, alias: str, *, to: int | None = None, reason: str = "") -> AliasMove:
        """Make an alias name its previous version that may still be served, or the version `to`."""
        to = _whole(to, "to")
        return aliases.roll_back(self.session, parse_model_name(model), parse_alias(alias), to=to, reason=reason)

    def undo(self, model: str, alias: str, *, generation: int | None = None, reason: str = "") -> AliasMove:
        """Take back an alias's last move, so that it is as before it, what it would roll back to included.

        With a generation, as that move returned it, only if that move is the last: else `ContendedError`.
        """
        name, key = parse_model_name(model), parse_alias(alias)
        generation = _whole(generation, "generation")
        return aliases.undo_move(self.session, name, key, generation=generation, reason=reason)

    def unset(self, model: str, alias: str, *, reason: str = "") -> AliasMove:
        """Make an alias name nothing."""
        return aliases.unset(self.session, parse_model_name(model), parse_alias(alias), reason=reason)

    def retire(self, reference: str, *, reason: str = "") -> None:
        """Forbid new use of a version; its bytes stay, and aliases that name it go on serving."""
        named = parse_reference(reference)
        lifecycle.retire(self.session, named.model, resolve.load_version_number(self.session, named), reason=reason)

    def unretire(self, reference: str, *, reason: str = "") -> None:
        """Allow use of a retired version again."""
        named = parse_reference(reference)
        lifecycle.unretire(self.session, named.model, resolve.load_version_number(self.session, named), reason=reason)


def open_reader(where: str | os.PathLike[str] | None = None, *, trust: str | os.PathLike[str] | None = None) -> Reader:
    """Open a registry for reading, by URL, path or the name of a configured profile; a `Path` is a folder.

    With a trust file, given or named by the profile, versions are resolved, pulled and opened only if it accepts them;
    otherwise `RejectedError` says why not.
    """
    trusted = None if trust is None else Path(trust)
    return Reader(opening.open_session(_location(where), read_only=True, trust=trusted, serves=True))


def open_registry(where: str | os.PathLike[str] | None = None, *, identity: str | None = None) -> Registry:
    """Open a registry for reading and writing; `identity` is who the records will say acted. As for `open_reader`."""
    return Registry(opening.open_session(_location(where), identity=identity))


def _location(where: object) -> str | None:
    """Return a text as it is, and a path object so that it is no profile's name; raise `UsageError` for others."""
    if where is None or isinstance(where, str):
        return where
    if not isinstance(where, os.PathLike):
        raise UsageError(f"a {type(where).__name__} names no registry", advice="give a URL, a path or a profile's name")
    path = os.fspath(where)
    if not isinstance(path, str):
        raise UsageError("a path of bytes names no registry", advice="give it as text")
    return os.path.join(os.curdir, path)  # noqa: PTH118 - `Path` would take the "./" away again


def _insisting(options: PullOptions | None, *, insists: bool) -> PullOptions | None:
    """Return the options, with `allow_rejected` where the caller insists on what was refused."""
    if not insists:
        return options
    from bucketry.registry.reading.pull import PullOptions  # noqa: PLC0415 - a resolver needs no transfer

    return replace(options or PullOptions(), allow_rejected=True)


def _warn_of_refusals(session: Session, resolved: ResolvedVersion) -> None:
    """Warn of a version that somebody refused, and that the caller gets all the same."""
    if refused := refused_text(resolved, load_refusals(session, resolved)):
        warnings.warn(f"this is {refused}", RefusedVersionWarning, stacklevel=3)


def _whole(value: int | None, name: str) -> int | None:
    """Return a number of a version or of a commit, where one was given; raise `UsageError`."""
    from bucketry.schema.arguments import plain_integer  # noqa: PLC0415 - a reader needs none

    return None if value is None else plain_integer(value, name, least=1)


def _signer(sign: SignWith) -> Sign | None:
    """Return what signs, or None for nothing; raise where there is no such key."""
    if sign is False:
        return None
    if callable(sign):
        from bucketry.registry.publishing.given import signed_by  # noqa: PLC0415 - a reader signs nothing

        return partial(signed_by, sign)
    if sign is not True:
        from bucketry.registry.publishing.given import path_of  # noqa: PLC0415 - a reader signs nothing

        path_of(sign, "sign")
    from bucketry.registry.review.signing import open_signer  # noqa: PLC0415 - loads cryptography

    return open_signer(None if sign is True else os.fspath(sign))
