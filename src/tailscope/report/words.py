"""The words of a report: names of metrics, what they mean, and the glossary."""

from __future__ import annotations

PERFORMANCE_METRICS = ("auroc", "ap", "average_precision")
RANKING_METRICS = (*PERFORMANCE_METRICS, "ap_gain")
CALIBRATION_METRICS = ("brier", "expected_calibration_error", "ece")
AT_HALF_METRICS = ("sensitivity_at_half", "specificity_at_half")
DECISION_METRICS = ("net_benefit_at_0.05", "net_benefit_at_0.1", "net_benefit_at_0.2")
CORRECTED_METRICS = ("brier_prior_corrected", "ece_prior_corrected", "brier_platt", "ece_platt")

_METRICS = {
    "auroc": "AUROC",
    "ap": "AP",
    "average_precision": "AP",
    "ap_gain": "AP gain",
    "brier": "Brier score",
    "log_loss": "log loss",
    "ece": "expected calibration error",
    "expected_calibration_error": "expected calibration error",
    "brier_prior_corrected": "Brier score, prior corrected",
    "ece_prior_corrected": "expected calibration error, prior corrected",
    "brier_platt": "Brier score, scaled on validation",
    "ece_platt": "expected calibration error, scaled on validation",
    "specificity_at_sensitivity": "specificity at 90 % sensitivity",
    "net_benefit_at_0.05": "net benefit at a risk of 5 %",
    "net_benefit_at_0.1": "net benefit at a risk of 10 %",
    "net_benefit_at_0.2": "net benefit at a risk of 20 %",
    "sensitivity_at_half": "sensitivity at one half",
    "specificity_at_half": "specificity at one half",
    "mass_inside": "mass inside",
    "pointing_game": "pointing game",
    "ior": "IoR",
    "iobb": "IoBB",
    "iou": "IoU",
    "iou_at_area": "IoU at equal area",
    "pixel_ap": "pixel AP",
    "on_other_classes": "mass on other classes' annotations",
    "iou_matched": "matched IoU",
    "best_iou_matched": "best unit, cross-fitted",
    "units_per_100": "units active inside, per 100",
    "components_per_100": "regions active inside, per 100",
    "degenerate_share": "share of degenerate maps",
    "ablation_specificity": "what the class loses without its detectors, beyond other classes",
    "ablation_specificity_over_random": "what the class loses without its detectors, beyond units like them",
    "probe_auroc": "AUROC of a probe",
    "auroc_with_control_head": "AUROC with control's head",
    "auroc_with_control_features": "AUROC with control's features",
}
_SAME = {"average_precision": "ap", "ece": "expected_calibration_error"}
_METRIC_MEANINGS = {
    "auroc": "The chance that a random positive image scores above a random negative one; 0.5 is guessing.",
    "ap": "Average precision; guessing gives about the prevalence, so rare classes start lower.",
    "ap_gain": "Average precision rescaled so that guessing gives 0 and a perfect ranking 1.",
    "brier": "Mean squared error of the probabilities; lower is better.",
    "log_loss": "Mean negative logarithm of the probability given to the truth; lower is better.",
    "calibration_slope": "1 is right; below 1 the probabilities are too extreme, above 1 too timid.",
    "calibration_intercept": "Shift of the logits; with a slope of 1, 0 is right and below 0 they are too high.",
    "expected_calibration_error": "Gap between stated and observed probability (15 bins of equal mass); low is good.",
    "sensitivity": "Share of positive images above the operating point, which is chosen on validation images (at "
    "least 95 % specificity there).",
    "specificity": "Share of negative images not above the operating point, which is chosen on validation images (at "
    "least 95 % specificity there).",
    "sensitivity_at_half": "Share of positive images with a predicted probability above one half: the arm's own "
    "threshold, which weights, shifts and moved thresholds change.",
    "specificity_at_half": "Share of negative images with a predicted probability of at most one half: the arm's own "
    "threshold, which weights, shifts and moved thresholds change.",
    "mass_inside": "Share of the positive saliency that lies inside the annotation.",
    "pointing_game": "Share of maps whose maximum lies inside the annotation.",
    "ior": "Share of the rescaled map that lies inside the annotation.",
    "iobb": "How strongly the rescaled map fills the annotation.",
    "iou": "Overlap of the map with the annotation, divided by their union.",
    "iou_at_area": "The largest pixels, as many as the annotation has, against the annotation.",
    "pixel_ap": "Average precision of pixels ranked by saliency.",
    "on_other_classes": "Share of the positive saliency on what was drawn of other classes in the same image; lower is "
    "better.",
    "degenerate_share": "Share of the maps that are constant, empty or not finite; lower is better.",
}

