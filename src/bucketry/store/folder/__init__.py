"""A plain folder as a bucket, for any number of processes, over NFS, without a lock."""
