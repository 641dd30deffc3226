"""What is known about metrics that everybody measures: which way is better, and which are shares of the samples.

It is applied when a comparison is shown, and marked as assumed there; what evidence states wins. It is never written
into a document and no gate asks it: what decides has to be stated. `docs/metrics.md` prints this table, and a test
holds the two against each other.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.documents.evidence import Confidence

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOWN_METRICS_VERSION = 1
"""Grows with each change of the table: a comparison names it, since its digest is what a reviewer signs."""
NORMAL_LEVEL = 0.95
NORMAL_DEVIATIONS = 1.959963984540054
"""How many standard deviations to either side hold that share of a normal distribution."""
PERCENT = "%"


@frozen
class KnownMetric:
    """Some metrics by their names. `is_share`: the mean over the samples of something between 0 and 1.

    `names` are spelled as `plain_name` spells them; `@k` stands for any cut-off.
    """

    direction: str
    names: tuple[str, ...]
    is_share: bool = False


KNOWN_METRICS: Sequence[KnownMetric] = (
    KnownMetric(
        "higher",
        (
            *("accuracy", "acc", "acc_norm", "categorical_accuracy", "binary_accuracy", "top_k_accuracy"),
            *("exact_match", "em", "exact", "quasi_exact_match", "pass@k", "hit_rate", "hit_rate@k", "hits@k"),
            *("prompt_level_strict_acc", "prompt_level_loose_acc", "inst_level_strict_acc", "inst_level_loose_acc"),
            *("win_rate", "success_rate", "pass_rate", "resolve_rate", "resolved_rate"),
        ),
        is_share=True,
    ),
    KnownMetric(
        "lower",
        ("error_rate", "error", "failure_rate", "toxicity_rate", "hallucination_rate", "attack_success_rate"),
        is_share=True,
    ),
    KnownMetric(
        "higher",
        (
            *("auc", "auroc", "roc_auc", "roc_auc_score", "pr_auc", "auprc", "average_precision", "ap", "map", "map@k"),
            *("f1", "f1_score", "f1_macro", "f1_micro", "f1_weighted", "macro_f1", "micro_f1", "weighted_f1", "fbeta"),
            *("precision", "recall", "precision@k", "recall@k", "sensitivity", "specificity", "balanced_accuracy"),
            *("matthews_correlation", "mcc", "cohen_kappa", "kappa", "ndcg", "ndcg@k", "mrr", "mrr@k"),
            *("r2", "r2_score", "explained_variance", "pearson", "pearsonr", "spearman", "spearmanr", "kendall_tau"),
            *("cosine_pearson", "cosine_spearman", "dot_pearson", "dot_spearman"),
            *("bleu", "sacrebleu", "chrf", "chrf++", "meteor", "comet", "bertscore", "bleurt"),
            *("rouge", "rouge1", "rouge2", "rougel", "rougelsum", "iou", "miou", "mean_iou", "dice", "psnr", "ssim"),
            *("mean_reward", "reward", "elo", "mc1", "mc2", "throughput", "tokens_per_second", "samples_per_second"),
        ),
    ),
    KnownMetric(
        "lower",
        (
            *("loss", "log_loss", "logloss", "cross_entropy", "nll", "nll_loss", "hinge_loss", "brier", "brier_score"),
            *("perplexity", "ppl", "word_perplexity", "byte_perplexity", "bits_per_byte", "bits_per_character"),
            *("mse", "rmse", "mae", "mape", "smape", "msle", "rmsle", "mean_squared_error", "mean_absolute_error"),
            *("root_mean_squared_error", "median_absolute_error", "max_error", "pinball_loss"),
            *("wer", "cer", "mer", "ter", "word_error_rate", "character_error_rate", "equal_error_rate", "eer"),
            *("ece", "calibration_error", "expected_calibration_error", "fid", "kid", "lpips"),
            *("false_positive_rate", "false_negative_rate", "fpr", "fnr", "toxicity"),
            *("demographic_parity_difference", "equalized_odds_difference"),
            *("latency", "latency_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "time_to_first_token", "ttft", "tpot"),
        ),
    ),
)

_OF_SPLIT = re.compile(r"(?:eval|evaluation|test|val|valid|validation|dev|train|training)[_/](?=.)")
_AVERAGE = re.compile(r"(?:macro|micro|weighted|samples)_(?:avg_|average_)?(?=.)|_(?:macro|micro|weighted|samples)\Z")
_CUT_OFF = re.compile(r"(?:@|_at_)\d+\Z")
_TOP_K = re.compile(r"top_?\d+_(?:acc|accuracy)\Z|(?:acc|accuracy)@\d+\Z")
_BY_NAME = {name: known for known in KNOWN_METRICS for name in known.names}


def plain_name(name: str) -> str:
    """Return a metric's name as the table spells it: `eval/Top-5 Accuracy` is `top_k_accuracy`."""
    plain = re.sub(r"[\s\-]+", "_", name.split(",", 1)[0].strip().casefold())
    plain = _OF_SPLIT.sub("", plain, count=1) if _OF_SPLIT.match(plain) else plain
    plain = "top_k_accuracy" if _TOP_K.match(plain) else _CUT_OFF.sub("@k", plain)
    return plain if plain in _BY_NAME or not _AVERAGE.search(plain) else _AVERAGE.sub("", plain, count=1)


def find_known_metric(name: str) -> KnownMetric | None:
    """Return what is known about a metric of this name."""
    return _BY_NAME.get(plain_name(name))


def assumed_direction(name: str) -> str | None:
    """Return which way is better for a well-known metric, None for any other."""
    known = find_known_metric(name)
    return known.direction if known else None


def assumed_interval(name: str, value: float, unit: str | None, samples: int | None) -> Confidence | None:
    """Return the 95 % Wilson interval of a well-known share, in the value's unit; None where that is not known.

    A mean of other values between 0 and 1 varies less than a share does, so for it the interval is cautious.
    """
    known = find_known_metric(name)
    if known is None or not known.is_share or samples is None or samples < 1 or unit not in {None, PERCENT}:
        return None
    scale = 100.0 if unit == PERCENT else 1.0
    if not 0 <= value <= scale:
        return None
    low, high = wilson_interval(value / scale, samples)
    # The bounds of 0 and 1 are these values themselves, which rounding may miss.
    return Confidence(min(low * scale, value), max(high * scale, value), NORMAL_LEVEL)


def wilson_interval(share: float, samples: int) -> tuple[float, float]:
    """Return the bounds of a share's interval (E. B. Wilson, 1927), at `NORMAL_LEVEL`."""
    square = NORMAL_DEVIATIONS**2 / samples
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)
