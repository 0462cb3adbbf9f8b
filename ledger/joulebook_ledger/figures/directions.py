"""Which way is better, for scores whose name leaves no doubt; any other is said by whoever logs it."""

from __future__ import annotations

import re
from functools import lru_cache

# Facts about a run that are logged like scores, and that nobody ranks by: they are what a ranking may be *per*.
EFFICIENCY_FACTS = frozenset(
    {
        "params", "parameters", "samples", "tokens", "epochs", "epoch", "steps", "step", "flops", "macs", "batch_size",
        "learning_rate", "lr", "seed", "size_bytes", "latency", "latency_s", "throughput",
    }
)  # fmt: skip
_HIGHER = frozenset(
    {
        "accuracy", "acc", "top1", "top5", "precision", "recall", "f1", "f1_score", "auc", "auroc", "roc_auc", "auprc", "ap", "map",
        "map50", "iou", "miou", "dice", "bleu", "sacrebleu", "rouge", "rouge1", "rouge2", "rougel", "meteor", "chrf", "r2", "mcc",
        "kappa", "ndcg", "mrr", "hit_rate", "exact_match", "em", "pass1", "psnr", "ssim", "reward", "return", "win_rate", "elo", "score",
        "spearman", "pearson", "mmlu", "glue", "balanced_accuracy", "silhouette",
    }
)  # fmt: skip
_LOWER = frozenset(
    {
        "loss", "error", "error_rate", "perplexity", "ppl", "wer", "cer", "ter", "mae", "mse", "rmse", "mape", "nll", "bpc", "bpb",
        "cross_entropy", "log_loss", "logloss", "brier", "fid", "kl", "eer", "hamming_loss", "inertia",
    }
)  # fmt: skip
_PREFIXES = re.compile(r"^(?:val|valid|validation|test|train|eval|dev|heldout|held_out|best|final|mean|avg)_")


@lru_cache(maxsize=1_024)
def lower_is_better(name: str) -> bool | None:
    """Return whether less of a score is better; None where its name does not say.

    >>> lower_is_better("val_loss"), lower_is_better("accuracy"), lower_is_better("zap")
    (True, False, None)
    """
    plain = re.sub(r"[\s@/.-]+", "_", name.strip().lower())
    while (shorter := _PREFIXES.sub("", plain)) != plain:
        plain = shorter
    plain = plain.replace("@", "")
    for candidate in (plain, plain.replace("_", ""), plain.rpartition("_")[2]):
        if candidate in _HIGHER:
            return False
        if candidate in _LOWER:
            return True
    return None
