from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from tailscope.data.phantom_body import draw_body
from tailscope.data.phantom_confounders import ARTIFACTS
from tailscope.data.phantom_findings import FINDINGS
from tailscope.data.phantom_rendering import COLUMNS, RenderSettings, render_masks, render_phantoms
from tailscope.data.phantom_scene import Scene

SIZE = 96
SETTINGS = RenderSettings(seed=3, size=SIZE)
INDICES = range(20)


def rows(*names: str, count: int = len(INDICES)) -> NDArray[np.bool_]:
    return np.tile([name in names for name in COLUMNS], (count, 1))


def union_of(name: str, index: int) -> NDArray[np.bool_]:
    return np.any(render_masks(SETTINGS, index, rows(name)[0])[name], axis=0)


@pytest.fixture(scope="module")
def healthy() -> NDArray[np.uint8]:
    return render_phantoms(SETTINGS, INDICES, rows())[0]


@pytest.mark.parametrize("size", [64, 127, 512])
def test_any_size_can_be_rendered(size: int) -> None:
    pixels, masks = render_phantoms(RenderSettings(size=size), [0], rows(*COLUMNS, count=1))
    assert pixels.shape == (1, size, size)
    assert list(masks[0]) == list(COLUMNS)
    assert {mask.shape for group in masks[0].values() for mask in group} == {(size, size)}


def test_a_batch_equals_one_by_one_in_any_order() -> None:
    labels = np.random.default_rng(0).random((len(INDICES), len(COLUMNS))) < 0.3
    together, _ = render_phantoms(SETTINGS, INDICES, labels)
    for index in reversed(INDICES):
        np.testing.assert_array_equal(render_phantoms(SETTINGS, [index], labels[[index]])[0][0], together[index])


def test_another_index_or_seed_is_another_picture(healthy: NDArray[np.uint8]) -> None:
    assert len({picture.tobytes() for picture in healthy}) == len(INDICES)
    other = render_phantoms(RenderSettings(seed=4, size=SIZE), [0], rows(count=1))[0][0]
    assert (other != healthy[0]).mean() > 0.5


def test_pixels_use_the_range_without_saturating(healthy: NDArray[np.uint8]) -> None:
    assert healthy.min() < 20
    assert 170 < np.percentile(healthy, 99) < 250
    assert (healthy == 255).mean() < 0.001


def test_masks_alone_are_those_that_come_with_the_pixels() -> None:
    labels = rows(*COLUMNS, count=3)
    _, masks = render_phantoms(SETTINGS, range(3), labels)
    for index in range(3):
        alone = render_masks(SETTINGS, index, labels[index])
        for name in COLUMNS:
            np.testing.assert_array_equal(alone[name], masks[index][name])


def test_an_image_without_labels_has_no_mask() -> None:
    assert render_masks(SETTINGS, 0, rows()[0]) == {}
    assert render_phantoms(SETTINGS, [0], rows(count=1))[1] == [{}]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_mask_has_pixels_and_does_not_depend_on_what_else_is_there(name: str) -> None:
    for index in range(8):
        group = render_masks(SETTINGS, index, rows(name)[0])[name]
        assert all(mask.any() for mask in group)
        np.testing.assert_array_equal(group, render_masks(SETTINGS, index, rows(*COLUMNS)[0])[name])


