from __future__ import annotations

import pytest

from bucketry.schema.documents.policy import DEFAULT_POLICY, parse_policy_toml
from bucketry.schema.judging.policy_changes import protection_removed

AUC = '[[gate]]\nmetric = "auc"\n'
WORSE = '[[gate]]\nmetric = "auc"\nno_worse_than = "production"\n'


def removed(before: str, after: str) -> tuple[str, ...]:
    old, new = (parse_policy_toml(text, what="p").over(DEFAULT_POLICY) for text in (before, after))
    return protection_removed(old, new)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('protected_aliases = ["production"]', 'protected_aliases = ["prod"]', "production is no longer protected"),
        ("approvals_required = 2", "approvals_required = 1", "1 approvals are required instead of 2"),
        ("approvals_required = 2", "separate_duties = true", "0 approvals are required instead of 2"),
        ("separate_duties = true", "separate_duties = false", "authors may approve what they published"),
        ('signatures = "required"', 'signatures = "optional"', "approvals need no signature"),
        ('reviewers = ["a@x"]', "reviewers = []", "everybody may decide"),
        ("approval_expires_days = 30", "approval_expires_days = 0", "approvals last for ever instead of 30 days"),
        ("approval_expires_days = 30", "approval_expires_days = 90", "approvals last 90 days instead of 30"),
        (AUC + "at_least = 0.9", "gate = []", "no such gate any more: auc >= 0.9"),
        (AUC + "at_least = 0.9", AUC + "at_least = 0.8", "no such gate any more: auc >= 0.9"),
        (AUC + "at_least = 0.9", AUC + "at_most = 0.95", "no such gate any more: auc >= 0.9"),
        (AUC + "at_most = 0.9", AUC + "at_most = 0.95", "no such gate any more: auc <= 0.9"),
        (AUC + "at_least = 0.9", AUC + 'at_least = 0.9\ndataset = "d"', "no such gate any more"),
        (AUC + "at_least = 0.9", AUC + 'at_least = 0.9\naliases = ["production"]', "no such gate any more"),
        (WORSE + "tolerance = 0.1", WORSE + "tolerance = 0.2", "no such gate any more"),
        ('[[gate]]\nevidence = "safety"\nat_least = 2', '[[gate]]\nevidence = "safety"\nat_least = 1', "no such gate"),
        ('[[gate]]\ncard_sections = ["A", "B"]', '[[gate]]\ncard_sections = ["A"]', "no such gate any more"),
        ('[[gate]]\nformats = ["json"]', '[[gate]]\nformats = ["json", "bin"]', "no such gate any more"),
        ('[[gate]]\npickle_scan = "strict"', "[[gate]]\npickle_scan = true", "no such gate any more"),
        ("[[gate]]\npickle_scan = true", '[[gate]]\nformats = ["json"]', "no such gate any more"),
    ],
)
def test_what_takes_protection_away_is_named(before: str, after: str, said: str) -> None:
    [told] = removed(before, after)
    assert said in told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("approvals_required = 1", "approvals_required = 2"),
        ('protected_aliases = ["production"]', 'protected_aliases = ["production", "staging"]'),
        ("approval_expires_days = 0", "approval_expires_days = 30"),
        ("reviewers = []", 'reviewers = ["a@x"]'),
        ('headline_metrics = ["auc"]', "headline_metrics = []"),
        (AUC + "at_least = 0.9", AUC + "at_least = 0.95\nat_most = 1"),
        (AUC + 'at_least = 0.9\naliases = ["production"]', AUC + "at_least = 0.9"),
        (AUC + 'at_least = 0.9\naliases = ["a"]', AUC + 'at_least = 0.9\naliases = ["a", "b"]'),
        (WORSE + "tolerance = 0.2", WORSE),
        ('[[gate]]\nevidence = "safety"\nat_least = 1', '[[gate]]\nevidence = "safety"\nat_least = 2'),
        ('[[gate]]\ncard_sections = ["A"]', '[[gate]]\ncard_sections = ["B", "A"]'),
        ('[[gate]]\nformats = ["json", "bin"]', '[[gate]]\nformats = ["json"]'),
        ("[[gate]]\npickle_scan = true", '[[gate]]\npickle_scan = "strict"'),
    ],
)
def test_what_is_as_strict_takes_nothing_away(before: str, after: str) -> None:
    assert removed(before, after) == ()
