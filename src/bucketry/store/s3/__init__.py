"""S3 and what speaks like it as a bucket; `sdk/` asks boto3 who we are and where the bucket is, and nothing else."""