@pytest.mark.parametrize("name", COLUMNS)
def test_a_finding_changes_pixels_in_its_mask_and_next_to_it_only(name: str, healthy: NDArray[np.uint8]) -> None:
    pixels, _ = render_phantoms(SETTINGS, INDICES, rows(name))
    for index in INDICES:
        mask = union_of(name, index)
        changed = pixels[index] != healthy[index]
        assert (changed & mask).any()
        assert not (changed & ~binary_dilation(mask, iterations=SIZE // 12)).any()


@pytest.mark.parametrize("name", [*sorted(set(FINDINGS) - {"pneumothorax", "hernia"}), *ARTIFACTS])
def test_an_opacity_brightens_its_mask(name: str, healthy: NDArray[np.uint8]) -> None:
    pixels, _ = render_phantoms(SETTINGS, INDICES, rows(name))
    for index in INDICES:
        mask = union_of(name, index)
        assert pixels[index][mask].mean() > healthy[index][mask].mean() + 1


def test_a_pneumothorax_is_darker_inside_and_has_a_brighter_line(healthy: NDArray[np.uint8]) -> None:
    pixels, _ = render_phantoms(SETTINGS, INDICES, rows("pneumothorax"))
    for index in INDICES:
        change = pixels[index].astype(int) - healthy[index]
        assert np.median(change[union_of("pneumothorax", index)]) < 0
        assert change.max() > 3


def scene(index: int) -> Scene:
    return Scene.of(draw_body(3, index), SIZE, 0.7)


def test_an_effusion_lies_low_and_lateral() -> None:
    for index in INDICES:
        stage, mask = scene(index), union_of("effusion", index)
        assert stage.y[mask].mean() > stage.body.base - 0.08
        assert np.abs(stage.x[mask]).mean() > 0.12


def test_a_pneumothorax_lies_high_and_lateral_within_the_lung() -> None:
    for index in INDICES:
        stage, mask = scene(index), union_of("pneumothorax", index)
        side = np.sign(stage.x[mask]).mean()
        assert abs(side) == 1
        assert (stage.lung(side)[mask] > -0.01).all()
        assert stage.y[mask].min() < stage.body.apex + 0.08
        assert np.abs(stage.x[mask]).mean() > np.abs(stage.x[stage.lung(side) > 0]).mean()


def test_an_enlarged_heart_covers_the_heart_and_more() -> None:
    for index in INDICES:
        mask, heart = union_of("cardiomegaly", index), scene(index).fields[4] > 0
        assert not (heart & ~mask).any()
        assert mask.sum() > 1.1 * heart.sum()


def test_the_heart_stands_mostly_on_the_right_of_the_image() -> None:
    for index in INDICES:
        stage = scene(index)
        assert stage.x[stage.fields[4] > 0].mean() > 0


def test_the_right_dome_is_higher_than_the_left() -> None:
    for index in INDICES:
        assert scene(index).floor(-1) < scene(index).floor(1)


def test_a_hernia_lies_behind_the_heart() -> None:
    for index in INDICES:
        stage, mask = scene(index), union_of("hernia", index)
        assert np.abs(stage.x[mask]).max() < 0.18
        assert stage.y[mask].mean() > stage.body.hilum


@pytest.mark.parametrize("name", ["infiltration", "pneumonia", "nodule", "mass", "atelectasis"])
def test_lung_lesions_lie_in_the_lungs(name: str) -> None:
    for index in INDICES:
        stage, mask = scene(index), union_of(name, index)
        assert (stage.air[mask] > 0.05).mean() > 0.6


def test_a_mass_is_larger_than_a_nodule() -> None:
    nodules = [mask.sum() for i in INDICES for mask in render_masks(SETTINGS, i, rows("nodule")[0])["nodule"]]
    masses = [mask.sum() for i in INDICES for mask in render_masks(SETTINGS, i, rows("mass")[0])["mass"]]
    assert max(nodules) < 2 * min(masses)
    assert np.median(nodules) < 0.4 * np.median(masses)


def test_subtlety_lowers_the_contrast_of_a_lesion(healthy: NDArray[np.uint8]) -> None:
    def change(subtlety: float) -> float:
        settings = RenderSettings(seed=3, size=SIZE, subtlety=subtlety)
        pixels, _ = render_phantoms(settings, INDICES, rows("mass"))
        return float(np.abs(pixels.astype(int) - healthy).sum())

    assert change(1.0) < 0.8 * change(0.0)


def test_a_lesion_lies_in_the_same_place_at_any_size() -> None:
    for index in range(8):
        small, large = (
            render_masks(RenderSettings(seed=3, size=size), index, rows("mass")[0])["mass"][0] for size in (64, 256)
        )
        centres = [np.argwhere(mask).mean(axis=0) / mask.shape[0] for mask in (small, large)]
        np.testing.assert_allclose(centres[0], centres[1], atol=0.02)
