from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tailscope.core import InputError
from tailscope.dissection.ablation import ablated_logits, linear_rest
from tailscope.dissection.causes import CAUSE_METRICS, CausePlan, Causes, CauseSettings, like_units, plan_causes
from tailscope.dissection.images import AnnotatedImages, matched_set
from tailscope.dissection.matched import iou_matched
from tailscope.dissection.unit_facts import MatchedCounts, UnitSizes
from tailscope.models import Layer

SIDE, IMAGES, UNITS = 12, 80, 12
CLASSES = ("mass", "nodule", "edema")
USED, DUPLICATE, IGNORED, BYSTANDER, TUBE, DEAD = range(6)
PICTURE = 4  # what the picture shows: masses, nodules, tubes, and an effusion without a place
ROWS = {"mass": range(24), "nodule": range(16, 40), "tube": range(30, 60)}


def masks() -> dict[tuple[int, str], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    found = {}
    for name, rows in ROWS.items():
        for row in rows:
            y, x = rng.integers(0, SIDE - 4, 2)
            found[row, name] = np.zeros((SIDE, SIDE), dtype=bool)
            found[row, name][y : y + 3, x : x + 4] = True
    return found


def pixels() -> torch.Tensor:
    """(N, 4 + 6, SIDE, SIDE): the findings, each in a channel, and six channels of noise."""
    rng = np.random.default_rng(1)
    shown = rng.random((IMAGES, PICTURE + 6, SIDE, SIDE)) * 0.2
    for (row, name), mask in masks().items():
        shown[row, list(ROWS).index(name)] += mask
    shown[ROWS["nodule"], 3] += rng.random((len(ROWS["nodule"]), 1, 1))  # nodules tint the whole picture
    return torch.tensor(shown, dtype=torch.float32)


def network() -> nn.Module:
    """The head uses the units of masses and of tubes for `mass`; it reads `nodule` off the tint, not off nodules."""
    module = nn.Sequential(
        nn.Conv2d(PICTURE + 6, UNITS, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(UNITS, 3),
    )  # fmt: skip
    see, head = torch.zeros(UNITS, PICTURE + 6), torch.zeros(3, UNITS)
    see[USED, 0] = see[DUPLICATE, 0] = see[IGNORED, 1] = see[TUBE, 2] = see[BYSTANDER, 3] = 1
    see[range(6, 12), range(4, 10)] = 1
    head[0, USED], head[0, DUPLICATE], head[0, TUBE], head[1, BYSTANDER] = 3, 3, 2, 1
    head[:, 6:] = torch.tensor([[0.5, -0.5, 0.3, -0.3, 0.2, 0.1], [0.1, 0.2, -0.3, 0.3, -0.5, 0.5], [1.0] * 6])
    with torch.no_grad():
        module[0].weight.copy_(see[:, :, None, None])
        module[4].weight.copy_(head)
        module[4].bias.copy_(torch.tensor([-1.0, -2.0, -3.0]))
    return module.eval()


def images(order: NDArray[np.int64] | None = None, **changes: Any) -> AnnotatedImages:
    order = np.arange(IMAGES) if order is None else order
    where, drawn = np.argsort(order), masks()
    targets = np.zeros((IMAGES, 3))
    targets[ROWS["mass"], 0] = targets[ROWS["nodule"], 1] = targets[::7, 2] = 1
    named = [(where[row], CLASSES.index(name)) for row, name in drawn if name in CLASSES]
    content = {
        "masks": lambda row, name: drawn.get((int(order[row]), name)),
        "targets": targets[order],
        "annotated": np.array(named),
        "patients": order // 2,
        "classes": CLASSES,
        "image_ids": np.array([f"i{number:02d}" for number in order]),
    }
    return AnnotatedImages(**{**content, **changes})


LAYER = Layer("0", UNITS, (SIDE, SIDE))


def activations(module: nn.Module, order: NDArray[np.int64]) -> NDArray[np.float32]:
    with torch.no_grad():
        return module[:2](pixels()[order]).numpy()


def planned(
    number: int, settings: CauseSettings, module: nn.Module, order: NDArray[np.int64] | None = None, **changes: Any
) -> tuple[CausePlan | str, UnitSizes]:
    order = np.arange(IMAGES) if order is None else order
    maps, shown = activations(module, order), images(order, **changes)
    sizes = UnitSizes.of(maps)
    matched = matched_set(shown, number, settings.seed)
    assert matched is not None
    importance = sizes.magnitudes * module[4].weight[number].abs().double().detach().numpy()
    counts = MatchedCounts.of(maps, matched)
    return plan_causes(shown, number, counts, (sizes.live, importance), settings), sizes


def measured(
    number: int, settings: CauseSettings | None = None, order: NDArray[np.int64] | None = None
) -> tuple[CausePlan, Causes]:
    module, order = network(), np.arange(IMAGES) if order is None else order
    plan, sizes = planned(number, settings or CauseSettings(detectors=2), module, order)
    assert isinstance(plan, CausePlan)
    with torch.no_grad():
        logits = module(pixels()[order]).double().numpy()
    ablated = ablated_logits(module, pixels()[order][plan.rows], LAYER, plan.sets, sizes.means)
    found = plan.drops(logits, ablated)
    assert isinstance(found, Causes)
    return plan, found


def test_detectors_that_the_head_uses_are_causes() -> None:
    plan, found = measured(0)
    assert (np.sort(plan.detectors, axis=1) == [USED, DUPLICATE]).all()
    assert found.value("own_drop") > 0.5
    assert abs(found.value("other_drop")) < 1e-6
    assert found.value("specificity") > 0.5
    assert found.value("specificity_over_random") > 0.4


def test_detectors_that_the_head_ignores_are_none() -> None:
    plan, found = measured(1, CauseSettings(detectors=1))
    assert (plan.detectors == IGNORED).all()  # it is the best detector of nodules there is
    assert found.value("own_drop") == pytest.approx(0, abs=1e-6)
    assert found.value("specificity") == pytest.approx(0, abs=1e-6)


def test_a_tube_unit_that_the_head_uses_is_no_detector_of_the_mass_but_moves_its_logit() -> None:
    plan, _ = measured(0)
    assert not (plan.detectors == TUBE).any()
    module, sizes = network(), planned(0, CauseSettings(detectors=2), network())[1]
    with_tube = pixels()[list(ROWS["tube"])]
    found = ablated_logits(module, with_tube, LAYER, [(), (TUBE,), (IGNORED,)], sizes.means)
    falls = found[:, :1] - found[:, 1:]
    assert (falls[:, 0, 0] > 0).all()
    np.testing.assert_allclose(falls[:, 1], 0, atol=1e-12)
    np.testing.assert_allclose(falls[:, 0, 1:], 0, atol=1e-12)


def test_a_duplicate_shares_the_cause_with_its_twin() -> None:
    one, both = (measured(0, CauseSettings(detectors=number))[1].value("own_drop") for number in (1, 2))
    assert both == pytest.approx(2 * one, rel=1e-5)


def test_a_dead_unit_is_neither_detector_nor_random_unit() -> None:
    maps, shown = activations(network(), np.arange(IMAGES)), images()
    live, matched = UnitSizes.of(maps).live, matched_set(shown, 0, 0)
    assert matched is not None
    assert np.flatnonzero(~live).tolist() == [DEAD]
    live[USED] = False  # as good as its duplicate, were it alive
    counts = MatchedCounts.of(maps, matched)
    plan = plan_causes(shown, 0, counts, (live, np.ones(UNITS)), CauseSettings(detectors=5))
    assert isinstance(plan, CausePlan)
    assert (plan.detectors[:, 0] == DUPLICATE).all()
    assert not np.isin([USED, DEAD], np.concatenate([plan.detectors, plan.random])).any()


def oracle(number: int, plan: CausePlan, metric: str) -> float:
    """METHODS section 5, half by half and image by image."""
    module, maps, shown = network(), activations(network(), np.arange(IMAGES)), images()
    with torch.no_grad():
        logits = module(pixels()).double().numpy()
    values = []
    for half, detectors, random in zip(plan.scored, plan.detectors, plan.random, strict=True):
        drops: dict[str, list[float]] = {"own": [], "other": []}
        for row in [row for row, column in shown.annotated.tolist() if column == number and half[row]]:
            falls = []
            for units in (detectors, random):
                changed = torch.tensor(maps[row : row + 1])
                changed[:, units] = torch.tensor(maps[:, units].mean(axis=(0, 2, 3)))[:, None, None]
                with torch.no_grad():
                    fall = logits[row] - module[2:](changed)[0].double().numpy()
                falls.append(fall / logits[half].std(axis=0))
            own = [fall[number] for fall in falls]
            other = [np.mean([fall[k] for k in range(3) if k != number]) for fall in falls]
            drops["own"].append(own[0] if metric == "specificity" else own[0] - own[1])
            drops["other"].append(other[0] if metric == "specificity" else other[0] - other[1])
        values.append(np.mean(drops["own"]) - np.mean(drops["other"]))
    return float(np.mean(values))


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("metric", ["specificity", "specificity_over_random"])
def test_the_value_is_the_standardised_drop_on_the_held_out_half_written_out(number: int, metric: Any) -> None:
    plan, found = measured(number, CauseSettings(detectors=3, splits=4))
    assert found.value(metric) == pytest.approx(oracle(number, plan, metric), rel=1e-4)


def test_units_are_ranked_by_their_iou_on_the_other_half_alone() -> None:
    plan, _ = measured(0, CauseSettings(detectors=4, splits=3))
    shown, maps = images(), activations(network(), np.arange(IMAGES))
    matched = matched_set(shown, 0, 0)
    assert matched is not None
    inside = np.zeros((len(matched.rows), SIDE, SIDE), dtype=bool)
    inside[matched.annotated] = matched.bank
    level = iou_matched(maps[matched.rows], inside).threshold
    for half, detectors in zip(plan.scored, plan.detectors, strict=True):
        ranks = ~half[matched.rows]
        active = maps[matched.rows][ranks] > level[:, None, None]
        mask = inside[ranks][:, None]
        iou = (active & mask).sum(axis=(0, 2, 3)) / (active | mask).sum(axis=(0, 2, 3))
        iou[DEAD] = -1
        assert detectors.tolist() == np.argsort(-iou, kind="stable")[:4].tolist()


def test_pooled_counts_of_all_images_give_iou_matched() -> None:
    maps, matched = activations(network(), np.arange(IMAGES)), matched_set(images(), 1, 0)
    assert matched is not None
    inside = np.zeros((len(matched.rows), SIDE, SIDE), dtype=bool)
    inside[matched.annotated] = matched.bank
    found = MatchedCounts.of(maps, matched).iou(np.ones((1, len(matched.rows))))
    np.testing.assert_array_equal(found[0], iou_matched(maps[matched.rows], inside).value)


def test_halves_part_all_test_images_by_patient_and_are_used_both_ways() -> None:
    plan, found = measured(0, CauseSettings(detectors=2, splits=6))
    assert plan.scored.shape == (12, IMAGES)
    assert (plan.scored[:6] == ~plan.scored[6:]).all()
    assert (plan.scored[:, ::2] == plan.scored[:, 1::2]).all()
    assert (found.scored == plan.scored[:, plan.rows]).all()
    assert set(found.scored.sum(axis=1)) == {12}
    assert (found.falls[:, ~found.scored] == 0).all()


def test_random_units_are_live_others_and_as_many() -> None:
    plan, _ = measured(0, CauseSettings(detectors=5))
    for detectors, random in zip(plan.detectors, plan.random, strict=True):
        assert len({*detectors.tolist(), *random.tolist()}) == 10
    assert len({tuple(one) for one in plan.random.tolist()}) > 1


def test_like_units_are_the_least_sum_of_differences_among_those_drawn() -> None:
    rng = np.random.default_rng(3)
    importance = rng.random(40) ** 3
    chosen, others = np.arange(3), np.arange(3, 40)
    found = [like_units(chosen, others, importance, np.random.default_rng(seed)) for seed in range(200)]
    errors = np.array([np.abs(importance[chosen] - importance[one]).sum() for one in found])
    assert errors.mean() < 0.2 * np.abs(importance[:3, None] - importance[3:]).mean(axis=1).sum()
    everyone = like_units(chosen, others[:3], importance, rng)
    assert sorted(everyone.tolist()) == [3, 4, 5]
    best = min(
        np.abs(importance[:3] - importance[list(order)]).sum()
        for order in ([3, 4, 5], [3, 5, 4], [4, 3, 5], [4, 5, 3], [5, 3, 4], [5, 4, 3])
    )
    assert np.abs(importance[:3] - importance[everyone]).sum() == pytest.approx(best)


def test_random_units_of_a_network_without_causes_fall_like_the_detectors() -> None:
    """Detectors drawn at random are no more specific than random units: the difference is centred at 0."""
    rng = np.random.default_rng(0)
    units, count, differences = 60, 200, []
    for _ in range(count):
        pooled, weight = rng.random((16, units)), rng.normal(size=(3, units))
        importance = np.abs(weight[0])
        chosen = rng.permutation(units)[:5]
        like = like_units(chosen, np.setdiff1d(np.arange(units), chosen), importance, rng)
        change = pooled - 0.5
        drops = [change[:, one] @ weight[:, one].T for one in (chosen, like)]
        differences.append((drops[0][:, 0] - drops[1][:, 0]).mean())
    error = np.std(differences) / np.sqrt(count)
    assert abs(np.mean(differences)) < 4 * error


def test_score_averages_the_images_of_each_half_by_their_weights() -> None:
    _, found = measured(0, CauseSettings(detectors=2, splits=3))
    weights = np.random.default_rng(1).poisson(1.0, (5, len(found.rows))).astype(float)
    expected = []
    for row in weights:
        halves = []
        for half, scored in enumerate(found.scored):
            if (row * scored).sum() > 0:
                terms = found.falls[0, half] - found.falls[1, half]
                halves.append((row * terms).sum() / (row * scored).sum())
        expected.append(np.mean(halves))
    np.testing.assert_allclose(found.score(weights), expected, rtol=1e-12)


def test_weights_of_one_change_nothing_and_no_weight_leaves_nothing() -> None:
    _, found = measured(0, CauseSettings(detectors=2, splits=3))
    n = len(found.rows)
    for metric in CAUSE_METRICS:
        scores = found.score(np.array([[1.0] * n, [2.0] * n, [0.0] * n]), metric)
        assert scores[0] == pytest.approx(scores[1], rel=1e-12)
        assert scores[0] == pytest.approx(found.value(metric), rel=1e-12)
        assert np.isnan(scores[2])


def test_the_metrics_add_up() -> None:
    _, found = measured(0, CauseSettings(detectors=3, splits=3))
    value = {metric: found.value(metric) for metric in CAUSE_METRICS}
    assert value["specificity"] == pytest.approx(value["own_drop"] - value["other_drop"])
    assert value["random_specificity"] == pytest.approx(value["random_own_drop"] - value["random_other_drop"])
    assert value["specificity_over_random"] == pytest.approx(value["specificity"] - value["random_specificity"])


def test_the_order_of_the_images_changes_nothing() -> None:
    order = np.random.default_rng(5).permutation(IMAGES)
    settings = CauseSettings(detectors=3, splits=3)
    (plan, found), (other_plan, other) = measured(0, settings), measured(0, settings, order)
    assert plan.detectors.tolist() == other_plan.detectors.tolist()
    assert plan.random.tolist() == other_plan.random.tolist()
    assert (plan.scored[:, order] == other_plan.scored).all()
    for metric in CAUSE_METRICS:
        assert other.value(metric) == pytest.approx(found.value(metric), rel=1e-5, abs=1e-6)


def test_the_scale_of_a_logit_changes_nothing() -> None:
    module = network()
    plan, sizes = planned(0, CauseSettings(detectors=2, splits=3), module)
    assert isinstance(plan, CausePlan)
    with torch.no_grad():
        logits = module(pixels()).double().numpy()
    ablated = ablated_logits(module, pixels()[plan.rows], LAYER, plan.sets, sizes.means)
    scale, shift = np.array([2.0, 5.0, 0.1]), np.array([1.0, -3.0, 7.0])
    one, other = plan.drops(logits, ablated), plan.drops(logits * scale + shift, ablated * scale + shift)
    assert isinstance(one, Causes)
    assert isinstance(other, Causes)
    np.testing.assert_allclose(other.falls, one.falls, rtol=1e-9, atol=1e-12)


def test_only_the_wanted_logits_are_read() -> None:
    module = network()
    plan, sizes = planned(0, CauseSettings(detectors=3, splits=3), module)
    assert isinstance(plan, CausePlan)
    with torch.no_grad():
        logits = module(pixels()).double().numpy()
    ablated = ablated_logits(module, pixels()[plan.rows], LAYER, plan.sets, sizes.means)
    assert not plan.wanted.all()
    partial = np.where(plan.wanted[:, :, None], ablated, np.nan)
    one, other = plan.drops(logits, ablated), plan.drops(logits, partial)
    assert isinstance(one, Causes)
    assert isinstance(other, Causes)
    assert (one.falls == other.falls).all()
    with pytest.raises(InputError, match="logits must be finite"):
        plan.drops(logits, np.where(plan.wanted[:, :, None], np.nan, ablated))
    with pytest.raises(InputError, match="expected `logits` "):
        plan.drops(logits, ablated[:, 1:])


def test_a_logit_that_is_constant_has_no_drop() -> None:
    plan, _ = planned(0, CauseSettings(detectors=2, splits=3), network())
    assert isinstance(plan, CausePlan)
    rng = np.random.default_rng(0)
    logits, ablated = rng.normal(size=(IMAGES, 3)), rng.normal(size=(len(plan.rows), len(plan.sets), 3))
    own, other, others = logits.copy(), logits.copy(), logits.copy()
    own[:, 0], other[:, 1], others[:, 1:] = 0.1, 0.1, 0.1
    assert plan.drops(own, ablated) == "the class's logit is constant over a half of the test images"
    assert plan.drops(others, ablated) == "no other class has a logit that varies over each half of the test images"
    found = plan.drops(other, ablated)
    assert isinstance(found, Causes)
    spread = np.stack([other[half, 2].std() for half in plan.scored])
    first = int(np.flatnonzero(found.scored[0])[0])
    place = plan.sets.index(tuple(sorted(plan.detectors[0].tolist())))
    expected = (ablated[first, 0, 2] - ablated[first, place, 2]) / spread[0]
    assert found.falls[1, 0, first] == pytest.approx(expected)


def test_too_few_patients_or_live_units_are_named() -> None:
    module = network()
    patients = np.where(np.arange(IMAGES) < 24, np.arange(IMAGES) % 6, np.arange(IMAGES))
    assert planned(0, CauseSettings(), module, patients=patients)[0] == "6 annotated patients; at least 7 are needed"
    found = planned(0, CauseSettings(detectors=6), module)[0]
    assert found == "11 live units; 6 detectors and as many others are needed"
    with torch.no_grad():
        module[0].weight.zero_()
    assert planned(0, CauseSettings(), module)[0] == "no live unit"


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="`detectors` and `splits` must be 1 or more; got 0 and 20"):
        CauseSettings(detectors=0)
    _, found = measured(0, CauseSettings(detectors=2, splits=1))
    with pytest.raises(InputError, match="`metric` must be one of 'own_drop'"):
        found.score(None, "drop")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"`weights` must be \(R, 24\)"):
        found.score(np.ones(24))


def test_sizes_do_not_take_what_is_not_finite() -> None:
    maps = np.ones((2, 1, 2, 2), dtype=np.float32)
    maps[1, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="`activations` must be finite"):
        UnitSizes.of(maps)


def test_the_planted_network_takes_the_closed_form() -> None:
    rest = linear_rest(network(), pixels()[:4], LAYER, np.zeros(UNITS))
    assert rest is not None
    np.testing.assert_array_equal(rest.weight, network()[4].weight.detach().double().numpy())
