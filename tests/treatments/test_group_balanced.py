import pickle

import numpy as np
import pytest

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.data.attributes import image_attributes
from tailscope.data.phantom import Phantom
from tailscope.treatments.group_balanced import GroupBalancedSampling
from tailscope.treatments.registry import TREATMENTS

NAN = float("nan")
NAMES = ("pneumothorax", "mass", "hernia")
TARGETS = np.array(
    [
        [1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, NAN], [0, 1, 0], [NAN, 1, 0],
        [0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0], [0, NAN, 0], [0, 0, 0],
    ]
)  # fmt: skip
TUBE = np.array([True, True, True, False, True, False, True, False, False, False, False, True])
VIEW = np.array(["PA", None, "AP", "PA", "PA", "AP", None, "AP", "PA", "PA", "AP", None], dtype=object)
COUNTS = ClassCounts.from_targets(NAMES, TARGETS)


def _weights(column, values, classes=None, reduce="max", targets=TARGETS):
    plan = GroupBalancedSampling(column, classes, reduce)(ClassCounts.from_targets(NAMES, targets))
    return plan.draw_weights(targets, {column: values, "other": np.zeros(len(targets))})


def _cells(values, classes):
    """Per image the list of its cells (class, group), from the definition."""
    cells = []
    for row, value in zip(TARGETS, values, strict=True):
        own = [name for name, label in zip(NAMES, row, strict=True) if name in classes and label == 1]
        cells.append([(name, str(value)) for name in own or ["none"]])
    return cells


def _slow(values, classes, reduce):
    cells = _cells(values, classes)
    weights = []
    for own in cells:
        inverse = [1 / sum(1 for other in cells if cell in other) for cell in own]
        weights.append({"max": max(inverse), "mean": sum(inverse) / len(inverse), "sum": sum(inverse)}[reduce])
    return weights


@pytest.mark.parametrize("reduce", ["max", "mean", "sum"])
@pytest.mark.parametrize("values", [TUBE, VIEW], ids=["tube", "view"])
@pytest.mark.parametrize("classes", [None, ["mass"], ["mass", "pneumothorax"]])
def test_an_image_weighs_by_the_sizes_of_its_cells(values, classes, reduce):
    np.testing.assert_allclose(
        _weights("column", values, classes, reduce), _slow(values, classes or NAMES, reduce), rtol=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_class_and_a_binary_column_make_four_cells_of_the_same_mass(name):
    weights = _weights("tube", TUBE, [name])
    mass = {}
    for (cell,), weight in zip(_cells(TUBE, [name]), weights, strict=True):
        mass[cell] = mass.get(cell, 0.0) + weight

    assert len(mass) == 4
    np.testing.assert_allclose(list(mass.values()), 1.0, rtol=1e-12)


def test_a_planted_shortcut_is_broken():
    data = Phantom(train=400, val=50, test=50, shortcuts={"pneumothorax": {"artifact": "chest_tube", "strength": 0.8}})(
        None
    )
    rows = (data.images["split"] == "train").to_numpy()
    states = data.labels.pivot_table(index="image_id", columns="class", values="state", aggfunc="first")
    targets = (states.loc[data.images["image_id"], list(data.classes)] == "positive").to_numpy(dtype=float)[rows]
    tube = image_attributes(data)["chest_tube"][rows]
    positive = targets[:, data.classes.index("pneumothorax")] == 1
    assert (tube[positive].mean(), tube[~positive].mean()) == pytest.approx((0.8, 0.016), abs=0.03)

    plan = GroupBalancedSampling("chest_tube", ["pneumothorax"])(ClassCounts.from_targets(data.classes, targets))
    weights = plan.draw_weights(targets, {"chest_tube": tube})

    assert np.average(tube[positive], weights=weights[positive]) == pytest.approx(0.5, rel=1e-12)
    assert np.average(tube[~positive], weights=weights[~positive]) == pytest.approx(0.5, rel=1e-12)


def test_missing_values_are_a_group_of_their_own():
    missing = np.array([None, NAN, "PA", "PA"], dtype=object)
    targets = np.zeros((4, 3))
    plan = GroupBalancedSampling("view")(COUNTS)

    assert plan.sample_weights(targets, {"view": missing}).tolist() == [0.5] * 4
    named = np.array([None, "AP", "PA", "PA"], dtype=object)
    assert plan.sample_weights(targets, {"view": named}).tolist() == [1, 1, 0.5, 0.5]


def test_the_plan_names_the_column_and_the_loss_is_controls():
    plan = GroupBalancedSampling("chest_tube")(COUNTS)

    assert plan.attributes == ("chest_tube",)
    assert type(plan.loss).__name__ == "WeightedBCE"


def test_a_permutation_of_the_images_permutes_the_weights():
    order = np.random.default_rng(0).permutation(len(TARGETS))

    np.testing.assert_array_equal(_weights("view", VIEW[order], targets=TARGETS[order]), _weights("view", VIEW)[order])


@pytest.mark.parametrize("classes", [None, ("mass", "pneumothorax")])
def test_a_permutation_of_the_classes_leaves_the_weights(classes):
    order = [2, 0, 1]
    permuted = ClassCounts.from_targets(tuple(NAMES[c] for c in order), TARGETS[:, order])
    plan = GroupBalancedSampling("view", classes, "sum")(permuted)

    np.testing.assert_allclose(
        plan.sample_weights(TARGETS[:, order], {"view": VIEW}), _weights("view", VIEW, classes, "sum"), rtol=1e-12
    )


def test_the_weights_survive_pickling():
    weights = GroupBalancedSampling("view", ["mass"])(COUNTS).sample_weights

    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(weights))(TARGETS, {"view": VIEW}), weights(TARGETS, {"view": VIEW})
    )


