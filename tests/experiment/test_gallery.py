import dataclasses

import numpy as np
import pandas as pd
import pytest
from kept_scene import IMAGES, squares
from scipy.special import expit

from tailscope.core import generator
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.gallery import chosen_places, gallery_cases
from tailscope.experiment.saliency import maps_path
from tailscope.experiment.test_set import RunGrid

ARMS, METHODS = ("control", "focal"), ("gradcam", "layercam")
GRID = RunGrid(ARMS, (0, 1), ("control-s0", "control-s1", "focal-s0", "focal-s1"))
NOTHING = {"excess": np.zeros(40)}


def places(chosen, reason=""):
    return [place for place, why in chosen if reason in why and bool(why) == bool(reason)]


def test_a_class_has_six_cases_in_the_order_of_their_names():
    names = generator(0, "names").permutation([f"{number:02d}" for number in range(40)]).tolist()
    chosen = chosen_places(np.zeros(40, int), names, np.ones(1), NOTHING)
    assert [names[place] for place, _ in chosen] == ["00", "01", "02", "03", "04", "05"]


def test_what_arms_do_moves_no_case_that_is_drawn_by_its_name():
    names = [f"{number:02d}" for number in range(40)]
    differences = {"excess": generator(0, "excess").random(40), "probability": generator(0, "probability").random(40)}
    with_them = list(chosen_places(np.zeros(40, int), names, np.ones(1), differences))
    assert places(with_them) == places(chosen_places(np.zeros(40, int), names, np.ones(1), NOTHING))


def test_the_largest_difference_of_each_measure_among_the_rest_is_shown_and_says_so():
    names = [f"{number:02d}" for number in range(40)]
    excess, probability = np.zeros(40), np.zeros(40)
    excess[[2, 30, 31]] = 9, 5, 4
    probability[[30, 33]] = 7, 3
    chosen = list(chosen_places(np.zeros(40, int), names, np.ones(1), {"excess": excess, "probability": probability}))
    assert places(chosen, "in excess, of the images not drawn by hash") == [30]
    assert places(chosen, "in probability") == [33]


def test_arms_that_agree_everywhere_add_no_case():
    names = [f"{number:02d}" for number in range(40)]
    assert len(list(chosen_places(np.zeros(40, int), names, np.ones(1), NOTHING))) == 6


def test_the_rarest_class_comes_last():
    classes = np.array([0, 1, 2] * 2)
    chosen = chosen_places(classes, list("abcdef"), np.array([0.1, 0.5, 0.01]), {})
    assert [classes[place] for place, _ in chosen] == [1, 1, 0, 0, 2, 2]


def test_many_classes_share_the_places():
    classes = np.repeat(np.arange(30), 10)
    names = [str(number) for number in range(300)]
    chosen = list(chosen_places(classes, names, np.ones(30), {}))
    assert len(chosen) == 90
    assert all(sum(classes[place] == number for place, _ in chosen) == 3 for number in range(30))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A folder with maps, logits and scores of the first seed of two arms; half of the images are of training."""
    data = dataclasses.replace(squares(), split=np.where(np.arange(IMAGES) % 2, "test", "train"))
    folder = ExperimentFolder(tmp_path_factory.mktemp("scene"))
    pairs = annotated_test_pairs(data)
    logits = {}
    for run in GRID.first:
        random = generator(0, run)
        logits[run] = random.standard_normal((IMAGES // 2, 2)).astype(np.float32)
        folder.run(run).mkdir(parents=True)
        table = pd.DataFrame({"split": "test", "logit": logits[run].ravel()})
        table.to_parquet(folder.run(run) / "predictions.parquet")
        rows = []
        folder.evidence("alignment", run).parent.mkdir(parents=True, exist_ok=True)
        for method in METHODS:
            np.save(maps_path(folder, run, method), random.random((2 * len(pairs), 3, 3), dtype=np.float32))
            rows += [
                {"run": run, "method": method, "metric": metric, "image_id": data.image_ids[row], "class": "square",
                 "excess": random.random() - (metric == "iou")}
                for row in pairs[:, 0] for metric in ("mass_inside", "iou")
            ]  # fmt: skip
        pd.DataFrame(rows).to_parquet(folder.evidence("alignment", run))
    return folder, data, logits


def cases_of(scene, method="gradcam"):
    folder, data, _ = scene
    return gallery_cases(folder, data, GRID, {"square": "head"}, method)


def row_of(scene, case):
    """The image of a case, found by its pixels."""
    _, data, _ = scene
    (row,) = [row for row in data.rows("test") if np.array_equal(data.pixels[row][..., 0], case.image)]
    return int(row)


def test_a_case_shows_every_arm_under_every_method_the_asked_one_first(scene):
    for first, second in (METHODS, METHODS[::-1]):
        views = cases_of(scene, first)[0].views
        assert [(view.method, view.arm) for view in views] == [(one, arm) for one in (first, second) for arm in ARMS]


def test_maps_scores_and_labels_are_those_of_the_image(scene):
    folder, data, logits = scene
    pairs = annotated_test_pairs(data)
    for case in cases_of(scene):
        row = row_of(scene, case)
        place = int(np.flatnonzero(pairs[:, 0] == row)[0])
        assert case.labels == (("square", "ghost") if data.targets[row, 1] == 1 else ("square",))
        np.testing.assert_array_equal(case.mask, data.mask(row, "square"))
        for view in case.views:
            run = f"{view.arm}-s0"
            np.testing.assert_array_equal(view.saliency, np.load(maps_path(folder, run, view.method))[place])
            position = int(np.flatnonzero(data.rows("test") == row)[0])
            assert view.probability == pytest.approx(float(expit(np.float64(logits[run][position, 0]))))
            table = pd.read_parquet(folder.evidence("alignment", run)).query("metric == 'mass_inside'")
            table = table[(table["method"] == view.method) & (table["image_id"] == data.image_ids[row])]
            assert view.excess == table["excess"].item()


def test_the_case_of_the_largest_difference_is_the_one_with_it(scene):
    cases = cases_of(scene)
    drawn = {row_of(scene, case) for case in cases if not case.chosen_for}
    folder, data, _ = scene
    control, focal = (
        pd.read_parquet(folder.evidence("alignment", run))
        .query("metric == 'mass_inside' and method == 'gradcam'")
        .set_index("image_id")["excess"]
        for run in GRID.first
    )
    left = [image for image in control.index if np.flatnonzero(data.image_ids == image)[0] not in drawn]
    (picked,) = [case for case in cases if "excess" in case.chosen_for]
    assert data.image_ids[row_of(scene, picked)] == (focal - control).abs()[left].idxmax()


def test_no_case_tells_the_id_of_its_image(scene):
    _, data, _ = scene
    assert not {case.pseudonym for case in cases_of(scene)} & set(data.image_ids.tolist())


def test_one_arm_alone_has_no_case_of_difference(scene):
    folder, data, _ = scene
    cases = gallery_cases(folder, data, RunGrid(("control",), (0,), ("control-s0",)), {"square": "head"}, "gradcam")
    assert [case.chosen_for for case in cases] == [""] * 6
