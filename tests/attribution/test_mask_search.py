"""The pieces of a search: how problems are parted, and that none touches another."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from tailscope.attribution.blur_pyramid import faded
from tailscope.attribution.mask_search import Problems, Search, masks_as_published, masks_of_exact_area
from tailscope.attribution.smooth_masks import PaddedMasks, SmoothMasks
from tailscope.core import InputError

from .perturbation_cases import ReadsOnePatch

UPPER, LOWER = (slice(2, 6), slice(2, 6)), (slice(10, 14), slice(9, 13))


def search(objective="preserve") -> Search:
    images = 1 + torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    network = ReadsOnePatch(UPPER, LOWER).requires_grad_(False)
    return Search(network, images, partial(faded, levels=4), objective)


def test_the_problems_are_every_image_with_every_class_and_every_area():
    problems = Problems.of(2, [3, 1], [0.1, 0.2])
    assert problems.rows == (0, 0, 0, 0, 1, 1, 1, 1)
    assert problems.classes == (3, 3, 1, 1, 3, 3, 1, 1)
    assert problems.areas == (0.1, 0.2) * 4


def test_no_part_is_larger_than_asked_and_every_problem_stands_in_one():
    problems = Problems.of(3, [5], [0.1])
    parts = list(problems.parts(2, filled=False))
    assert [len(part.rows) for part, _ in parts] == [2, 1]
    assert sum((part.rows for part, _ in parts), ()) == problems.rows


def test_filled_parts_have_one_size_and_say_how_many_count():
    problems = Problems.of(3, [5], [0.1])
    parts = list(problems.parts(2, filled=True))
    assert [len(part.rows) for part, _ in parts] == [2, 2]
    assert sum((part.rows[:count] for part, count in parts), ()) == problems.rows


def test_no_problem_has_no_part():
    assert list(Problems.of(2, [], [0.1]).parts(4, filled=True)) == []


def test_a_problem_finds_the_same_mask_in_any_place_and_company():
    smooth = SmoothMasks((16, 16), 1, 2.0)
    find = partial(masks_of_exact_area, search(), smooth=smooth, iterations=15, softness=0.03)
    mixed = find(Problems((0, 1, 1), (0, 1, 0), (0.1, 0.2, 0.3)))
    same = find(Problems((1, 1, 1), (1, 1, 1), (0.2, 0.2, 0.2)))
    torch.testing.assert_close(same, mixed[1].expand(3, -1, -1), rtol=0, atol=1e-9)


def test_the_published_search_ends_higher_than_it_began_and_mixes_no_problems():
    padded = PaddedMasks((16, 16), 2, 4)
    find = partial(masks_as_published, search(), padded=padded, iterations=30)
    together = find(Problems((0, 1), (0, 1), (0.3, 0.4)))
    alone = torch.cat([find(Problems((0,), (0,), (0.3,))), find(Problems((1,), (1,), (0.4,)))])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)
    assert float(together[0, UPPER[0], UPPER[1]].mean()) > float(together[0].mean())


def test_deleting_perturbs_what_preserving_keeps():
    masks = torch.rand(1, 16, 16)
    assert torch.equal(search("delete").kept(masks), 1 - search("preserve").kept(masks))
    problem, shown = Problems((0,), (1,), (0.1,)), torch.rand(1, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    assert torch.equal(search("delete").rewards(shown, problem), -search().rewards(shown, problem))


def test_a_network_that_detaches_is_refused():
    class Detaches(nn.Module):
        def forward(self, x):
            return x.detach().mean(dim=(2, 3))

    asked = Search(Detaches(), torch.rand(1, 1, 16, 16), partial(faded, levels=4), "preserve")
    with pytest.raises(InputError, match="no logit depends on the image"):
        masks_of_exact_area(
            asked, Problems((0,), (0,), (0.1,)), SmoothMasks((16, 16), 2, 4.0), iterations=2, softness=0.03
        )
