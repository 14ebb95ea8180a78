"""What is measured of each method on one run, and that a method that ignores the network is found out."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from tailscope.alignment.soundness import method_verdicts, soundness_verdicts
from tailscope.attribution import ATTRIBUTIONS, GradCam
from tailscope.core import SilentProgress
from tailscope.experiment import soundness
from tailscope.experiment.fitting import fresh_network, trained_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.lens_config import AlignmentLens
from tailscope.experiment.plan import planned_runs
from tailscope.experiment.preparing import prepare_experiment
from tailscope.experiment.reading import load_config
from tailscope.experiment.soundness import Examined, chosen_pairs, measure_soundness, soundness_values
from tailscope.training import image_batches

SIGNED = {"name": "gradcam", "relu": False}  # with the ReLU, maps of a network that hardly learned are often all 0


@dataclass(frozen=True)
class Edges:
    """Saliency that never asks the network: the brightness of the image."""

    shares_passes: ClassVar[bool] = False

    def __call__(self, model, images, classes):
        return images.mean(dim=1, keepdim=True).expand(-1, len(classes), -1, -1).float()


@pytest.fixture(scope="module")
def parts(finished):
    """Configuration, data, first run and its network."""
    folder = ExperimentFolder(finished.path)
    prepared = prepare_experiment(load_config(folder.config), folder, SilentProgress())
    run = planned_runs(prepared.config, prepared.data)[0]
    return prepared.config, prepared.data, run, trained_network(folder, prepared.config, prepared.data, run)


@pytest.fixture(scope="module")
def permuted(parts):
    """Another network of the same build; what it learned is not the matter here."""
    config, data, _, _ = parts
    return fresh_network(config, data, 77)


@pytest.fixture(scope="module")
def measured(parts, permuted, tmp_path_factory) -> pd.DataFrame:
    """The values of Grad-CAM and of brightness on the first run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTRIBUTIONS._choices, "edges", Edges)
        return measure(parts, permuted, tmp_path_factory.mktemp("soundness"))


def measure(parts, permuted, path, **changes) -> pd.DataFrame:
    config, data, run, network = parts
    content = {"attributions": [SIGNED, "edges"], "soundness": {"pairs": 20}, **changes}
    lens = AlignmentLens.model_validate({**content, "layer": config.lenses.alignment.layer})
    folder = ExperimentFolder(path)
    measure_soundness(folder, run, Examined(network, permuted), data, lens, SilentProgress())
    return soundness_values(folder, {run.name: run.arm})


def gradcam(parts, network, pairs) -> list[np.ndarray]:
    config, data, _, _ = parts
    method = GradCam(config.lenses.alignment.layer, relu=False)
    batch = next(iter(image_batches(network, data.pixels, pairs[:, 0], 64)))[1]
    every = method(network.module, batch, range(2)).numpy()
    return [every[place, number] for place, number in enumerate(pairs[:, 1])]


def test_every_check_of_every_method_is_measured(measured) -> None:
    found = measured.groupby(["method", "check"])["stage"].nunique()
    judged = ["class discriminative", "deletion and insertion", "labels permuted", "parameters randomised"]
    names = {"gradcam": ["agreement with edges", *judged], "edges": ["agreement with gradcam", *judged]}
    for method, checks in names.items():
        assert found[method].index.tolist() == checks
    assert found["gradcam", "parameters randomised"] == 10
    assert found["edges", "parameters randomised"] == 1
    assert set(measured["arm"]) == {"control"}


def test_a_method_that_takes_many_passes_gets_a_quarter_of_the_pairs(measured) -> None:
    own = measured[measured["check"] == "deletion and insertion"].groupby("method").size()
    assert own.to_dict() == {"gradcam": 20, "edges": 5}


