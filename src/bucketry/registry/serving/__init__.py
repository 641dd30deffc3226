"""The movable names and who follows them: aliases, watchers, hooks, reports of instances, and the audit trail."""