_LENS_CHANGES = {
    "mass_inside": "its saliency lies {} on what the expert drew",
    "best_iou_matched": "its best unit marks the annotated finding {} closely",
    "probe_auroc": "its features set the class apart {} well",
}

GLOSSARY = (
    ("experiment", "One configuration: data set × model × imbalance treatments × seeds × lenses."),
    ("imbalance treatment", "A method that handles class imbalance: a loss, a sampler, a logit shift, or a schedule."),
    ("arm", "The runs of one treatment, over all seeds."),
    ("audit", "What is checked of every arm before and during its training: does it draw, weigh and pull as it says?"),
    (
        "limit case",
        "Settings at which a treatment must equal a simpler one (focal loss with γ = 0 and α = ½: half of control).",
    ),
    ("identical by construction", "Ranks as another arm does, whatever the data; judged by calibration, not ranking."),
    (
        "effective learning rate",
        "Learning rate times the size of the gradient relative to control: how long a step of plain descent really is.",
    ),
    ("ensemble", "The mean of the probabilities that an arm's seeds predict; one per arm, so it has no seed noise."),
    ("control", "The arm without treatment (plain binary cross-entropy), against which every arm is compared."),
    ("run", "One trained network: architecture, treatment and seed; or a checkpoint that the user brought."),
    ("lens", "One way of looking at a run: performance, alignment, dissection, representation."),
    ("annotation", "What the expert drew: box, polygon, mask or point. A mask is its boolean raster."),
    ("saliency map", "What an attribution method returns for one image and one class."),
    ("alignment", "Agreement between a saliency map and an annotation (not image registration)."),
    ("chance level", "The value that an uninformed map would reach on the same annotation."),
    ("excess", "Value minus chance level, per image and class; 0 means no better than an uninformed map."),
    ("attainable", "The best value that a metric can reach on the map's own grid, even for a perfect map."),
    ("degenerate map", "Constant, empty or not finite; it counts as the uniform map (excess 0) and is never dropped."),
    ("unit, concept", "One channel of a layer; one annotated class or structure."),
    ("cross-fitted", "The best unit is chosen on one half of the patients and scored on the other half."),
    ("estimate", "A value with its interval, its n, and the reason where it is not estimable."),
    ("finding", "One comparison with control: lens metric × class × treatment, with its statistics and verdict."),
    ("seed noise", "How far a difference moves when only the random seed changes; part of every interval."),
    ("minimum detectable effect", "The difference that this experiment would find four times out of five."),
    ("equivalent", "The 90 % interval of the difference lies inside the margin: shown to be small."),
    ("undecided", "Neither a difference nor equivalence is shown. It does not mean that there is no difference."),
    ("candidate", "A sign worth following up that this experiment cannot confirm (too few seeds, or unadjusted p)."),
    (
        "hidden difference",
        "AUROC and AP are equivalent within the margin, and a lens metric differs beyond seed noise.",
    ),
    ("not visible", "The lens differs, but AUROC or AP is undecided: more positives are needed to call it hidden."),
    ("confounder", "What stands in a picture without being a finding: a tube, a letter, the air beside the body."),
    ("shortcut", "A class that looks at a confounder more than chance, and whose logit falls when it is painted over."),
    ("not counted", "A difference that was found by an attribution method which fails a check of its soundness."),
    ("head, medium, tail", "Groups of classes by training prevalence."),
)


def capital(text: str) -> str:
    """The text with its first letter in upper case.

    >>> capital("mass inside")
    'Mass inside'
    """
    return text[:1].upper() + text[1:]


def metric_name(metric: str) -> str:
    """The printed name of a metric; an unknown one is printed as it is.

    >>> metric_name("auroc"), metric_name("my_metric")
    ('AUROC', 'my metric')
    """
    return _METRICS.get(metric, metric.replace("_", " "))


def lens_change(metric: str, difference: float) -> str:
    """What a difference in a lens metric means, without its size.

    >>> lens_change("mass_inside", -0.1), lens_change("iou", 0.1)
    ('its saliency lies less on what the expert drew', 'its IoU is higher')
    """
    known = _LENS_CHANGES.get(metric)
    if known:
        return known.format("more" if difference > 0 else "less")
    return f"its {metric_name(metric)} is {'higher' if difference > 0 else 'lower'}"


def metric_meaning(metric: str) -> str:
    """One sentence on what the metric measures, or nothing for an unknown one."""
    return _METRIC_MEANINGS.get(_SAME.get(metric, metric), "")
