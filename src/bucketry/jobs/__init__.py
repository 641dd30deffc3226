"""Transfers that outlive the terminal.

What a job is stands in model and orders, who orders and steers it in client, and who does it in worker, pull and
publish. files has the folder in which all of it is written down.
"""
