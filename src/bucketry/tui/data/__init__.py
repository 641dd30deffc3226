"""Where the screens get what they show: the local index, the bucket, and the transfers of this machine."""
