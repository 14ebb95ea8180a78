import dataclasses
import functools
import re

import methods_content
import numpy as np
import pandas as pd
import pytest
from methods_content import content
from page_content import EMPTY

from tailscope.report import RepresentationTables
from tailscope.report.conducted import conducted
from tailscope.report.methods_text import methods_paragraphs, methods_text
from tailscope.report.numbers import count, share


@functools.cache
def as_it_is():
    return " ".join(methods_paragraphs(content()))


def told(**changes):
    return " ".join(methods_paragraphs(content(**changes))) if changes else as_it_is()


def test_markers_are_numbers_and_the_list_has_every_one_of_them_in_order():
    found = methods_text(content())
    text = " ".join(found.paragraphs)
    assert "[@" not in text
    first = list(dict.fromkeys(int(n) for group in re.findall(r"\[([\d, ]+)\]", text) for n in group.split(", ")))
    assert first == list(range(1, len(found.references) + 1))


def test_the_paper_that_the_question_comes_from_is_cited_where_the_networks_are_looked_into():
    found = methods_text(content())
    number = [reference.key for reference in found.references].index("khakzar2022") + 1
    assert f"Following the question of Khakzar et al. [{number}]" in " ".join(found.paragraphs)


def _numbers_of(value):
    """Every number that stands anywhere in nested facts, as a page would print it."""
    if isinstance(value, dict):
        return set().union(*map(_numbers_of, value.values())) | set().union(*map(_numbers_of, value))
    if isinstance(value, (list, tuple)):
        return {f"{len(value)}"}.union(*map(_numbers_of, value))
    if isinstance(value, str):
        return set(re.findall(r"\d+(?:\.\d+)*", value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {f"{value:g}", f"{100 * value:g}", count(value).replace(",", "")} | set(re.findall(r"\d+", f"{value:g}"))
    return set()


def test_every_number_in_the_text_stands_in_the_inputs():
    one = content()
    table = one.class_table
    known = _numbers_of(methods_content.SETTINGS) | _numbers_of(methods_content.PROVENANCE)
    known |= {str(one.test_images), str(one.history["run"].nunique()), str(int(table["annotated_test"].sum()))}
    known |= {str(n) for n in table["train_positives"]} | {str(n) for n in table.groupby("group").size()}
    known |= {str(n) for n in table["train_positives"] + table["train_negatives"]}
    known |= {number for p in table["prevalence"] for number in re.findall(r"[\d.]+", share(p))}
    known |= {str(len(table)), str(len(one.arms)), str(len(one.seeds)), str(len(one.arms) - 1)}
    known |= {str(int(epoch)) for epoch in one.trajectory["epoch"]}
    known |= {str(one.tuning.groupby("arm").size().iloc[0])}
    text = re.sub(r"\[[\d, ]+\]", "", " ".join(methods_paragraphs(one)))  # references are numbered, not measured
    text = text.replace("ChestX-ray14", "").replace("x86_64", "").replace("SHA-256", "").replace(",", "")
    text = text.replace("c0ffee12", "").replace("8e96d482f4e8", "")
    text = re.sub(r"2026-01-02", "", text)
    used = re.findall(r"\d+(?:\.\d+)*(?:e-\d+)?", text)
    assert len(used) > 60
    assert [number for number in used if number not in known and number.lstrip("0") not in known] == []


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [
        ({"training__epochs": 33}, "trained for 11 epochs", "trained for 33 epochs"),
        ({"training__lr": 0.01}, "peak learning rate 0.003", "peak learning rate 0.01"),
        ({"training__optimizer": "sgd"}, "with Adam", "with stochastic gradient descent with momentum"),
        ({"training__schedule": "constant"}, "fell to zero along a cosine", "stayed constant"),
        ({"training__warmup_fraction": 0}, "rose linearly over the first 5 %", "The learning rate fell to zero"),
        ({"data__image_size": [32, 64]}, "96 × 128 pixels", "32 × 64 pixels"),
        ({"data__resize": "stretch"}, "keeping their aspect ratio", "filling the frame"),
        ({"model__pretrained": True}, "random initial weights", "pretrained weights"),
        ({"model__name": "densenet121"}, "resnet18", "densenet121"),
        ({"compare__resamples": 700}, "1,900 bootstrap resamples", "700 bootstrap resamples"),
        ({"lenses__dissection__derangements": 500}, "1,300 derangements", "500 derangements"),
        ({"lenses__alignment__layer": "auto"}, "Grad-CAM [", "at the last spatial layer"),
    ],
)
def test_a_changed_setting_changes_its_sentence(settings, before, after):
    assert before in told()
    assert after in told(settings=settings)
    assert after not in told()


def test_settings_of_a_treatment_stand_beside_its_name_and_source():
    text = told()
    assert re.search(r"“focal γ=2”, focal loss \[\d+\] \(gamma 2.5, alpha 0.25, learning rate 0.0007\)", text)
    assert "compared with 2 treatments" in text


def test_control_is_the_arm_that_the_comparison_names():
    text = told(settings={"compare__control": "focal γ=2"})
    assert re.search(r"Control was trained with “focal γ=2”, focal loss \[\d+\]", text)
    assert "binary cross-entropy without treatment" in text.split("compared with")[1]


def test_a_treatment_inside_another_is_told_with_its_settings_and_source():
    arm = {"name": "combined", "loss": {"name": "ldam", "scale": 3}, "schedule": "drw"}
    text = told(settings={"treatments": [{"name": "control"}, arm]})
    assert re.search(
        r"a combination of loss label-distribution-aware margin loss \[(\d+)\] \(scale 3\) and schedule deferred "
        r"re-weighting \[\1, \d+\]",
        text,
    )


def test_an_arm_that_drew_other_images_is_named():
    assert "same images in the same order, except weighted_sampling, which drew" in told()
    same = {"seed 0": {"control": "bb", "weighted_sampling": "bb"}}
    assert "same images in the same order." in told(provenance={"fair_comparison__batch_order": same})


def test_unequal_initial_weights_are_not_called_the_same():
    other = {"seed 0": {"control": "aa", "focal": "zz"}}
    assert "same initial weights" in told()
    assert "same initial weights" not in told(provenance={"fair_comparison__initial_weights": other})


def test_unknown_patients_are_said():
    text = told(provenance={"data__patients_known": False})
    assert "patients were not known, so each image counted as a patient of its own" in text
    assert "of 3,100 patients" not in text
    assert "bootstrap resamples of images (patients are not known)" in text


def test_generated_images_are_called_so():
    text = told(settings={"data__source": "phantom"})
    assert "generated as chest phantoms; no patient is real" in text
    assert "ChestX-ray14" not in text


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        ("split as published", "The published split was kept, with 6,000 training and 2,000 test images."),
        ("patients dealt to train 0.7, val 0.1, test 0.2, stratified by class, seed 5", "no patient was in two splits"),
        ("split as published; val cut from its training patients as train 0.9, val 0.1", "kept, with val cut from its"),
    ],
)
def test_the_rule_of_the_split_is_that_of_the_data(note, sentence):
    assert sentence in told(provenance={"data__notes": [note]})


