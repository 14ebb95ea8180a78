"""The verdict on a treatment: ok, warning or failed, in sentences that its user understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tailscope.treatments.checks import SEVERITY, Check, Verdict, merged
from tailscope.treatments.gradient_verdicts import batch_check, gradient_checks, limit_check
from tailscope.treatments.sampling_verdicts import sampling_checks
from tailscope.treatments.training_verdicts import (
    counts_check,
    epoch_checks,
    last_epoch_checks,
    mixing_check,
    partner_checks,
    rebuilt_check,
    weights_check,
)


def judge(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a treatment does what it says.

    *Failed*: it does something else than it says. Images can never be drawn and the plan does not declare it; fewer
    different images than expected; a class never drawn, or not as often as expected; draws that do not follow the
    weights; weights or class counts of other images; labels fed to the loss that are not those of the images drawn; a
    loss or gradient that is not finite; positives without gradient; weights the wrong way round; a limit case that does
    not hold; images mixed with themselves; a network not in training mode. Differences that chance may explain do not
    count (Bernstein's inequality, once in 30 million).

    *Warning*: it does what it says, and the user must know it. The loss depends on the batch; its loss or gradient is
    not within a tenth and ten times control's; images are left out on purpose; few of the images are seen; the tail
    gets less than 0.8 of the gradient that control gives it, in all and at the positives; a class is more than doubled
    by one that it comes with.

    Direction of the weights, of a sampler: the rarest class, drawn so many times as often as it occurs, must not fall
    below 0.8 of that number of the most frequent class (by more than 4 standard errors, where images of the same labels
    have different weights). Of a loss: the pull of a positive with all logits at 0, relative to control, must not fall
    below half of that of the most frequent class. Neither is judged unless the one class is twice as frequent as the
    other. Why at logit 0: see :func:`~tailscope.treatments.gradient_audit.gradient_audit`.

    Args:
        audit: Any of these, as plain values:

            - ``counts``, from ``counts_audit``; ``weights`` and ``partner_weights``, from ``weights_audit``;
              ``rebuilt``, from ``rebuilt_audit``;
            - ``sampling``, planned draws, and ``partner``, those of a mix-up's partners, from ``sampling_audit``;
              ``mixing``, from ``mixing_audit``;
            - ``gradients``: name of a moment to ``gradient_audit``'s result. A name that begins with ``epoch`` is of a
              network in training; every other (``initial``, ``stage 0.8``) is of a loss that has not learnt yet;
            - ``limit``, from ``check_limit``; ``batch``, from ``batch_audit``;
            - ``epochs``: a list of ``EpochWatch.summary()``, each with ``labels`` (``labels_audit``), ``sampling``,
              ``partner`` and ``mixing`` of what was really drawn, where known, and ``epoch``, its number (default: its
              place, from 0).

    Returns:
        ``verdict``; ``sentence``; ``checks``: a list of ``check``, ``verdict`` and ``sentence``, one per check that
        could be run.

    Example:
        >>> import numpy as np
        >>> from tailscope.treatments.sampling_audit import sampling_audit
        >>> drawn = sampling_audit(np.eye(2), np.array([1.0, 0.0]), np.array([0, 0]), ["mass", "hernia"])
        >>> found = judge({"sampling": drawn})
        >>> print(found["verdict"], "-", found["sentence"])
        failed - 1 of 2 images have draw weight 0: they are never seen (and 1 more check failed)
    """
    moments = {"": _without_moment(audit), **_gradients(audit), **_epochs(audit)}
    checks = merged(moments)
    verdicts: list[Verdict] = [check.verdict for check in checks]
    verdict = max(verdicts, key=lambda each: SEVERITY[each]) if verdicts else "warning"
    return {
        "verdict": verdict,
        "sentence": _sentence(verdict, checks),
        "checks": [check.as_dict() for check in checks],
    }


def problems_of(judged: Mapping[str, Any], verdict: Verdict = "failed") -> list[str]:
    """The sentences of the checks with this verdict.

    >>> problems_of({"checks": [{"check": "labels", "verdict": "failed", "sentence": "class 'mass': …"}]})
    ["class 'mass': …"]
    """
    return [check["sentence"] for check in judged["checks"] if check["verdict"] == verdict]


def _partner_weights_check(audit: Mapping[str, Any]) -> Check:
    return weights_check(audit, "partners' draw weights")


_SINGLE: dict[str, Callable[[Mapping[str, Any]], Check]] = {
    "counts": counts_check,
    "rebuilt": rebuilt_check,
    "weights": weights_check,
    "partner_weights": _partner_weights_check,
    "mixing": mixing_check,
    "limit": limit_check,
    "batch": batch_check,
}


def _without_moment(audit: Mapping[str, Any]) -> list[Check]:
    checks = [check(audit[name]) for name, check in _SINGLE.items() if name in audit]
    if "sampling" in audit:
        checks += sampling_checks(audit["sampling"])
    return checks + (partner_checks(audit["partner"]) if "partner" in audit else [])


def _gradients(audit: Mapping[str, Any]) -> dict[str, list[Check]]:
    found = audit.get("gradients", {})
    return {moment: gradient_checks(each, initial=not moment.startswith("epoch")) for moment, each in found.items()}


def _epochs(audit: Mapping[str, Any]) -> dict[str, list[Check]]:
    records = audit.get("epochs", [])
    found = {f"epoch {record.get('epoch', place)}": epoch_checks(record) for place, record in enumerate(records)}
    if records:
        # Under the name of the last epoch alone, so that they do not hide behind the same checks at initialisation.
        found[f"after epoch {records[-1].get('epoch', len(records) - 1)}"] = last_epoch_checks(records[-1])
    return found


def _sentence(verdict: Verdict, checks: list[Check]) -> str:
    if not checks:
        return "nothing was checked"
    if verdict == "ok":
        return f"all {len(checks)} checks passed: the treatment does what it says"
    found = [check for check in checks if check.verdict == verdict]
    rest = len(found) - 1
    word = "failed" if verdict == "failed" else "warned"
    more = f" (and {rest} more check{'s' if rest > 1 else ''} {word})" if rest else ""
    return found[0].sentence + more
