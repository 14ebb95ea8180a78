"""Verdicts on a sampler, from its sampling audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tailscope.treatments.chance import beyond_chance, differs
from tailscope.treatments.checks import Check, outcome

Audit = Mapping[str, Any]

_LOWEST_TILT = 0.8  # of the rarest class against the most frequent; a sound sampler has 1 or more
_IMBALANCE = 2.0  # below this ratio of prevalences no direction can be told from rounding and co-occurrence
_ERRORS = 4.0
_FEW = 0.1
_P_OF_CHANCE = 1.5e-8  # e^−18, as LOG_CHANCE


def sampling_checks(audit: Audit) -> list[Check]:
    """All checks of one sampling audit (``sampling_audit``'s result)."""
    return [check(audit) for check in _CHECKS]


def _zero_weights(audit: Audit) -> Check:
    zero, images = audit["images_with_zero_weight"], audit["images"]
    says = f"{zero} of {images} images have draw weight 0: they are never seen"
    if zero and audit["leaves_out"]:
        return Check("images left out", "warning", says + ", as this treatment means it")
    return outcome("images left out", [says] if zero else [], f"each of the {images} images can be drawn")


def _distinct(audit: Audit) -> Check:
    found, expected, images = audit["images_drawn"], audit["images_drawn_expected"], audit["images"]
    # Σ q(1−q) over the images' chances q of being drawn is at most this (Jensen), and the draws only lower it.
    variance = expected * max(1 - expected / images, 0)
    says = f"{found} different images were drawn; expected about {expected:.0f}"
    problem = beyond_chance(abs(expected - found), variance) if abs(expected - found) > 1e-6 else False
    return outcome("different images", [says] if problem else [], says)


def _few_images(audit: Audit) -> Check:
    expected, images = audit["images_drawn_expected"], audit["images"]
    says = f"an epoch is expected to show {expected:.0f} of {images} images"
    few = expected < _FEW * min(images, audit["draws"])
    return outcome("repetition", [says + ": the others are hardly seen"] if few else [], says, "warning")


def _never_drawn(audit: Audit) -> Check:
    never = [
        f"class {name!r} is never drawn, though {100 * share['prevalence']:.2g} % of the images are positive"
        for name, share in audit["classes"].items()
        if share["prevalence"] > 0 and share["expected"] == 0
    ]
    return outcome("classes drawn", never, "every class can be drawn")


def _class_shares(audit: Audit) -> Check:
    wrong = [
        f"class {name!r} is positive in {100 * share['realised']:.3g} % of the draws; "
        f"expected {100 * share['expected']:.3g} %"
        for name, share in _by_z(audit["classes"])
        if share["expected"] > 0 and differs(share, audit["draws"])
    ]
    return outcome("class distribution", wrong, "every class is drawn as often as expected, within chance")


def _weights_followed(audit: Audit) -> Check:
    problems = []
    if audit["zero_weight_draws"]:
        problems.append(f"images with draw weight 0 were drawn {audit['zero_weight_draws']} times")
    for side, words in (("most", "as often as"), ("least", "only")):
        image = audit["extremes"][side]
        if image["p"] < _P_OF_CHANCE:
            problems.append(f"an image was drawn {words} {image['times']} times; expected {image['expected']:.3g}")
    for stratum in audit["strata"]:
        if differs(stratum, audit["draws"]):
            problems.append(
                f"{stratum['images']} images of like weight got {100 * stratum['realised']:.3g} % of the draws; "
                f"expected {100 * stratum['expected']:.3g} %"
            )
    return outcome("draws follow weights", problems, "the draws follow the weights, within chance")


def _processes(audit: Audit) -> Check:
    problems = [f"processes {a} and {b} drew the very same images" for a, b in audit["processes_alike"]]
    if not audit["processes_complete"]:
        problems.append("the processes together drew other images than the epoch has")
    for number, process in enumerate(audit["processes"]):
        problems += [
            f"process {number}: class {name!r} is positive in {100 * share['realised']:.3g} % of its draws; "
            f"expected {100 * share['expected']:.3g} %"
            for name, share in _by_z(process["classes"])
            if differs(share, process["draws"])
        ]
    count = max(len(audit["processes"]), 1)
    return outcome("processes", problems, "one process" if count == 1 else f"all {count} processes draw alike")


def _direction(audit: Audit) -> Check:
    present = {name: share for name, share in audit["classes"].items() if share["prevalence"] > 0}
    rare, frequent = ends({name: share["prevalence"] for name, share in present.items()})
    if not rare:
        return Check("direction of the sampler", "ok", "the classes are about equally frequent")
    if not audit["by_labels"]:
        return Check("direction of the sampler", "ok", "the weights balance a further column, not the classes alone")
    low, high = present[rare]["inflation"], present[frequent]["inflation"]
    says = (
        f"the rarest class {rare!r} is drawn {low:.2g} times as often as it occurs, "
        f"the most frequent class {frequent!r} {high:.2g} times"
    )
    # Weights that follow something else than the labels tilt a class of few images by accident.
    surely = low + _ERRORS * present[rare]["inflation_error"]
    inverted = [says + ": the weights are the wrong way round"] if surely < _LOWEST_TILT * high else []
    return outcome("direction of the sampler", inverted, says)


def _spill_over(audit: Audit) -> Check:
    found = audit["spill_over"]
    says = (
        f"class {found['class']!r} stands in {100 * found['expected']:.3g} % of the draws instead of "
        f"{100 * found['prevalence']:.3g} %, because it comes with {found['through']!r}: the two are confounded"
    )
    return outcome(
        "spill-over", [says] if found["confounded"] else [], "no class is more than doubled by another", "warning"
    )


_CHECKS: tuple[Callable[[Audit], Check], ...] = (
    _zero_weights,
    _distinct,
    _few_images,
    _never_drawn,
    _class_shares,
    _weights_followed,
    _processes,
    _direction,
    _spill_over,
)


def ends(prevalences: Mapping[str, float]) -> tuple[str, str]:
    """The rarest and the most frequent class; both empty unless the one is at least twice as frequent as the other.

    >>> ends({"mass": 0.3, "nodule": 0.2, "hernia": 0.01}), ends({"mass": 0.3, "nodule": 0.2})
    (('hernia', 'mass'), ('', ''))
    """
    if not prevalences:
        return "", ""
    rare, frequent = min(prevalences, key=prevalences.__getitem__), max(prevalences, key=prevalences.__getitem__)
    return (rare, frequent) if prevalences[frequent] >= _IMBALANCE * prevalences[rare] else ("", "")


def _by_z(classes: Mapping[str, Mapping[str, float]]) -> list[tuple[str, Mapping[str, float]]]:
    return sorted(classes.items(), key=lambda item: -abs(item[1]["z"]))
