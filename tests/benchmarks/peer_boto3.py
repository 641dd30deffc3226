"""boto3 fetches an object: ENDPOINT BUCKET KEY TARGET [THREADS PART_MIB]. Run with the peers' Python."""

from __future__ import annotations

import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config


def main(endpoint_url: str, bucket: str, key: str, target: str, *tuning: str) -> None:
    threads, part_mib = (int(text) for text in tuning) if tuning else (10, 8)  # the defaults
    parts = TransferConfig(max_concurrency=threads, multipart_chunksize=part_mib * 1024 * 1024)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        config=Config(max_pool_connections=max(10, threads), s3={"addressing_style": "path"}),
    )
    client.download_file(bucket, key, target, Config=parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
