from __future__ import annotations

import numpy as np
import pytest
from shortcut_scene import GREY, IMAGES, RUN, SIDE, WIRE, finished_run, lens, reader, scene, wire

from tailscope.attribution import GradCam
from tailscope.core import InputError, SilentProgress
from tailscope.experiment.confounders import confounders_of, found_on_test
from tailscope.experiment.lens_config import ShortcutSection
from tailscope.experiment.removal import placebo_mask, widened
from tailscope.experiment.shortcuts import look_at_shortcuts
from tailscope.training import predict


def looked(folder, data, network=None, asked=None):
    network = network or reader()
    where = finished_run(folder, network, data)
    look_at_shortcuts(where, RUN, network, data, asked or lens(), SilentProgress())
    return where.table("shortcuts", (RUN.name,))


def part(table, metric, name):
    return table[(table["metric"] == metric) & (table["class"] == name)]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return looked(tmp_path_factory.mktemp("shortcuts"), scene())


def test_there_is_a_row_for_every_class_and_image_with_the_confounder(evidence):
    counts = evidence.groupby(["metric", "class"]).size()
    assert set(counts) == {IMAGES // 2}
    assert set(evidence["metric"]) == {"on_wire", "removal_of_wire"}
    assert set(evidence["image_id"]) == {f"i{number:02d}" for number in range(0, IMAGES, 2)}


def test_all_saliency_of_the_class_that_reads_the_wire_lies_on_it(evidence):
    rows = part(evidence, "on_wire", "reader")
    np.testing.assert_allclose(rows["value"], 1.0)
    np.testing.assert_allclose(rows["reference"], wire().mean())
    np.testing.assert_allclose(rows["excess"], 1 - wire().mean())


def test_no_saliency_of_the_class_that_reads_the_rest_lies_on_it(evidence):
    np.testing.assert_allclose(part(evidence, "on_wire", "dreamer")["value"], 0.0, atol=1e-12)


def test_the_logit_falls_by_what_the_wire_gave_over_its_spread_in_the_test_split(evidence):
    # with wire: 100 · mean brightness above 150; without: 0. Half of the test images have it, so the spread is half.
    rows = part(evidence, "removal_of_wire", "reader")
    np.testing.assert_allclose(rows["value"], 2.0, rtol=1e-5)
    np.testing.assert_allclose(rows["reference"], 0.0, atol=1e-6)
    np.testing.assert_allclose(rows["excess"], 2.0, rtol=1e-5)


def test_the_logit_that_the_wire_hides_rises(evidence):
    # dreamer reads 150 − grey where it is darker: the wire's pixels are won back
    rows = part(evidence, "removal_of_wire", "dreamer")
    np.testing.assert_allclose(rows["value"], -2.0, rtol=1e-4)


def test_the_label_stands_beside_every_row(evidence):
    rows = part(evidence, "removal_of_wire", "reader").set_index("image_id")["positive"]
    assert np.isnan(rows["i02"])
    assert (rows["i00"], rows["i04"]) == (1.0, 0.0)


def test_nothing_depends_on_the_batch_size(evidence, tmp_path):
    asked = lens().model_copy(update={"batch_size": 5})
    other = looked(tmp_path, scene(), asked=asked)
    assert list(other["image_id"]) == list(evidence["image_id"])
    np.testing.assert_allclose(other["excess"], evidence["excess"], rtol=1e-5, atol=1e-6)


def test_nothing_depends_on_the_order_of_the_images(tmp_path):
    asked = lens(images=10)
    first = looked(tmp_path / "a", scene(), asked=asked)
    order = np.random.default_rng(0).permutation(IMAGES)
    second = looked(tmp_path / "b", scene(order, annotated=np.zeros((0, 2), dtype=np.int64)), asked=asked)
    assert first["image_id"].nunique() == 10
    assert list(first["image_id"]) == list(second["image_id"])
    np.testing.assert_allclose(first["excess"], second["excess"], rtol=1e-5, atol=1e-6)


def test_only_test_images_are_looked_at(tmp_path):
    split = np.where(np.arange(IMAGES) < 8, "train", "test")
    table = looked(tmp_path, scene(split=split))
    assert table["image_id"].min() == "i08"


def test_a_fitted_adjustment_of_the_logits_changes_nothing_of_a_standardised_fall(evidence, tmp_path):
    network, data = reader(), scene()
    folder = finished_run(tmp_path, network, data, adjustment={"scale": [3.0, 0.5], "shift": [1.0, -1.0]})
    look_at_shortcuts(folder, RUN, network, data, lens(), SilentProgress())
    table = folder.table("shortcuts", (RUN.name,))
    np.testing.assert_allclose(table["excess"], evidence["excess"], rtol=1e-4, atol=1e-6)


def test_the_logits_are_read_as_log_odds_where_the_treatment_says_so(tmp_path):
    network, data = reader(), scene(split=np.where(np.arange(IMAGES) < 12, "train", "test"))
    ldam = {"name": "ldam", "settings": {"scale": 5.0}}
    folder = finished_run(tmp_path, network, data, treatment=ldam)  # predictions of the network as they are
    look_at_shortcuts(folder, RUN, network, data, lens(), SilentProgress())
    rows = part(folder.table("shortcuts", (RUN.name,)), "removal_of_wire", "reader")
    np.testing.assert_allclose(rows["value"], 5 * 2.0, rtol=1e-4)


def test_a_logit_that_is_constant_gives_no_value_and_says_why(tmp_path):
    network = reader()
    network.module.head.weight.data[1] = 0
    rows = part(looked(tmp_path, scene(), network), "removal_of_wire", "dreamer")
    assert rows["value"].isna().all()
    assert set(rows["reason"]) == {"constant logit"}


def test_a_wire_in_the_middle_has_no_placebo(tmp_path):
    middle = np.zeros((SIDE, SIDE), dtype=bool)
    middle[:, 15:17] = True
    table = looked(tmp_path, scene(masks=lambda row, name: middle if name == "wire" else None))
    rows = part(table, "removal_of_wire", "reader")
    assert rows["value"].notna().all()
    assert rows["excess"].isna().all()
    assert set(rows["reason"]) == {"no mirrored place"}


def test_a_confounder_that_covers_the_picture_cannot_be_removed(tmp_path):
    everything = np.ones((SIDE, SIDE), dtype=bool)
    table = looked(tmp_path, scene(masks=lambda row, name: everything if name == "wire" else None))
    rows = part(table, "removal_of_wire", "reader")
    assert rows["value"].isna().all()
    assert set(rows["reason"]) == {"covers the picture"}


def test_removal_is_left_out_where_it_is_not_asked_for(tmp_path):
    assert set(looked(tmp_path, scene(), asked=lens(removal=False))["metric"]) == {"on_wire"}


def test_air_is_looked_at_but_not_removed(tmp_path):
    data = scene()
    data.pixels[:, :, 26:] = 3
    table = looked(tmp_path, data, asked=lens(confounders=None))
    assert set(table["metric"]) == {"on_wire", "removal_of_wire", "on_outside_body"}
    rows = part(table, "on_outside_body", "dreamer")
    assert len(rows) == IMAGES
    np.testing.assert_allclose(rows["reference"], 6 / SIDE)
    assert (rows["excess"] > 0).all()  # the darkest pixels count most


def test_without_confounders_the_table_is_empty(tmp_path):
    table = looked(tmp_path, scene(), asked=lens(confounders=()))
    assert table.empty
    assert {"run", "class", "metric", "value", "reference", "excess", "degenerate", "positive"} <= set(table)


def test_a_method_that_asks_class_by_class_is_asked_for_annotated_classes_only(tmp_path, monkeypatch):
    monkeypatch.setattr(GradCam, "shares_passes", False)
    table = looked(tmp_path, scene())
    assert set(table.loc[table["metric"] == "on_wire", "class"]) == {"dreamer"}
    assert set(table.loc[table["metric"] == "removal_of_wire", "class"]) == {"reader", "dreamer"}


def test_a_network_that_says_nothing_has_degenerate_maps_with_excess_0(tmp_path):
    network = reader()
    network.module.head.weight.data[0] = 0
    rows = part(looked(tmp_path, scene(), network), "on_wire", "reader")
    assert rows["degenerate"].all()
    np.testing.assert_allclose(rows["excess"], 0, atol=1e-12)


def test_all_confounders_of_the_data_set_are_taken_but_no_column_of_its_table():
    data = scene()
    assert confounders_of(data, ShortcutSection()) == ("wire",)
    data.pixels[:, :, 26:] = 3
    assert confounders_of(data, ShortcutSection()) == ("wire", "outside_body")


def test_an_unknown_confounder_is_refused_with_what_there_is():
    with pytest.raises(InputError, match=r"'wires'.*did you mean 'wire'.*Known: wire, outside_body"):
        confounders_of(scene(), ShortcutSection(confounders=("wires",)))


def test_a_column_of_the_images_is_no_confounder():
    with pytest.raises(InputError, match="'portable'"):
        confounders_of(scene(), ShortcutSection(confounders=("portable",)))


def test_the_images_of_a_confounder_do_not_depend_on_its_number():
    few, all_of_them = found_on_test(scene(), "wire", 10), found_on_test(scene(), "wire", 99)
    assert set(few.rows) < set(all_of_them.rows)
    assert (np.diff(few.rows) > 0).all()


def test_the_mask_is_widened_by_a_hundredth_and_at_least_a_pixel():
    for side, width in ((32, 1), (224, 2), (512, 5)):
        mask = np.zeros((side, side), dtype=bool)
        mask[side // 2, side // 2] = True
        assert widened(mask).sum() == (2 * width + 1) ** 2


def test_the_placebo_shares_no_pixel_with_the_mask():
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[3, 4:20] = True
    assert not (placebo_mask(mask) & mask).any()
    assert placebo_mask(mask)[3].nonzero()[0].tolist() == [20, 21, 22, 23, 24, 25, 26, 27]


def test_the_wire_is_seen_by_the_reader_alone():
    with_wire, without = predict(reader(), scene().pixels, np.array([0, 1]))
    gain = 100 * (WIRE - 150) / 255 * wire().mean()
    np.testing.assert_allclose(with_wire[0] - without[0], gain, rtol=1e-5)
    np.testing.assert_allclose(without[1], (150 - GREY) / 255, rtol=1e-5)
