"""People with keys, what they say about versions, and the trust file that believes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ed25519

from bucketry.schema.documents.reviews import Action, Decision, Review, Statement, decision_of, encode_statement
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.trust.signing import FileSigner
from bucketry.trust.ssh.keys import decode_public_key, encode_public_key

if TYPE_CHECKING:
    from collections.abc import Iterable

REGISTRY = "0b0c9c2e-6f3d-4b57-9d7e-4f2f5a0d1c11"
CHAT = ModelName("risk", "chat")
PRODUCTION = AliasName("production")
MANIFEST = Digest("ab" * 32)
STATEMENT = Statement(
    registry=REGISTRY,
    model=CHAT,
    manifest=MANIFEST,
    action=Action.APPROVE,
    principal="",
    sequence=1,
    created="2026-06-01T12:00:00Z",
    version=7,
)


@dataclass(frozen=True)
class Person:
    """Somebody with an ed25519 key, the same in every run."""

    principal: str
    key: int = 0

    @property
    def signer(self) -> FileSigner:
        seed = hashlib.sha256(f"{self.principal} {self.key}".encode()).digest()
        private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        return FileSigner(private, decode_public_key(encode_public_key(private.public_key())))

    @property
    def line(self) -> str:
        return self.signer.public_key.line

    @property
    def fingerprint(self) -> str:
        return self.signer.public_key.fingerprint

    def sign(self, statement: Statement, *, namespace: str | None = None) -> Review:
        payload = encode_statement(statement)
        return Review(payload, self.signer.sign(payload, namespace or statement.namespace))

    def says(self, action: Action, statement: Statement = STATEMENT, *, principal: str = "") -> Decision:
        """Return a signed decision, in this person's name or in another one's."""
        said = replace(statement, action=action, principal=principal or self.principal)
        return decision_of(self.sign(said), what="a review")

    def approves(self, statement: Statement = STATEMENT, *, principal: str = "") -> Decision:
        return self.says(Action.APPROVE, statement, principal=principal)


AUTHOR = Person("author@example.org")
ANNA = Person("anna@example.org")
BERT = Person("bert@example.org")
STRANGER = Person("stranger@example.org")


def signer(person: Person, options: str = "", extra: str = "") -> str:
    """Return a signer's table; a line whose options name no namespaces is one for reviews and publishes."""
    if "namespaces=" not in options:
        options = ",".join(part for part in ('namespaces="review@bucketry,publish@bucketry"', options) if part)
    allowed = " ".join(part for part in (person.principal, options, person.line) if part)
    return f"[[signer]]\nprincipal = \"{person.principal}\"\nallowed = '{allowed}'\n{extra}\n"


def rule(
    by: Iterable[Person] = (ANNA, BERT),
    *,
    approvals: int = 2,
    models: str = "risk/*",
    aliases: str = "production",
    extra: str = "",
) -> str:
    names = ", ".join(f'"{person.principal}"' for person in by)
    return (
        f'[[rule]]\nmodels = ["{models}"]\naliases = ["{aliases}"]\napprovals = {approvals}\nby = [{names}]\n{extra}\n'
    )


def trust_text(*parts: str, registry: str = REGISTRY, top: str = "") -> bytes:
    return "\n".join([f'registry = "{registry}"', top, *parts]).encode()


EVERYBODY = (signer(AUTHOR), signer(ANNA), signer(BERT))
