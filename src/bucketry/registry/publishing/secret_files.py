"""Tells which files look like a secret, by their names or, if they are small texts, by what stands in them.

A version is never changed again, and whoever can read the registry can read it. A false alarm costs one option; what
gets through can only be revoked where it was issued.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_TEXT_BYTES = 256 * 1024
_NAMES = {
    "a private key": (
        "id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk id_xmss *.ppk *.p12 *.pfx *.jks *.keystore "
        "*.kdbx *.gpg-key secring.gpg *.pkcs12"
    ),
    "a file of credentials": (
        ".env .env.* .envrc .netrc _netrc .pgpass .my.cnf .pypirc .git-credentials .htpasswd .dockercfg .boto .s3cfg "
        ".vault-token .passwd-s3fs credentials credentials.json credentials.csv credentials.yaml credentials.yml "
        "credentials.toml credentials.ini accesskeys.csv *_accesskeys.csv rootkey.csv client_secret*.json "
        "application_default_credentials.json service-account*.json service_account*.json kaggle.json secrets.json "
        "secrets.yaml secrets.yml secrets.toml secrets.env .streamlit/secrets.toml rclone.conf terraform.tfstate "
        "*.tfstate *.tfvars .modal.toml .kaggle/* .aws/* .ssh/* .gnupg/* .kube/config .docker/config.json "
        ".azure/* .config/gcloud/* .huggingface/token .cache/huggingface/token huggingface/token *.ovpn"
    ),
}
_HARMLESS_NAMES = frozenset({".env.example", ".env.sample", ".env.template", ".ssh/known_hosts"})
_CONTENTS = (
    ("a private key", rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("a private key", rb"PuTTY-User-Key-File-[0-9]:"),
    ("an AWS access key", rb"\b(?:AKIA|ASIA)(?![A-Z2-7]{9}EXAMPLE)[A-Z2-7]{16}\b"),
    (
        "an AWS secret key",
        rb"(?i)aws_secret_access_key[\"']?\s*[=:]\s*[\"']?(?![A-Za-z0-9/+]{0,33}EXAMPLE)[A-Za-z0-9/+]{40}\b",
    ),
    ("a token of Hugging Face", rb"\bhf_[A-Za-z0-9]{34,40}\b"),
    ("a token of GitHub", rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b"),
    ("a token of GitLab", rb"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{20,64}"),
    ("a token of Slack", rb"\bxox[abeoprs]-[A-Za-z0-9-]{20,}"),
    ("a key of Google", rb"\bAIza[0-9A-Za-z_-]{35}\b"),
    ("a key of OpenAI or its kin", rb"\bsk-(?:proj-|ant-|svcacct-|admin-|or-v1-)[A-Za-z0-9_-]{32,}"),
    ("a key of OpenAI or its kin", rb"\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b"),
    ("a key of Stripe", rb"\b[rs]k_live_[0-9A-Za-z]{24,}\b"),
    ("a token of npm", rb"\bnpm_[A-Za-z0-9]{36}\b|//registry\.npmjs\.org/:_authToken=[^\s$]{8,}"),
    ("a token of PyPI", rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    ("a token of Docker", rb"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    ("a token of Databricks", rb"\bdapi[0-9a-f]{32}\b"),
    ("a key of SendGrid", rb"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b"),
    ("a key of Azure", rb"(?i)\bAccountKey=[A-Za-z0-9+/]{86}=="),
)
_PATTERNS = tuple((words, re.compile(pattern)) for words, pattern in _CONTENTS)


def secret_in(path: str, local: Path, size_bytes: int) -> str:
    """Return what a file looks like, as `a private key`; empty for one that looks like no secret.

    `path` is what it would be called in the version. A file that cannot be read is none, and fails later.
    """
    named = _named(path.lower())
    if named or not 0 < size_bytes <= LARGEST_TEXT_BYTES:
        return named
    try:
        with local.open("rb") as file:
            body = file.read(LARGEST_TEXT_BYTES)
    except OSError:
        return ""
    if b"\0" in body[:8_192]:
        return ""
    return next((words for words, pattern in _PATTERNS if pattern.search(body)), "")


def secret_in_text(text: str) -> str:
    """Return what stands in a text, as `a token of GitHub`; empty where nothing has the form of a key or token."""
    body = text.encode(errors="replace")
    return next((words for words, pattern in _PATTERNS if pattern.search(body)), "")


def refuse_secrets(stated: object, place: str) -> None:
    """Raise `UsageError` that names the place of a text, within tables and lists, that has the form of a secret."""
    if isinstance(stated, Mapping):
        for name, value in stated.items():
            refuse_secrets(value, f"{place}: {displayable(str(name))}")
    elif isinstance(stated, list | tuple):
        for at, value in enumerate(stated):
            refuse_secrets(value, f"{place}[{at}]")
    elif isinstance(stated, str) and (words := secret_in_text(stated)):
        raise UsageError(
            f"{place} looks like it holds {words}, and whoever reads the registry could read it for ever",
            advice="leave it out, or write *** in its place",
        )


def _named(path: str) -> str:
    parts = path.split("/")
    endings = {"/".join(parts[-count:]) for count in (1, 2, 3)}
    if endings & _HARMLESS_NAMES:
        return ""
    for words, patterns in _NAMES.items():
        for pattern in patterns.split():
            if any(fnmatchcase(ending, pattern) and ending.count("/") == pattern.count("/") for ending in endings):
                return words
    return ""
