from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d

from tailscope.alignment import METRICS, REFERENCE_MAPS
from tailscope.alignment.reference_maps import ReferenceScene
from tailscope.core import InputError

FRAME = (4, 6)


@pytest.fixture
def scene(rng) -> ReferenceScene:
    return ReferenceScene(FRAME, images=rng.random((3, *FRAME)), annotations=rng.random(FRAME))


@pytest.mark.parametrize("name", REFERENCE_MAPS.names())
def test_a_reference_map_has_the_size_of_the_frame_and_repeats_itself(name, scene):
    reference = REFERENCE_MAPS.build(name)
    first, second = reference(scene), REFERENCE_MAPS.build(name)(scene)
    assert first.shape == ((3, *FRAME) if reference.needs == "images" else FRAME)
    assert first.dtype == np.float64
    assert np.isfinite(first).all()
    assert (first >= 0).all()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", REFERENCE_MAPS.names())
def test_a_reference_map_exists_unless_the_scene_lacks_what_it_needs(name):
    reference = REFERENCE_MAPS.build(name)
    assert (reference(ReferenceScene(FRAME)) is None) == (reference.needs != "frame")


def test_the_registry_holds_the_documented_reference_maps():
    expected = ("centre_gaussian", "class_mean_annotation", "edge", "random", "uniform")
    assert REFERENCE_MAPS.names() == expected


@pytest.mark.parametrize("name", METRICS.names())
def test_the_uniform_map_has_excess_zero(name, masks):
    metric, saliency = METRICS.build(name), REFERENCE_MAPS.build("uniform")(ReferenceScene((6, 7)))
    np.testing.assert_allclose(metric(saliency, masks) - metric.reference(saliency, masks), 0, atol=1e-14)


def test_the_centre_gaussian_is_symmetric_and_falls_from_the_centre():
    hill = REFERENCE_MAPS.build("centre_gaussian")(ReferenceScene((5, 8)))
    np.testing.assert_allclose(hill, hill[::-1, ::-1])
    assert np.unravel_index(hill.argmax(), hill.shape) in [(2, 3), (2, 4)]
    assert hill[0, 0] == hill.min()


def test_the_random_map_depends_on_its_seed(scene):
    one, two = (REFERENCE_MAPS.build("random", seed=seed)(scene) for seed in (0, 1))
    assert (one != two).all()


def test_the_edge_map_is_the_length_of_the_sobel_gradient_of_each_image_alone(scene):
    kernel = np.outer([1, 2, 1], [1, 0, -1]) / 8
    for image, found in zip(scene.images, REFERENCE_MAPS.build("edge")(scene), strict=True):
        padded = np.pad(image, 1, mode="edge")
        across, down = (convolve2d(padded, part, mode="valid") for part in (kernel, kernel.T))
        np.testing.assert_allclose(found, np.sqrt(across**2 + down**2), atol=1e-15)


def test_a_hill_without_width_is_refused():
    with pytest.raises(InputError, match="`width` must be above 0; got 0"):
        REFERENCE_MAPS.build("centre_gaussian", width=0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"images": np.zeros(FRAME)}, r"`images` must have 3 axes and end in the frame \(4, 6\); got \(4, 6\)"),
        ({"images": np.zeros((3, 6, 4))}, r"`images` must have 3 axes .* got \(3, 6, 4\)"),
        ({"annotations": np.zeros((2, *FRAME))}, r"`annotations` must have 2 axes .* got \(2, 4, 6\)"),
    ],
)
def test_a_scene_whose_parts_do_not_fit_the_frame_is_refused(parts, message):
    with pytest.raises(InputError, match=message):
        ReferenceScene(FRAME, **parts)