@pytest.mark.parametrize(
    ("policy", "word"), [("ignore", "as missing; a missing label"), ("zeros", "as negative."), ("ones", "as positive.")]
)
def test_the_policy_of_uncertain_labels_is_told_with_their_number(policy, word):
    assert f"37 uncertain labels counted {word}" in told(
        provenance={"data__notes": [f"37 uncertain labels became {policy}"]}
    )


def test_a_probability_is_told_as_a_weight_of_the_training_loss():
    note = "37 uncertain labels became soft(0.7) (edema); outside training they are unknown"
    assert (
        "37 uncertain labels (edema) counted as positive with weight 0.7 and as negative with the rest in the training "
        "loss, and as missing elsewhere"
    ) in told(provenance={"data__notes": [note]})


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("any", "A finding was positive where any reader of the image named it."),
        ("each", "Training took every reading of an image as an observation of its own"),
        ("R8", "Of the readers of the labels, R8 alone counted."),
    ],
)
def test_whose_labels_counted_is_told_where_there_are_several_readers(rule, words):
    note = "labels of 17 readers ('R1', 'R2' and 15 more); on 9 of 99 labels that several of them gave they differ"
    settings = {"data__label_readers": rule}
    assert words in told(settings=settings, provenance={"data__notes": [note]})
    assert words not in told(settings=settings, provenance={"data__notes": ["split as published"]})


def test_label_views_are_told_where_they_are_a_factor():
    views = [{"uncertain": "zeros"}, {"label_readers": "all", "label": "strict"}]
    text = told(settings={"label_views": views})
    assert "under 2 label views (uncertain: zeros; label readers: all), which decide the labels of training" in text
    assert "label view" not in told()


def test_without_uncertain_labels_no_policy_is_mentioned():
    assert "uncertain" not in told(provenance={"data__notes": ["split as published"]})


def test_counts_of_a_split_with_unknown_labels_are_not_made_up():
    table = content().class_table.assign(unknown=3)
    text = told(class_table=table)
    assert "6,000" not in text
    assert "The published split was kept, with 2,000 test images." in text


