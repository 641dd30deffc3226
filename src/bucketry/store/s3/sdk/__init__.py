"""What boto3 is asked for: credentials, the way to a bucket, and a signer for what ours does not cover."""
