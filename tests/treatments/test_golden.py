"""The published forms against what the published code computed (../shared/golden)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS
from tailscope.treatments.cells import CellLoss
from tailscope.treatments.cross_entropy import (
    WeightedBCE,
    batch_positive_weights,
    class_weights,
    published_class_weights,
    smallest_ratio,
)
from tailscope.treatments.focal import class_balanced_alpha, published_alpha
from tailscope.treatments.sampling import published_sampling_weights

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
GROUPS = ("loss", "loss_variant", "class_stats")
EXEMPT = {
    "lossvar_bce_sum": "sum reduction: tailscope's losses have one reduction each",
    "selectclasses_nih_cross": "choosing classes is a matter of the data room, not of a treatment",
}
LOSS_NAMES = {
    "CrossEntropyLoss": "control",
    "IntraWeightedBCEWithLogits": "intra_weighted",
    "InterWeightedBCEWithLogits": "inter_weighted",
    "FocalLoss": "focal",
    "ClassBalancedLoss": "class_balanced_focal",
    "AsymmetricLoss": "asymmetric",
    "MultiTaskLoss": "uncertainty",
}
SETTING_NAMES = {"gamma": "gamma", "alpha": "alpha", "beta": "beta", "clip": "margin"} | {
    name: name for name in ("gamma_pos", "gamma_neg")
}
FLOAT32_WEIGHTS = ("inter_weighted", "class_balanced_focal")

pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here"),
]


def _cases():
    if not GOLDEN.exists():
        return []
    cases = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    return [case for case in cases if case["group"] in GROUPS and case["name"] not in EXEMPT]


def _params(*groups):
    return [pytest.param(case, id=case["name"]) for case in _cases() if case["group"] in groups]


def _arrays(case):
    with np.load(GOLDEN / case["file"]) as file:
        return dict(file)


def _counts(arrays, num_classes):
    pair = arrays.get("num_pos_neg", np.ones((2, num_classes), dtype=np.int64)).tolist()
    return ClassCounts(tuple(f"class {c}" for c in range(len(pair[0]))), tuple(pair[0]), tuple(pair[1]))


def _name(case):
    return LOSS_NAMES[case["function"].split(".")[0]]


def _loss(case, arrays) -> CellLoss:
    num_classes = arrays["logits"].shape[1]
    if "pos_weight" in case["args"]:
        weights = (np.array(case["args"][name]) for name in ("pos_weight", "class_weight"))
        return WeightedBCE(num_classes, *weights)
    settings = {SETTING_NAMES[key]: value for key, value in case["args"].items() if key in SETTING_NAMES}
    if _name(case) != "control":
        settings["variant"] = "as_published"
    return TREATMENTS.build(_name(case), **settings)(_counts(arrays, num_classes)).loss


def _value_and_gradients(loss, arrays, dtype):
    logits = torch.tensor(arrays["logits"], dtype=dtype, requires_grad=True)
    if "log_variance" in arrays:
        loss.to(dtype).log_variance.data.copy_(torch.tensor(arrays["log_variance"]))
    value = loss(logits, torch.tensor(arrays["target"], dtype=dtype))
    value.backward()
    return value, logits.grad


@pytest.mark.parametrize("case", _params("loss", "loss_variant"))
def test_the_published_loss_matches_in_value_gradient_and_cells_in_float64(case):
    arrays = _arrays(case)
    loss = _loss(case, arrays)
    scale = case["args"].get("loss_weight", 1.0)
    rtol = 1e-4 if _name(case) in FLOAT32_WEIGHTS else 1e-10

    value, gradient = _value_and_gradients(loss, arrays, torch.float64)

    np.testing.assert_allclose(scale * value.item(), arrays["loss"], rtol=rtol)
    np.testing.assert_allclose(scale * gradient, arrays["grad"], rtol=rtol, atol=1e-15)
    if "loss_none" in arrays:
        cells = loss.cells(torch.tensor(arrays["logits"]), torch.tensor(arrays["target"]))
        np.testing.assert_allclose(scale * cells.detach(), arrays["loss_none"], rtol=rtol, atol=1e-15)
    if "grad_log_variance" in arrays:
        np.testing.assert_allclose(loss.log_variance.grad, arrays["grad_log_variance"], rtol=rtol)


@pytest.mark.parametrize("case", _params("loss"))
def test_the_published_loss_matches_in_value_and_gradient_in_float32(case):
    arrays = _arrays(case)
    scale = case["args"].get("loss_weight", 1.0)

    value, gradient = _value_and_gradients(_loss(case, arrays), arrays, torch.float32)

    assert value.dtype == torch.float32
    np.testing.assert_allclose(scale * value.item(), arrays["loss_f32"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scale * gradient, arrays["grad_f32"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", _params("class_stats"))
def test_the_published_class_statistics_match(case):
    arrays = _arrays(case)
    counts = _counts(arrays, 0)

    compared = set()
    for published, corrected in _statistics(case, counts):
        for name, value in {**published, **corrected}.items():
            np.testing.assert_allclose(value, arrays[name], rtol=1e-4 if name in published else 1e-10, err_msg=name)
            compared.add(name)

    assert compared == {name for name, array in case["arrays"].items() if array["role"] == "out"}


def _statistics(case, counts):
    kind, args = case["name"].split("_")[0], case["args"]
    if kind == "cbalpha":
        yield (
            {"alpha": published_alpha(counts, args["beta"])},
            {"alpha_ref_f64": class_balanced_alpha(counts, args["beta"])},
        )
    elif kind == "interweight":
        exact = np.sqrt(np.array(counts.positives) / (max(counts.positives) + sum(counts.positives)))
        yield {"class_weight": published_class_weights(counts)}, {"class_weight_ref_f64": exact / exact.sum()}
    elif kind == "intramin":
        yield {}, {"min_global_pos_weight": smallest_ratio(counts)}
    elif kind == "samplingweights":
        yield {}, {"class_sampling_weights": published_sampling_weights(counts, args["clip_ratio"])}
    else:
        pytest.fail(f"no comparison for golden case {case['name']!r}")


@pytest.mark.parametrize("case", [p for p in _params("loss", "loss_variant") if "intra" in p.id])
def test_the_published_intra_weight_of_a_batch_matches(case):
    arrays = _arrays(case)
    targets = torch.tensor(arrays["target"])

    fallback = smallest_ratio(_counts(arrays, 0))
    weights = batch_positive_weights(targets, ~targets.isnan(), fallback)

    assert fallback == pytest.approx(float(arrays["min_global_pos_weight"]), rel=1e-10)
    np.testing.assert_allclose(weights, arrays["pos_weight"], rtol=1e-10)


@pytest.mark.parametrize("case", [p for p in _params("loss", "loss_variant") if "inter_" in p.id or "cb_" in p.id])
def test_the_weights_in_the_published_loss_match(case):
    arrays = _arrays(case)
    counts = _counts(arrays, 0)

    if "alpha" in arrays:
        np.testing.assert_allclose(published_alpha(counts, case["args"]["beta"]), arrays["alpha"], rtol=1e-4)
    else:
        np.testing.assert_allclose(published_class_weights(counts), arrays["class_weight"], rtol=1e-4)


def test_the_corrected_class_weights_are_the_published_ones_turned_over():
    counts = ClassCounts(("mass", "hernia", "nodule"), (500, 3, 40), (9, 9, 9))

    product = class_weights(counts) * published_class_weights(counts)

    np.testing.assert_allclose(product, product[0], rtol=1e-6)


def test_every_case_outside_the_exempt_ones_is_exercised():
    manifest = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    wanted = {case["name"] for case in manifest if case["group"] in GROUPS}
    exercised = {param.id for param in [*_params("loss", "loss_variant"), *_params("class_stats")]}

    assert exercised == wanted - set(EXEMPT)
    assert set(EXEMPT) <= wanted