LENSES = {
    "alignment": ({"alignment": None, "shortcuts": None, "soundness": None, "references": None},
                  ("Saliency", "Grad-CAM", "placebo", "uninformed map", "attribution methods")),
    "dissection": ({"units": None, "causes": None, "detectors": None, "curve": None},
                   ("Single units", "derangements", "held at their mean", "network dissection")),
    "representation": ({"representation": RepresentationTables()}, ("CKA", "probes", "effective rank", "exchanged")),
    "trajectory": ({"trajectory": None}, ("after epochs",)),
    "tuning": ({"tuning": None}, ("chosen among",)),
    "ensembles": ({"ensembles": None}, ("Ensembles",)),
    "audit": ({"audit": None}, ("audited",)),
    "hidden": ({"hidden": None}, ("hidden difference,", "intersection-union")),
    "causes": ({"causes": None}, ("held at their mean", "21 splits")),
    "shortcuts": ({"shortcuts": None}, ("placebo", "170 test images")),
    "references": ({"references": None}, ("edge map", "untrained network")),
}  # fmt: skip


@pytest.mark.parametrize("what", LENSES)
def test_what_was_off_is_not_mentioned(what):
    changes, words = LENSES[what]
    whole, without = told(), told(**changes)
    for word in words:
        assert word in whole
        assert word not in without


def test_without_any_lens_on_the_inside_the_paper_is_not_cited_for_its_question():
    off = {**LENSES["alignment"][0], **LENSES["dissection"][0], **LENSES["representation"][0], "trajectory": None}
    assert "Khakzar" not in told(**off)


def test_a_mean_without_a_value_is_not_mentioned():
    estimates = content().estimates.copy()
    estimates.loc[estimates["class"] == "tail", "value"] = np.nan
    assert "over all classes and over the head and tail classes." in told()
    assert "over all classes and over the head classes." in told(estimates=estimates)


def test_the_threshold_is_told_where_sensitivity_was_taken():
    estimates = content().estimates
    sensitivity = estimates[estimates["metric"] == "expected_calibration_error"].assign(metric="sensitivity")
    assert "threshold of sensitivity" in told(estimates=pd.concat([estimates, sensitivity]))
    assert "threshold of sensitivity" not in told()


def test_a_reference_that_was_not_taken_is_not_mentioned():
    table = content().references.copy()
    table.loc[table["reference"] == "edge", "excess"] = np.nan
    assert "edge map" not in told(references=table)


def test_two_seeds_say_that_no_verdict_was_possible():
    text = told(seeds=(0, 1))
    assert "With 2 seeds, no verdict was possible" in text
    assert "For a candidate of a hidden difference" in text
    assert "A verdict needed" not in text


def test_one_seed_says_so_and_names_no_test():
    text = told(seeds=(4,))
    assert "With one seed, no difference between arms has an interval or a verdict." in text
    for word in ("Satterthwaite", "Holm's method", "equivalent", "hidden difference,"):
        assert word not in text


def test_one_arm_has_no_comparison():
    text = told(arms=("control",), settings={"treatments": [{"name": "control"}]}, findings=None)
    assert "compared with" not in text.split("Saliency")[0]
    assert "Treatment and control" not in text


def test_the_margins_are_those_of_the_comparison():
    text = told(margin=0.03, lens_margin=0.05)
    assert "within ±0.03" in text
    assert "differ by more than 0.05" in text


def test_a_plan_that_was_changed_late_is_told_with_its_day():
    history = [*methods_content.PROVENANCE["plan_history"],
               {"hash": "beef", "date": "2026-02-03T00:00:00+00:00", "predicted": 4, "changed": ["seeds"]}]  # fmt: skip
    assert "frozen on 2026-01-02, before the first test prediction" in told()
    assert "On 2026-02-03 it was replaced by beef (changed: seeds), when test predictions of 4 runs were there" in told(
        provenance={"plan_history": history}
    )


def test_cross_checks_are_told_only_where_they_were_made():
    checks = pd.DataFrame({"formula": ["Obuchowski"], "permutation_p": [0.2], "p_bh": [np.nan]})
    text = " ".join(methods_text(content(), checks).paragraphs)
    assert re.search(r"cross-checked by the formula of Obuchowski \[\d+\] and a permutation test over patients", text)
    assert "DeLong" not in text
    assert "Benjamini" not in text
    assert "cross-checked" not in told()


def test_the_second_control_is_told():
    assert "A/A" in told(settings={"compare__second_control": True})
    assert "A/A" not in told()


def test_parameters_are_told_where_they_are_on_record():
    assert "11,200,000 parameters" in told(provenance={"model": {"parameters": 11_200_000}})


def test_an_accelerator_stands_in_place_of_the_processor():
    text = told(provenance={"hardware__accelerators": ["H100", "H100"]})
    assert "Hardware: H100." in text
    assert "processor" not in text


def test_a_package_that_is_not_installed_is_not_listed():
    assert "timm" not in told(provenance={"versions__timm": "not installed"}).split("Software")[1]


def test_empty_content_gives_nothing_but_the_version():
    assert methods_paragraphs(EMPTY) == ("Software: tailscope 0.1.0.",)


def test_a_configuration_that_is_no_mapping_is_taken_as_none():
    assert conducted(dataclasses.replace(EMPTY, settings_yaml="just text")).settings == {}