def test_the_limit_case_draws_uniformly():
    treatment = GroupBalancedSampling(**GroupBalancedSampling.limit.settings)
    targets = np.tile(np.eye(3), (4, 1))
    plan = treatment(ClassCounts.from_targets(NAMES, targets))

    assert plan.draw_weights(targets, {"view": np.array(["PA"] * 12)}).tolist() == [0.25] * 12


def test_a_list_of_classes_becomes_a_tuple():
    built = TREATMENTS.build("group_balanced_sampling", column="view", classes=["mass"])

    assert built.classes == ("mass",)
    assert hash(built) == hash(GroupBalancedSampling("view", ("mass",)))


@pytest.mark.parametrize("side", ["positives", "others"])
def test_a_class_whose_side_stands_in_one_group_alone_is_refused(side):
    tube = TARGETS[:, 0] == 1
    tube[0 if side == "others" else 8] ^= True

    with pytest.raises(
        DataError, match=r"class 'pneumothorax': `tube` = .*True hold its positives.*no draw breaks the tie"
    ):
        _weights("tube", tube, ["mass", "pneumothorax"])


def test_every_tied_class_is_named():
    tube = (TARGETS[:, 0] == 1) | (TARGETS[:, 2] == 1)

    with pytest.raises(DataError, match=r"(?s)2 problems.*class 'pneumothorax'.*class 'hernia'"):
        _weights("tube", tube, ["pneumothorax", "hernia"])


def test_a_tie_is_accepted_where_no_class_is_named():
    assert np.isfinite(_weights("tube", TARGETS[:, 0] == 1)).all()


def test_a_column_of_one_value_ties_no_class():
    assert np.isfinite(_weights("view", np.array(["PA"] * 12), ["mass"])).all()


def test_an_unknown_class_is_refused_and_the_known_ones_are_named():
    with pytest.raises(
        InputError, match=r"no class is named 'hernai'; did you mean 'hernia'\? Known: pneumothorax, mass"
    ):
        GroupBalancedSampling("view", ["mass", "hernai"])(COUNTS)


@pytest.mark.parametrize("classes", ["mass", [], ["mass", "mass"], [3], 3])
def test_classes_that_are_no_list_of_different_names_are_refused(classes):
    with pytest.raises(
        InputError, match=r"`classes` must be a list of class names, each once, such as \[pneumothorax\]"
    ):
        GroupBalancedSampling("view", classes)


@pytest.mark.parametrize("settings", [{}, {"column": ""}, {"column": 3}])
def test_a_column_must_be_named(settings):
    with pytest.raises(
        InputError, match="`column` must name a column of the images, such as view, sex or a confounder"
    ):
        TREATMENTS.build("group_balanced_sampling", **settings)


def test_another_reduction_is_refused():
    with pytest.raises(InputError, match="`reduce` must be one of 'max', 'mean', 'sum'; got 'median'"):
        GroupBalancedSampling("view", reduce="median")


def test_a_class_without_positives_is_refused():
    with pytest.raises(DataError, match="class 'hernia' has 0 positive"):
        GroupBalancedSampling("view")(ClassCounts(("mass", "hernia"), (3, 0), (3, 6)))


def test_targets_of_another_width_are_refused():
    plan = GroupBalancedSampling("view")(COUNTS)

    with pytest.raises(InputError, match=r"`targets` must be \(N, 3\), one column per class; got \(12, 2\)"):
        plan.sample_weights(TARGETS[:, :2], {"view": VIEW})
