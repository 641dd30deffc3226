"""Signatures and trust policy: who may say "approved", and how that is verified."""
