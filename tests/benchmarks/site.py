"""Where do the bytes lie, and who serves them?

A registry in a folder, on a file system in memory, is a bucket for nginx: it answers GET and HEAD with strong ETags and
keeps If-Match, If-None-Match and ranges, which is all that reading a registry takes. Signatures are sent and ignored.
The one listing that peers need (that of the many small files) is a fixed reply.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.measure import run_once
from benchmarks.peers import OURS, ObjectAt
from servers.process import answers, find_free_ports, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUCKET = "bucket"
NAMESPACE = "bench"
REGISTRY_URL = f"s3://{BUCKET}/registry"
BLOCK_BYTES = 16 * 1024 * 1024

NGINX = """
{user}
worker_processes 2;
daemon off;
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 2048; }}
http {{
    log_format requests '$request_method $status $request_uri';
    access_log {work}/requests.log requests;
    {temporary}
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 60s;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    ssl_certificate {work}/tls.crt;
    ssl_certificate_key {work}/tls.key;
    ssl_session_cache shared:tls:1m;
    server {{
        listen 127.0.0.1:{http_port} backlog=1024;
        listen 127.0.0.1:{https_port} ssl backlog=1024;
        root {work};
        location = /{bucket} {{ types {{ }} default_type application/xml; try_files /listing.xml =404; }}
        location = /{bucket}/ {{ types {{ }} default_type application/xml; try_files /listing.xml =404; }}
        location /{bucket}/ {{ }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Blob:
    """One object of a model, and the file in which it lies."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Site:
    """The folder of one run, and the ports of its nginx."""

    work: Path
    http_port: int
    https_port: int
    size_bytes: int
    huge_bytes: int

    @property
    def registry(self) -> Path:
        """The registry as a folder."""
        return self.work / BUCKET / "registry"

    def url(self, *, tls: bool = False) -> str:
        """Where nginx listens."""
        return f"https://127.0.0.1:{self.https_port}" if tls else f"http://127.0.0.1:{self.http_port}"

    def at(self, path: Path, endpoint_url: str) -> ObjectAt:
        """Return a file or folder of the bucket as an S3 client names it."""
        return ObjectAt(endpoint_url, BUCKET, path.relative_to(self.work / BUCKET).as_posix())

    def environment(self, endpoint_url: str = "") -> dict[str, str]:
        """Return what a measured program sees: nothing of the user's, and the S3 server that is meant."""
        authority = str(self.work / "ca.crt")
        found = {
            "PATH": f"{OURS.parent}:{os.environ['PATH']}",
            "HOME": str(self.work / "home"),
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": "AKIABENCHMARK0000000",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.work / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.work / "no-credentials"),
            "BUCKETRY_CACHE": str(self.work / "cache"),
            "BUCKETRY_CONFIG": os.devnull,
            "BUCKETRY_IDENTITY": "benchmark@example.org",
        }
        if endpoint_url.startswith("https:"):
            found |= {"AWS_CA_BUNDLE": authority, "SSL_CERT_FILE": authority}
        return found | ({"AWS_ENDPOINT_URL_S3": endpoint_url} if endpoint_url else {})

    def tell(
        self, *arguments: str, registry: str = "", environment: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        """Run one of our own commands, unmeasured; the registry is the one in the folder by default."""
        command = [str(OURS), *arguments, "--json", "--quiet", "-r", registry or str(self.registry)]
        found = run_once(command, environment or self.environment(), self.work)
        document: dict[str, object] = json.loads(found.output)
        return document

    def publish(self, model: str, source: Path) -> None:
        """Publish a file or a folder as the next version, and let `production` name it."""
        done = self.tell("publish", f"{NAMESPACE}/{model}", str(source))
        self.tell("promote", f"{NAMESPACE}/{model}:{done['version']}", "production")

    def blob_folder(self, model: str) -> Path:
        """Return the folder in which the blobs of a model lie."""
        return self.registry / "blobs" / NAMESPACE / model / "1"

    def large(self, version: int = 1) -> Blob:
        """Return the large file, made when it is first asked for. One chunk in ten of version 2 differs from 1's."""
        if version == 2:
            self.large(1)
        path = self.work / f"large-{version}" / "model.bin"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)  # an earlier try may have ended in between
            if version == 1:
                write_random(path, self.size_bytes)
            else:
                shutil.copyfile(self.large(1).path, path)
                change_blocks(path, every=10)
            self.publish("large", path)
            # From here on the blob itself serves as the source of uploads: one copy in memory is enough.
            blob = self.blob_folder("large") / digest_of(path)
            path.unlink()
            path.hardlink_to(blob)
        return Blob(self.blob_folder("large") / digest_of(path), digest_of(path), path.stat().st_size)

    def huge(self) -> Blob:
        """Return a larger file, of which a pull takes so long that starting a process does not decide."""
        folder = self.blob_folder("huge")
        if not folder.exists():
            path = self.work / "model.bin"
            write_random(path, self.huge_bytes)
            self.publish("huge", path)
            path.unlink()
        (blob,) = folder.iterdir()
        return Blob(blob, blob.name, self.huge_bytes)

    def small(self, count: int, size_bytes: int) -> Path:
        """Return the folder of many small blobs, made when it is first asked for, and let nginx list it."""
        folder = self.blob_folder("small")
        if not folder.exists():
            source = self.work / "small"
            source.mkdir()
            for number in range(count):
                (source / f"{number:05}.bin").write_bytes(os.urandom(size_bytes))
            self.publish("small", source)
            shutil.rmtree(source)
            (self.work / "listing.xml").write_text(listing_of(self.work / BUCKET, folder))
        return folder

    def requests(self) -> list[str]:
        """Return what nginx was asked since this was last called: method, status, path."""
        log = self.work / "requests.log"
        asked = log.read_text().splitlines()
        os.truncate(log, 0)
        return asked


@contextmanager
def open_site(parent: Path, size_bytes: int, huge_bytes: int) -> Iterator[Site]:
    """Make the folder and start nginx; stop it and remove everything at the end."""
    work = parent / f"bucketry-benchmark-{os.getpid()}"
    (work / BUCKET).mkdir(parents=True)
    (work / "home").mkdir()
    http_port, https_port = find_free_ports(2)
    site = Site(work, http_port, https_port, size_bytes, huge_bytes)
    try:
        make_certificate(work)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        config = NGINX.format(
            user="user root;" if os.getuid() == 0 else "",
            temporary=" ".join(f"{kind}_temp_path {work}/nginx-{kind};" for kind in kinds),
            work=work,
            bucket=BUCKET,
            http_port=http_port,
            https_port=https_port,
        )
        (work / "nginx.conf").write_text(config)
        command = ["nginx", "-c", str(work / "nginx.conf"), "-e", str(work / "nginx-start.log")]
        with running(command, {}, work / "nginx.log", lambda: answers(http_port)):
            site.tell("init", str(site.registry))
            yield site
    finally:
        shutil.rmtree(work)


@contextmanager
def shaped(site: Site, *, latency_seconds: float, connection_rate: float, pipe_rate: float) -> Iterator[int]:
    """Put the shaping proxy before nginx and yield its port; rates are bytes a second."""
    (port,) = find_free_ports(1)
    report = site.work / "shaped.json"
    numbers = (port, site.http_port, latency_seconds, connection_rate, pipe_rate)
    script = Path(__file__).with_name("shaped.py")
    command = [str(OURS.with_name("python")), str(script), str(report), *map(str, numbers)]
    with running(command, {}, site.work / "shaped.log", lambda: answers(port)):
        yield port


def write_random(path: Path, size_bytes: int) -> None:
    """Write a file of which no two blocks are alike."""
    with path.open("wb") as file:
        for start in range(0, size_bytes, BLOCK_BYTES):
            file.write(os.urandom(min(BLOCK_BYTES, size_bytes - start)))


def change_blocks(path: Path, *, every: int) -> None:
    """Change one byte in every so many blocks, the first not among them."""
    with path.open("r+b") as file:
        for start in range((every - 1) * BLOCK_BYTES, path.stat().st_size, every * BLOCK_BYTES):
            file.seek(start)
            old = file.read(1)
            file.seek(start)
            file.write(bytes([old[0] ^ 1]))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, remembered: files of a run do not change."""
    known = _digests.get(path)
    if known is None:
        with path.open("rb") as file:
            known = _digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return known


def listing_of(bucket: Path, folder: Path) -> str:
    """Return the reply to a listing of one folder, whatever its query asks."""
    entries = "".join(
        f"<Contents><Key>{escape(path.relative_to(bucket).as_posix())}</Key><Size>{path.stat().st_size}</Size>"
        f'<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"0"</ETag></Contents>'
        for path in sorted(folder.iterdir())
    )
    prefix = folder.relative_to(bucket).as_posix()
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket.name}</Name><Prefix>{prefix}/</Prefix><MaxKeys>100000</MaxKeys>"
        f"<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    )


def make_certificate(work: Path) -> None:
    """Make a certificate for 127.0.0.1, and the authority that signed it, which every client is told to trust."""
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (work / "tls.ext").write_text(
        "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
    )
    sign = ["x509", "-req", "-days", "2", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=benchmark authority", "-keyout", "ca.key", "-out", "ca.crt"],
        [*new, "-subj", "/CN=127.0.0.1", "-keyout", "tls.key", "-out", "tls.csr"],
        [*sign, "-extfile", "tls.ext", "-out", "tls.crt"],
    ):
        subprocess.run(["openssl", *command], cwd=work, check=True, capture_output=True)


_digests: dict[Path, str] = {}
