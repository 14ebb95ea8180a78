"""Everything that a report shows, handed over at once by the room that conducts the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from tailscope.report.performance_tables import PerformanceTables
from tailscope.report.representation_tables import RepresentationTables
from tailscope.report.statistics_tables import StatisticsTables
from tailscope.report.unit_pictures import UnitCardPicture


@dataclass(frozen=True, eq=False)
class GalleryView:
    """One arm's look at one image, as one attribution method tells it.

    Args:
        arm: Label of the arm.
        saliency: (h, w) float map of the class on its own grid, not rescaled; only its positive part is shown.
        probability: The class's predicted probability in [0, 1], or NaN.
        excess: ``mass_inside`` minus its chance level on this pair, in [-1, 1], or NaN.
        method: The attribution method; may be empty where there is only one.
    """

    arm: str
    saliency: NDArray[Any]
    probability: float
    excess: float
    method: str = ""


@dataclass(frozen=True, eq=False)
class GalleryCase:
    """One image × class, seen by every arm.

    Args:
        pseudonym: The only name of the image that is printed; the caller makes it.
        class_name: The class whose maps are shown.
        group: head, medium or tail.
        image: (H, W) or (H, W, 3) uint8 pixels.
        mask: (H, W) bool, what the expert drew.
        views: One per arm and method, control first; the first method is the one of the still pictures.
        prevalence: Share of positive training images of the class in [0, 1], or NaN.
        labels: All classes that the image is labelled positive for.
        chosen_for: Why the case was picked, completing "chosen because"; empty where a hash of the image's id did.
    """

    pseudonym: str
    class_name: str
    group: str
    image: NDArray[Any]
    mask: NDArray[Any]
    views: tuple[GalleryView, ...]
    prevalence: float = float("nan")
    labels: tuple[str, ...] = ()
    chosen_for: str = ""


@dataclass(frozen=True, eq=False)
class ReportContent:
    """All inputs of :func:`tailscope.report.write_report`; a table may be None or empty, and its section then says why.

    Args:
        name: The experiment's name.
        created: When the experiment was concluded, ISO 8601; printed as given, so equal contents give equal pages.
        version: Version of tailscope.
        notes: What was decided about the data, one sentence each.
        settings_yaml: The resolved configuration.
        provenance: Nested facts: versions, hardware, seeds, timings, fingerprint, hashes.
        arms: Labels, the control first.
        seeds: The seeds of every arm.
        test_images: Number of test images; 0 where unknown.
        margin: Equivalence margin of AUROC and AP.
        lens_margin: Difference of a primary lens metric below which it counts as none (METHODS section 7, Δ).
        gallery_note: Which run and method drew the gallery, one sentence.
        class_table: class, group, train_positives, train_negatives, val_positives, test_positives, test_negatives,
            unknown, annotated_test, prevalence.
        estimates: lens, metric, class (or macro, head, medium, tail), arm, value, lo, hi, n, reason.
        findings: The columns of ``findings.parquet`` and se, primary.
        statistics: How the treatments stand, and how far the statistics can be trusted here.
        performance: Calibration, decisions and subgroups.
        hidden: class, arm, lens, metric, kind, difference, lo, hi, p, p_adjusted, auroc_difference, ap_difference,
            positives_needed.
        alignment: class, group, arm, method, metric, value, reference, excess, lo, hi, n, patients, degenerate,
            attainable.
        references: class, arm, method, reference (a reference map, the untrained network, or the map of another class),
            excess of the primary metric above it.
        views: class, arm, method, view, excess, n: the primary metric over other selections of the pairs.
        sizes: arm, method, size (small, medium, large), area, value, reference, excess, n: the primary metric by size
            of the annotation.
        localization: class, arm, method, overlap, at, value, reference: share of annotations that a box of the
            thresholded map overlaps by ``at`` or more.
        shortcuts: class, confounder, arm, share, chance, excess, lo, hi (saliency on the confounder), removal,
            removal_lo, removal_hi (fall of the class's logit when it is taken away, above a placebo), verdict, n.
        soundness: method, check, arm, verdict, value, lo, hi, limit, n, sentence.
        stages: method, arm, stage, value, lo, hi, n: likeness with the trained network's maps, stage by stage.
        units: class, group, arm, crossfit, lo, hi, best_iou_fixed, attainable_fixed, units_per_100, n, patients,
            reason.
        layers: arm, layer, units, dead, live, grid.
        detectors: run, arm, seed, layer, class (or another concept), group, detectors, position_only, above_rule,
            reason.
        unit_layers: run, arm, seed, layer, units, dead, sparse, live, coverage, redundancy, detectors_total.
        curve: run, arm, layer, class, fraction, best_iou, attainable, above_rule, reason.
        causes: arm, seed, layer, class, own_drop, other_drop, specificity, random_specificity, over_random, reason.
        cause_intervals: arm, layer, class, value, lo, hi of over_random.
        changes: arm, seed, layer, class, detectors_control, detectors_arm, kept, gained, lost, matched_share, reason;
            rows of control hold it against another seed.
        unit_cards: Best units of each class in the first seed of each arm.
        trajectory: run, arm, seed, epoch, class, metric, value, reason, at the kept epochs.
        first_epochs: arm, class, seeds, found, first, latest, epoch, reason.
        representation: What is known of the features.
        history: run, arm, seed, epoch, train_loss, val_auroc.
        audit: One row per run: arm, seed, verdict, sentence, problems (a list of check, verdict and sentence of every
            check that did not pass), allowed, weights_from (an arm), images, images_drawn, images_drawn_expected,
            loss_ratio, gradient_norm_ratio, trained_norm_ratio, lr, selected_epoch.
        gradient_shares: arm, moment (start, end), group, share, share_control.
        draws: arm, class, prevalence, expected, realised: shares of the images, and of the draws of an epoch.
        balance: Arms whose sampler balances a further column: arm, column, class, group (a value of that column),
            positives, positives_drawn, negatives, negatives_drawn: the group's share of the class's positive and
            negative images, and as expected of their draws.
        identical: Arms that rank as control or as another arm by construction, with the reason.
        calibrated_only: Of these, arms that adjust the logits of another training and are judged by calibration only;
            their estimates stand beside those of ``arms``.
        same_predictions: Arms whose runs predict exactly what control's do.
        trained_with: Arms that adjust logits after a training, with the name of the treatment they were trained with.
        adjustment_notes: Arms with what is to be known of the adjustment of their logits, one sentence each.
        ensembles: metric, class, group, arm, value, lo, hi, difference, difference_lo, difference_hi; control's
            ensemble first.
        tuning: One row per trial: arm, trial, lr, parameter, value, score (validation AUROC), epoch (from 0), selected,
            at_edge (text, empty where not), reason (why a trial has no score).
        label_views: comparison (view, or treatment), view, treatment, lens, metric, class, group, arm, control, value,
            control_value, n, patients, seeds, difference, lo, hi, p, p_adjusted, margin, verdict, reason, primary.
        gallery: Cases in the order of display, the cases of a class together.
        tested_on: Name of the data set that the test images are of, where it is not that of the training images.
        elsewhere: The same for every further data set that the runs were tested on.
    """

    name: str
    created: str
    version: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...] = ()
    settings_yaml: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    test_images: int = 0
    margin: float = 0.02
    lens_margin: float = 0.02
    gallery_note: str = ""
    class_table: pd.DataFrame | None = None
    estimates: pd.DataFrame | None = None
    findings: pd.DataFrame | None = None
    hidden: pd.DataFrame | None = None
    statistics: StatisticsTables = field(default_factory=StatisticsTables)
    performance: PerformanceTables = field(default_factory=PerformanceTables)
    alignment: pd.DataFrame | None = None
    references: pd.DataFrame | None = None
    views: pd.DataFrame | None = None
    sizes: pd.DataFrame | None = None
    localization: pd.DataFrame | None = None
    shortcuts: pd.DataFrame | None = None
    soundness: pd.DataFrame | None = None
    stages: pd.DataFrame | None = None
    units: pd.DataFrame | None = None
    layers: pd.DataFrame | None = None
    detectors: pd.DataFrame | None = None
    unit_layers: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None
    causes: pd.DataFrame | None = None
    cause_intervals: pd.DataFrame | None = None
    changes: pd.DataFrame | None = None
    unit_cards: tuple[UnitCardPicture, ...] = ()
    trajectory: pd.DataFrame | None = None
    first_epochs: pd.DataFrame | None = None
    representation: RepresentationTables = field(default_factory=RepresentationTables)
    history: pd.DataFrame | None = None
    audit: pd.DataFrame | None = None
    gradient_shares: pd.DataFrame | None = None
    draws: pd.DataFrame | None = None
    balance: pd.DataFrame | None = None
    identical: Mapping[str, str] = field(default_factory=dict)
    calibrated_only: tuple[str, ...] = ()
    same_predictions: tuple[str, ...] = ()
    trained_with: Mapping[str, str] = field(default_factory=dict)
    adjustment_notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ensembles: pd.DataFrame | None = None
    tuning: pd.DataFrame | None = None
    label_views: pd.DataFrame | None = None
    gallery: tuple[GalleryCase, ...] = ()
    tested_on: str = ""
    elsewhere: tuple[ReportContent, ...] = ()
