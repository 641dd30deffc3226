"""Transfers that outlive the terminal.

What a job is stands in model and orders, who asks for it in client, and who does it in helper and queue.
"""
