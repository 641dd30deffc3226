"""The key of the SSH agent with which a person signs here.

Where a trust file says whose keys are whose, it decides; else a key whose comment is the identity's name. Among several
of which none is known to be the person's, nobody here may choose: the person is asked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.frozen import frozen

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.trust.trust_file import TrustFile


@frozen
class SigningKey:
    """A key in the agent: its fingerprint, by which `open_signer` finds it, and the comment that it carries."""

    fingerprint: str
    comment: str


@frozen
class SigningKeys:
    """What the agent could sign with. `chosen` is the person's; None with `keys` means that the person is to choose.

    Without keys `why` says why there are none, and what to do.
    """

    keys: tuple[SigningKey, ...] = ()
    chosen: SigningKey | None = None
    why: str = ""


def find_signing_keys(session: Session) -> SigningKeys:
    """Return the agent's keys and which of them is this session's person's; asks the agent, which may take its time."""
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        return SigningKeys(why="there is no SSH agent here (ssh -A forwards yours)")
    from bucketry.trust.ssh.agent import Agent  # noqa: PLC0415 - loads cryptography

    try:
        held = Agent(path).list_keys()
    except BucketryError as error:
        return SigningKeys(why=error.message)
    if not held:
        return SigningKeys(why="the SSH agent holds no key (ssh-add loads one)")
    trust, actor = _find_trust(session), session.actor
    trusted = [
        one
        for one in held
        if trust is not None
        and any(signer.principal == actor and not signer.revoked for signer in trust.signers_of(one.key))
    ]
    by_name = [one for one in held if one.comment == actor]
    found = trusted or by_name or held
    keys = tuple(SigningKey(one.key.fingerprint, one.comment) for one in held)
    return SigningKeys(keys, keys[held.index(found[0])] if len(found) == 1 else None)


def _find_trust(session: Session) -> TrustFile | None:
    """Return the trust file of this session or of its profile, if there is one that can be read."""
    if session.strict is not None:
        return session.strict.trust
    if session.profile is None or session.profile.trust is None:
        return None
    from bucketry.trust.trust_file import TrustFileError, load_trust_file  # noqa: PLC0415 - loads cryptography

    try:
        return load_trust_file(session.profile.trust)
    except TrustFileError:
        return None  # it only helps to choose; what is served is decided by who reads it in earnest
