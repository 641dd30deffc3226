"""s3transfer fetches an object with Amazon's own engine: ENDPOINT BUCKET KEY TARGET. Run with the peers' Python.

boto3 itself uses that engine for Amazon's endpoints alone.
"""

from __future__ import annotations

import os
import sys

import botocore.session
from botocore.config import Config
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

REGION = "us-east-1"


def main(endpoint_url: str, bucket: str, key: str, target: str) -> None:
    session = botocore.session.get_session()
    config = Config(s3={"addressing_style": "path"})
    asked = {"region_name": REGION, "endpoint_url": endpoint_url, "config": config}
    client = create_s3_crt_client(
        REGION,
        BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider(),
        use_ssl=endpoint_url.startswith("https:"),
        verify=os.environ.get("AWS_CA_BUNDLE"),
    )
    with CRTTransferManager(client, BotocoreCRTRequestSerializer(session, asked)) as transfers:
        transfers.download(bucket, key, target).result()


if __name__ == "__main__":
    main(*sys.argv[1:])
