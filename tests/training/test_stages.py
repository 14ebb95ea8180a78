from __future__ import annotations

import pytest
from torch import nn

from tailscope.core import ClassCounts, InputError
from tailscope.training import stages_of
from tailscope.treatments import TREATMENTS, TreatmentPlan

COUNTS = ClassCounts(("mass", "hernia"), (30, 5), (70, 95))


def plan(*starts: float, trains: str = "all") -> TreatmentPlan:
    phases = tuple((start, TreatmentPlan(nn.Identity(), trains=trains)) for start in starts)
    return TreatmentPlan(nn.Identity(), phases=phases or None)


def spans(*given, **kinds) -> list[tuple[int, int]]:
    return [(stage.first, stage.end) for stage in stages_of(*given, **kinds)]


def test_a_plan_without_phases_is_one_stage():
    assert spans(plan(), 5) == [(0, 5)]


def test_a_phase_begins_at_the_first_epoch_that_has_its_share_behind_it():
    assert spans(plan(0.5), 4) == [(0, 2), (2, 4)]
    assert spans(plan(0.5), 5) == [(0, 3), (3, 5)]
    assert spans(plan(0.8), 10) == [(0, 8), (8, 10)]


@pytest.mark.parametrize("epochs", range(1, 200))
def test_rounding_never_shifts_a_phase_by_an_epoch(epochs):
    for first in range(epochs):
        assert spans(plan(first / epochs), epochs)[-1] == (first, epochs)


def test_phases_shorter_than_an_epoch_are_skipped_over():
    assert spans(plan(0.1, 0.2, 0.3, 0.5), 4) == [(0, 1), (1, 2), (2, 4)]


def test_a_last_phase_without_an_epoch_is_refused_with_the_share_that_would_do():
    with pytest.raises(InputError, match=r"last phase begins at 0.8 .* none of 4 epochs; lower its `share` to 0.75"):
        stages_of(TREATMENTS.build("drw")(COUNTS), 4)


def test_only_a_fresh_head_begins_the_learning_rate_schedule_anew():
    plain, fresh = (stages_of(plan(0.5, trains=kind), 4) for kind in ("all", "fresh_head"))

    assert [(stage.begin, stage.finish) for stage in plain] == [(0, 4), (0, 4)]
    assert [(stage.begin, stage.finish) for stage in fresh] == [(0, 2), (2, 4)]
