"""A bucket, and nothing about models; also the probe that says whether it keeps its promises."""
