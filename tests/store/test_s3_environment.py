"""Is what the environment says by itself what the SDK would say, and is the SDK asked wherever it may know more?"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore.credentials import Credentials
from botocore.httpsession import DEFAULT_CA_BUNDLE, where
from botocore.utils import get_environ_proxies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bucketry.errors import DeniedError, UsageError
from bucketry.store.s3.account import Account
from bucketry.store.s3.environment import READ_HERE, WITHOUT_EFFECT, find_environment
from bucketry.store.s3.plain import find_plain_endpoint
from bucketry.store.s3.sdk.account import find_plain_by_session, open_session
from bucketry.store.s3.signing import SigningClock
from bucketry.store.s3.store import S3Settings, S3Store
from bucketry.store.s3.target import find_usual_authorities, has_proxy
from examples import of_hundred
from servers.misbehaving import refusal, run_misbehaving
from store.s3_stores import credentials

if TYPE_CHECKING:
    from pathlib import Path

    from servers.process import S3Server

URL = "https://storage.example.com"
HERE = S3Settings(endpoint_url="http://127.0.0.1:9")
REGIONS = ("", "us-east-1", "eu-west-1", "cn-north-1", "auto", "aws-global")
URLS = (
    "",
    URL,
    f"{URL}:9000/",
    f"{URL}/below",
    "http://localhost:9000",
    "https://s3.eu-west-1.amazonaws.com",
    "no URL",
)
VALUES: dict[str, tuple[str, ...]] = {
    "AWS_ACCESS_KEY_ID": ("", "AKIA"),
    "AWS_SECRET_ACCESS_KEY": ("", "secret"),
    "AWS_SESSION_TOKEN": ("", "token"),
    "AWS_SECURITY_TOKEN": ("", "other-token"),
    "AWS_CREDENTIAL_EXPIRATION": ("2099-01-01T00:00:00Z",),
    "AWS_DEFAULT_REGION": REGIONS,
    "AWS_REGION": REGIONS,
    "AWS_ENDPOINT_URL": URLS,
    "AWS_ENDPOINT_URL_S3": URLS,
    "AWS_ENDPOINT_URL_STS": URLS,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": ("", "TRUE", "false"),
    "AWS_PROFILE": ("", "default", "other"),
    "AWS_DEFAULT_PROFILE": ("default",),
    "AWS_USE_FIPS_ENDPOINT": ("true", "false"),
    "AWS_USE_DUALSTACK_ENDPOINT": ("true", "false"),
    "AWS_S3_USE_ARN_REGION": ("true", "false"),
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": ("legacy", "regional"),
    "AWS_SIGV4A_SIGNING_REGION_SET": ("", "*"),
    "AWS_DEFAULTS_MODE": ("legacy", "standard"),
    "AWS_SDK_UA_APP_ID": ("mine",),
    "AWS_CA_BUNDLE": ("", "/nowhere/ca.pem"),
    "AWS_REQUEST_CHECKSUM_CALCULATION": ("when_supported", "when_required"),
    "AWS_RESPONSE_CHECKSUM_VALIDATION": ("when_supported",),
    "AWS_EXECUTION_ENV": ("AWS_ECS_FARGATE",),
    "AWS_ACCOUNT_ID": ("123456789012",),
    "AWS_RETRY_MODE": ("adaptive",),
    "AWS_ROLE_ARN": ("arn:aws:iam::123456789012:role/x",),
    "AWS_WEB_IDENTITY_TOKEN_FILE": ("/nowhere/token",),
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": ("http://127.0.0.1:9/",),
    "BOTOCORE_EXPERIMENTAL__PLUGINS": ("a=b",),
}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
KNOWN = sorted(name for name in VALUES if name in READ_HERE | WITHOUT_EFFECT)


def _said_by(names: list[str], most: int) -> st.SearchStrategy[dict[str, str]]:
    return st.sets(st.sampled_from(names), max_size=most).flatmap(
        lambda found: st.fixed_dictionaries({name: st.sampled_from(VALUES[name]) for name in found})
    )


# Most that are drawn leave nothing to ask, or there would be little to compare.
SAID = st.one_of(_said_by(KNOWN, 8), _said_by(KNOWN, 4), _said_by(sorted(VALUES), 3))
ASKED = st.builds(
    S3Settings,
    profile=st.sampled_from((*[None] * 8, "other")),
    region=st.sampled_from((None, None, *REGIONS)),
    endpoint_url=st.sampled_from((None, None, URL, "http://127.0.0.1:9000")),
    addressing=st.sampled_from(("auto", "auto", "path", "virtual")),
)
FILE = st.sampled_from((*[None] * 10, "[default]\nregion = eu-north-1\n", f"[default]\nendpoint_url = {URL}\n"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@settings(max_examples=of_hundred(300), suppress_health_check=[HealthCheck.too_slow])
@given(said=SAID, has_keys=st.sampled_from((True, True, True, False)), asked=ASKED, config=FILE, shared=FILE)
def test_what_is_decided_without_the_sdk_is_what_it_would_decide(
    folder: Path, *, said: dict[str, str], has_keys: bool, asked: S3Settings, config: str | None, shared: str | None
) -> None:
    aws = folder / ".aws"
    aws.mkdir(exist_ok=True)
    for name, text in (("config", config), ("credentials", shared)):
        (aws / name).unlink(missing_ok=True)
        if text is not None:
            (aws / name).write_text(text)
    with credentials(None, None):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BOTO"))}
    variables = {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", **(KEYS if has_keys else {}), **said}
    with mock.patch.dict(os.environ, {**kept, **variables}, clear=True):
        found = find_environment(asked)
        if found is None:
            return
        session = open_session(asked)
        ours = find_plain_endpoint("reg", asked, found.endpoint_url, found.region)
        assert ours == find_plain_by_session(session, "reg", asked)
        keys = session.get_credentials()
        assert type(keys) is Credentials  # none that would be refreshed
        assert keys.get_frozen_credentials()[:3] == (found.keys.access_key, found.keys.secret_key, found.keys.token)
        assert (session.get_config_variable("ca_bundle") or None) == (found.authorities or None)


@pytest.mark.parametrize("name", sorted(READ_HERE | WITHOUT_EFFECT))
def test_a_variable_that_is_known_is_no_reason_to_ask(name: str) -> None:
    with credentials("a", "b"), mock.patch.dict(os.environ, {name: "us-east-1"}):
        assert find_environment(S3Settings()) is not None


@pytest.mark.parametrize(
    "name",
    ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CREDENTIAL_EXPIRATION", "AWS_SECURITY_TOKEN", "AWS_USE_FIPS_ENDPOINT",
     "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_INVENTED_TOMORROW", "BOTO_X"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["", "false", "x"])
def test_any_other_variable_of_the_sdk_is(name: str, value: str) -> None:
    with credentials("a", "b"), mock.patch.dict(os.environ, {name: value}):
        assert find_environment(S3Settings()) is None


@pytest.mark.parametrize("name", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_a_file_of_profiles_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("")
    with credentials("a", "b"), mock.patch.dict(os.environ, {"HOME": str(tmp_path), "THE": "x", name: "~/$THE"}):
        assert find_environment(S3Settings()) is None
        (tmp_path / "x").unlink()
        assert find_environment(S3Settings()) is not None


def test_the_authorities_are_those_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_usual_authorities() == where()
    monkeypatch.setitem(sys.modules, "certifi", None)
    assert find_usual_authorities() == DEFAULT_CA_BUNDLE
    assert os.path.isfile(DEFAULT_CA_BUNDLE)  # noqa: PTH113 - as it is spelled there


PROXIES = st.fixed_dictionaries(
    {},
    optional={
        "http_proxy": st.sampled_from(("", "http://proxy:1")),
        "HTTPS_PROXY": st.sampled_from(("", "http://proxy:1")),
        "all_proxy": st.just("http://proxy:1"),
        "NO_PROXY": st.sampled_from(("", "*", "example.com", "other.org,storage.example.com")),
        "no_proxy": st.sampled_from(("", "storage.example.com:9000")),
        "REQUEST_METHOD": st.just("GET"),
    },
)


@settings(max_examples=of_hundred(200))
@given(said=PROXIES, url=st.sampled_from((URL, f"{URL}:9000", "http://storage.example.com", "http://other")))
def test_a_proxy_is_in_the_way_where_the_sdk_would_take_it(*, said: dict[str, str], url: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with mock.patch.dict(os.environ, {**kept, **said}, clear=True):
        parts = urlsplit(url)
        assert has_proxy(parts) is (parts.scheme in get_environ_proxies(url))


def test_the_keys_are_those_of_the_beginning_and_shown_by_nothing() -> None:
    with credentials("AKIA", "the-secret", "the-token"), closing(Account("reg", HERE, SigningClock())) as account:
        os.environ["AWS_ACCESS_KEY_ID"] = "another"
        assert account.credentials().access_key == "AKIA"
        assert "the-" not in repr(account.credentials())
        assert not account.has_sdk
        # What the client sends after all is signed by the same keys.
        assert account.client.meta.endpoint_url == HERE.endpoint_url
        signer: Any = account.client
        assert signer._request_signer._credentials.access_key == "AKIA"  # noqa: SLF001 - nothing else shows it


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("behind", ["\n", "\r\nX-Injected: 1", "\udcff"])
def test_a_key_that_cannot_be_sent_is_named_and_not_repeated(name: str, behind: str) -> None:
    said = {name: f"hidden-word{behind}"}
    with credentials("a", "b"), mock.patch.dict(os.environ, said), pytest.raises(UsageError) as caught:
        S3Store("registry", "", HERE)
    assert caught.value.message.startswith(f"{name} has a character")
    assert "hidden-word" not in f"{caught.value} {caught.value.advice}"


def test_an_expired_token_of_the_environment_is_final() -> None:
    with (
        run_misbehaving(lambda _: refusal(403, "ExpiredToken")) as bad,
        credentials("a", "b", "token"),
        closing(S3Store("registry", "", S3Settings(endpoint_url=bad.server.endpoint_url))) as store,
    ):
        with pytest.raises(DeniedError, match="session has expired"):
            store.get("key")
        assert len(bad.asked) == 1


EVERY_DAY = """
import sys
from bucketry.cli.program import run_arguments
registry, source, target = sys.argv[1:]
for arguments in (
    ["init"], ["publish", "acme/chat", source], ["promote", "acme/chat:1", "production"],
    ["resolve", "acme/chat@production"], ["pull", "acme/chat@production", target],
    ["versions", "acme/chat"], ["fsck"],
):
    code = run_arguments([*arguments, "-r", registry])
    assert code == 0, arguments
loaded = {name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore", "urllib3", "s3transfer"}
assert not loaded, loaded
"""


def test_nothing_of_the_sdk_is_loaded_by_what_a_registry_does_every_day(weed: S3Server, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "small.txt").write_bytes(b"small")
    (source / "large.bin").write_bytes(bytes(20 * 1024 * 1024))
    with credentials(weed.access_key, weed.secret_key):
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": weed.endpoint_url,
            "BUCKETRY_CONFIG": os.devnull,
            "BUCKETRY_CACHE": str(tmp_path / "cache"),
            "BUCKETRY_IDENTITY": "me@example.org",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
    arguments = [f"s3://{weed.bucket}/without-the-sdk", str(source), str(tmp_path / "pulled")]
    done = subprocess.run(
        [sys.executable, "-c", EVERY_DAY, *arguments],
        capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pulled" / "large.bin").stat().st_size == 20 * 1024 * 1024
