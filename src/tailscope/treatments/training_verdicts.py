"""Verdicts on what a treatment was built from, and on what an epoch of training really did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tailscope.treatments.chance import beyond_chance
from tailscope.treatments.checks import Check, outcome
from tailscope.treatments.gradient_verdicts import scale_check, tail_check
from tailscope.treatments.sampling_verdicts import sampling_checks

Audit = Mapping[str, Any]

_PULLS = 1e-3  # control's mean pull per positive; below it the class is learnt, and any loss may be silent


def counts_check(audit: Audit) -> Check:
    """From ``counts_audit``."""
    wrong = [
        f"class {name!r}: the treatment was built for {count['positives']} positives and {count['negatives']} "
        f"negatives; the training images have {count['positives_in_rows']} and {count['negatives_in_rows']}"
        for name, count in audit["classes"].items()
        if (count["positives"], count["negatives"]) != (count["positives_in_rows"], count["negatives_in_rows"])
    ]
    return outcome("class counts", wrong, "the class counts are those of the training images")


def rebuilt_check(audit: Audit) -> Check:
    """From ``rebuilt_audit``."""
    wrong = []
    if not audit["same_loss"]:
        wrong.append(
            "the loss is not the one that the treatment gives for the training images: its gradient differs by "
            f"{100 * audit['largest_change']:.3g} %; it was built from other images"
        )
    if not audit["same_draws"]:
        wrong.append(
            "the draw weights are not those that the treatment gives for the training images; the sampler was built "
            "from other images"
        )
    if not audit["same_parts"]:
        wrong.append(
            "phases, mix-up or the step after training are not those that the treatment gives for the training images"
        )
    return outcome("built anew", wrong, "built anew from the training images, the treatment is the same")


def weights_check(audit: Audit, whose: str = "draw weights") -> Check:
    """From ``weights_audit``."""
    lengths = (audit["weights"], audit["weights_by_plan"])
    if audit["same"]:
        says = ""
    elif any(length not in (0, audit["images"]) for length in lengths):
        says = (
            f"there are {' and '.join(map(str, dict.fromkeys(lengths)))} weights for {audit['images']} training images"
        )
    elif 0 in lengths:
        says = (
            "training draws without weights"
            if not lengths[0]
            else "training draws by weights that the plan does not have"
        )
    else:
        says = (
            f"the weights of {audit['images_that_differ']} of {audit['images']} images are not those that the "
            "treatment gives them: they were computed from other images"
        )
    return outcome(whose, [says] if says else [], f"the {whose} are those that the treatment gives")


def mixing_check(audit: Audit) -> Check:
    """From ``mixing_audit``."""
    says = (
        f"{audit['own']} of {audit['pairs']} images were mixed with themselves; expected by chance about "
        f"{audit['own_expected']:.2g}"
    )
    # The pairs are independent, so the number of own pairs varies by less than its mean.
    itself = beyond_chance(audit["own"] - audit["own_expected"], audit["own_expected"])
    return outcome("mix-up", [says + ": the mix-up does nothing there"] if itself else [], says)


def epoch_checks(record: Audit) -> list[Check]:
    """All checks of one epoch (``EpochWatch.summary``, with what was added to it)."""
    checks = [_mode(record), _finite(record), _positives(record)]
    if "labels" in record:
        checks.append(_labels(record["labels"]))
    if "sampling" in record:
        checks += sampling_checks(record["sampling"])
    if "partner" in record:
        checks += partner_checks(record["partner"])
    if "mixing" in record:
        checks.append(mixing_check(record["mixing"]))
    return checks


def last_epoch_checks(record: Audit) -> list[Check]:
    """Checks that make sense once, of the last epoch."""
    return [scale_check(record), tail_check(record)]


def partner_checks(audit: Audit) -> list[Check]:
    """Checks of the partners' draws, under names of their own."""
    return [
        Check(f"partners: {check.check}", check.verdict, f"partners: {check.sentence}")
        for check in sampling_checks(audit)
    ]


def _mode(record: Audit) -> Check:
    steps, training = record["steps"], record["training_steps"]
    says = (
        f"the network was in evaluation mode in {steps - training} of {steps} steps: dropout was off and the "
        "statistics of its normalisation stood still"
    )
    return outcome("training mode", [says] if training < steps else [], f"training mode in all {steps} steps")


def _finite(record: Audit) -> Check:
    numbers = {"loss": record["mean_loss"], "gradient": record["gradient_norm"]}
    bad = [
        f"the mean {name} is {value}; expected a finite number"
        for name, value in numbers.items()
        if not math.isfinite(value)
    ]
    return outcome("finite training", bad, "loss and gradient are finite")


def _positives(record: Audit) -> Check:
    cells = record["draws"] * len(record["classes"]) / max(record["steps"], 1)  # per step: the loss is their mean
    silent = [
        f"class {name!r}: {pulls['fed']} positives were fed to the loss and none had a gradient"
        for name, pulls in record["classes"].items()
        if pulls["positives"] == 0 and pulls["positives_control"] * cells > _PULLS * pulls["fed"]
    ]
    return outcome("positives in training", silent, "the positives of every class pulled")


def _labels(audit: Audit) -> Check:
    wrong = [
        f"class {name!r}: the loss was fed {count['fed']} positives; the images drawn have {count['labels']}"
        if count["fed"] != count["labels"]
        else f"class {name!r}: the {count['fed']} positives that the loss was fed belong to other images"
        for name, count in audit["classes"].items()
        if count["fed"] != count["labels"] or not count["own_images"]
    ]
    return outcome("labels", wrong, "the loss was fed the labels of the images drawn")
