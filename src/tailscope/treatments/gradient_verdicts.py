"""Verdicts on a loss, from its gradient audits, its limit case and its batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tailscope.treatments.checks import Check, outcome
from tailscope.treatments.sampling_verdicts import ends

Audit = Mapping[str, Any]

# Weights that depend on the image (distribution-balanced, two-way) give a rare class less where it comes with others;
# weights by class that are sound never fall below 1.
_LOWEST_TILT = 0.5
_NO_PULL = 1e-9
_FAR = 10.0
_TAIL_LOSES = 0.8


def gradient_checks(audit: Audit, *, initial: bool) -> list[Check]:
    """All checks of one gradient audit (``gradient_audit``'s result).

    Args:
        audit: The result.
        initial: Whether the loss has not learnt yet; only then must the weights of its classes point anywhere.
    """
    checks = [_finite(audit), _positives(audit)]
    if initial or not audit["learns"]:
        checks.append(_direction(audit))
    return checks + ([scale_check(audit), tail_check(audit)] if initial else [])


def scale_check(audit: Audit) -> Check:
    """Warn of a loss or gradient far larger or smaller than control's."""
    sizes = {"loss": audit["loss_ratio"], "gradient": audit["gradient_norm_ratio"]}
    meaning = {
        "loss": "compare it with no other arm's loss",
        "gradient": "with plain gradient descent this acts like a learning rate so many times as large",
    }
    # A ratio that is not finite is another check's.
    far = [
        f"its {what} is {size:.3g} times control's: {meaning[what]}"
        for what, size in sizes.items()
        if math.isfinite(size) and not 1 / _FAR <= abs(size) <= _FAR
    ]
    fine = f"its loss is {sizes['loss']:.3g} times control's, its gradient {sizes['gradient']:.3g} times"
    return outcome("scale", far, fine, "warning")


def tail_check(audit: Audit) -> Check:
    """Warn of a treatment that pulls less at the tail than control does: in all, and at the positives.

    Both, because the gradient of a rare class is mostly that of its negatives: a treatment that spares them in favour
    of the positives takes from the tail in all, and does what it should.
    """
    tail = audit["groups"].get("tail")
    if tail is None:
        return Check("tail", "ok", "no class is in the tail")
    of_all, of_positives = (_in_percent(tail, share) for share in ("share", "positives_share"))
    says = f"the tail gets {of_all} of the gradient, and at positives {of_positives}"
    loses = all(tail[share] < _TAIL_LOSES * tail[f"{share}_control"] for share in ("share", "positives_share"))
    return outcome("tail", [says] if loses else [], says, "warning")


def limit_check(audit: Audit) -> Check:
    """The limit case, from ``check_limit``."""
    if audit["holds"] is None:
        return Check("limit case", "ok", "no limit case is stated")
    how = audit["reason"] or (
        f"the loss differs by {audit['value_error']:.2g} and its gradient by {audit['gradient_error']:.2g} (relative)"
    )
    return outcome(
        "limit case",
        [] if audit["holds"] else [f"it should hold that {audit['says']}, and does not: {how}"],
        f"{audit['says']}: holds",
    )


def batch_check(audit: Audit) -> Check:
    """Whether the loss depends on the batch, from ``batch_audit``."""
    depends = any(audit["depends"].values())
    return outcome("batches", [audit["sentence"]] if depends else [], audit["sentence"], "warning")


def _finite(audit: Audit) -> Check:
    problems = [] if math.isfinite(audit["loss"]) else [f"the loss is {audit['loss']}; expected a finite number"]
    problems += [
        f"class {name!r}: the gradient of its {side} is {pulls[side]}; expected finite numbers"
        for name, pulls in audit["classes"].items()
        for side in ("positives", "negatives")
        if not math.isfinite(pulls[side])
    ]
    return outcome("finite loss", problems, "loss and gradient are finite")


def _positives(audit: Audit) -> Check:
    # Negatives may lose their gradient on purpose (margin); a positive never does.
    silent = [
        f"class {name!r}: its positives have no gradient, so it learns nothing from them"
        for name, pulls in audit["classes"].items()
        if pulls["positives_to_control"] == 0 or pulls["positives_at_zero"] < _NO_PULL
    ]
    return outcome("positives", silent, "the positives of every class pull")


def _direction(audit: Audit) -> Check:
    usable = {name: pulls for name, pulls in audit["classes"].items() if math.isfinite(pulls["positives_at_zero"])}
    rare, frequent = ends({name: pulls["prevalence"] for name, pulls in usable.items()})
    if not rare:
        return Check("direction of the loss", "ok", "the classes are about equally frequent")
    low, high = usable[rare]["positives_at_zero"], usable[frequent]["positives_at_zero"]
    says = (
        f"a positive of the rarest class {rare!r} weighs {low:.3g} times what it does in control, "
        f"one of the most frequent class {frequent!r} {high:.3g} times"
    )
    inverted = [says + ": the weights are the wrong way round"] if low < _LOWEST_TILT * high else []
    return outcome("direction of the loss", inverted, says)


def _in_percent(group: Mapping[str, float], share: str) -> str:
    return f"{100 * group[share]:.3g} % (control {100 * group[f'{share}_control']:.3g} %)"
