"""The screen of one version: its tabs, one module for each."""