def test_a_method_that_sends_many_images_through_the_network_gets_a_quarter_as_well(
    parts, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(soundness, "_DEAR", 1)
    values = measure(parts, None, tmp_path, attributions=[SIGNED])
    assert values.groupby("check").size().max() == 5
    assert set(values["stage"]) == {"", "all weights"}
    hooks = [part for part in parts[3].module.modules() if part._forward_pre_hooks]
    assert not hooks


def test_every_missing_value_has_a_reason_and_no_other(measured) -> None:
    assert (measured["value"].isna() == (measured["reason"] != "")).all()


def test_a_method_that_ignores_the_network_fails_what_it_must(measured) -> None:
    table = soundness_verdicts(measured).set_index(["method", "check"])["verdict"]["edges"]
    for check in ("class discriminative", "parameters randomised", "labels permuted"):
        assert table[check] == "fails"
    overall = method_verdicts(soundness_verdicts(measured)).set_index("method")["verdict"]
    assert overall["edges"] == "fails"


def test_grad_cam_depends_on_the_weights(measured) -> None:
    table = soundness_verdicts(measured).set_index(["method", "check"])
    assert table.loc[("gradcam", "parameters randomised"), "value"] < 0.9
    edges = table.loc[("edges", "parameters randomised"), "value"]
    assert edges == pytest.approx(1.0)


def test_scipy_gives_the_same_likeness_to_the_other_network(parts, permuted, measured) -> None:
    data = parts[1]
    pairs = chosen_pairs(data, 20)
    both = zip(gradcam(parts, parts[3], pairs), gradcam(parts, permuted, pairs), strict=True)
    expected = [spearmanr(one.ravel(), other.ravel()).statistic for one, other in both]
    rows = measured[(measured["method"] == "gradcam") & (measured["check"] == "labels permuted")]
    assert rows["image_id"].tolist() == data.image_ids[pairs[:, 0]].tolist()
    np.testing.assert_allclose(rows["value"], expected, atol=2e-3)


def test_scipy_gives_the_same_likeness_of_the_classes(parts, measured) -> None:
    pairs = chosen_pairs(parts[1], 20)
    own = gradcam(parts, parts[3], pairs)
    other = gradcam(parts, parts[3], np.stack([pairs[:, 0], 1 - pairs[:, 1]], axis=1))
    expected = [spearmanr(one.ravel(), two.ravel()).statistic for one, two in zip(own, other, strict=True)]
    rows = measured[(measured["method"] == "gradcam") & (measured["check"] == "class discriminative")]
    np.testing.assert_allclose(rows["value"], expected, atol=2e-3)


def test_without_a_permuted_network_that_check_is_not_measured(parts, tmp_path) -> None:
    values = measure(parts, None, tmp_path, attributions=[SIGNED], soundness={"pairs": 4})
    verdicts = soundness_verdicts(values).set_index("check")["verdict"]
    assert verdicts["labels permuted"] == "not measured"


def test_the_batch_size_does_not_matter(parts, permuted, tmp_path) -> None:
    settings = {"attributions": [SIGNED], "soundness": {"pairs": 4}}
    whole, small = (measure(parts, permuted, tmp_path / str(size), **settings, batch_size=size) for size in (64, 3))
    np.testing.assert_allclose(whole["value"], small["value"], atol=5e-3)


def test_a_network_that_cannot_be_explained_leaves_the_reason(parts, permuted, tmp_path) -> None:
    module = copy.deepcopy(permuted.module)
    torch.nn.init.constant_(module.fc.bias, float("nan"))
    broken = replace(permuted, module=module)
    values = measure(parts, broken, tmp_path, attributions=[SIGNED], soundness={"pairs": 4})
    rows = values[values["check"] == "labels permuted"]
    assert rows["value"].isna().all()
    assert rows["reason"].str.startswith("logits must be finite").all()
    assert values.loc[values["check"] == "class discriminative", "value"].notna().any()


def test_pairs_are_spread_over_the_classes_and_do_not_depend_on_the_order_of_the_images(parts) -> None:
    data = parts[1]
    pairs = chosen_pairs(data, 8)
    assert np.bincount(pairs[:, 1]).tolist() == [4, 4]
    turned = replace(data, annotated=data.annotated[::-1].copy())
    np.testing.assert_array_equal(chosen_pairs(turned, 8), pairs)
    np.testing.assert_array_equal(chosen_pairs(data, 6), pairs[:6])


def test_no_annotated_pair_leaves_an_empty_table(parts, permuted, tmp_path) -> None:
    config, data, run, network = parts
    bare = replace(data, annotated=np.zeros((0, 2), dtype=np.int64))
    values = measure((config, bare, run, network), permuted, tmp_path, attributions=[SIGNED])
    assert values.empty
    assert soundness_verdicts(values).empty
