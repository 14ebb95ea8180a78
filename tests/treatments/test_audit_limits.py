from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from tailscope.core.errors import InputError
from tailscope.treatments import TREATMENTS
from tailscope.treatments.cells import CellLoss, bce_cells
from tailscope.treatments.cross_entropy import Control, InterWeighted, WeightedBCE
from tailscope.treatments.limit_checks import check_limit
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.plan import TreatmentPlan


class _Scaled(CellLoss):
    def __init__(self, scale, far=0.0):
        super().__init__(3)
        self.scale, self.far = scale, far

    def _values(self, x, y, known):
        return self.scale * bce_cells(x, y) + self.far * torch.relu(x.abs() - 20)


@dataclass(frozen=True)
class _Own:
    limit: ClassVar[LimitCase] = LimitCase("scale 2: twice control", {"scale": 2.0}, factor=2.0)
    scale: float = 1.0
    far: float = 0.0

    def __call__(self, class_counts):
        return TreatmentPlan(_Scaled(self.scale, self.far))


def _with(limit, **settings: Any):
    @dataclass(frozen=True)
    class Changed(_Own):
        pass

    Changed.limit = limit
    return Changed(**settings)


@pytest.mark.parametrize("name", TREATMENTS.names())
def test_every_registered_treatment_that_states_a_limit_keeps_it(name):
    found = check_limit(TREATMENTS.find(name))

    assert found["holds"] is not False, found
    if found["holds"]:
        assert max(found["value_error"], found["gradient_error"]) <= 1e-9


def test_a_treatment_is_checked_with_the_settings_of_its_limit_not_with_its_own():
    assert check_limit(_Own(scale=5.0))["holds"]
    assert check_limit(_Own)["says"] == "scale 2: twice control"


def test_a_wrong_factor_is_caught_with_its_size():
    found = check_limit(_with(LimitCase("scale 2: control", {"scale": 2.0})))

    assert found["holds"] is False
    assert found["value_error"] == pytest.approx(1.0)
    assert found["gradient_error"] == pytest.approx(1.0)


def test_an_error_that_only_shows_at_logits_of_30_is_caught():
    found = check_limit(_with(LimitCase("scale 1: control", {"scale": 1.0, "far": 1e-6})))

    assert found["holds"] is False
    assert found["gradient_error"] > 1e-7


def test_the_factor_may_be_per_class():
    found = check_limit(_with(LimitCase("scale 3: classes times control", {"scale": 3.0}, per_class=True)))

    assert found["holds"]


def test_the_expected_loss_may_be_stated_itself():
    limit = LimitCase("scale 1: the mean of the cells", {"scale": 1.0}, factor=None, value=nn.BCEWithLogitsLoss())

    assert check_limit(_with(limit))["holds"]


def test_a_treatment_without_a_limit_states_none():
    found = check_limit(_with(None))

    assert (found["says"], found["holds"]) == ("not stated", None)


def test_an_as_published_form_is_not_held_to_the_limit_of_the_corrected_one():
    assert check_limit(InterWeighted())["holds"]
    assert check_limit(InterWeighted(variant="as_published"))["holds"] is None


def test_limit_settings_that_the_treatment_refuses_are_a_violation_with_the_reason():
    @dataclass(frozen=True)
    class Refusing(_Own):
        def __post_init__(self):
            raise InputError("`scale` must be 1")

    found = check_limit(Refusing)

    assert (found["holds"], found["reason"]) == (False, "`scale` must be 1")


class _Balanced(CellLoss):
    """Control if the counts and the labels fulfil what the limit asks for, else twice that."""

    def __init__(self, counts, ask):
        super().__init__(len(counts.names))
        self.counts, self.ask = counts, ask

    def _values(self, x, y, known):
        return (1 if self.ask(self.counts, y) else 2) * bce_cells(x, y)


def _equal_sides(counts, y):
    return set(counts.positives) == set(counts.negatives) and bool((2 * y.sum(dim=0) == len(y)).all())


def _one_label(counts, y):
    return bool((y.sum(dim=1) == 1).all())


def _both(counts, y):
    return _equal_sides(counts, y) and _one_label(counts, y)


@pytest.mark.parametrize(
    ("ask", "conditions"),
    [
        (_equal_sides, {"balanced": True}),
        (_one_label, {"single_label": True}),
        (_both, {"balanced": True, "single_label": True}),
    ],
)
def test_labels_and_counts_fulfil_the_conditions_and_only_then(ask, conditions):
    @dataclass(frozen=True)
    class Asking:
        limit: ClassVar[LimitCase] = LimitCase("conditions: control", {}, **conditions)

        def __call__(self, class_counts):
            return TreatmentPlan(_Balanced(class_counts, ask))

    assert check_limit(Asking)["holds"]
    Asking.limit = LimitCase("always control", {})
    assert check_limit(Asking)["holds"] is False


def test_every_stage_must_keep_the_limit():
    @dataclass(frozen=True)
    class Late:
        limit: ClassVar[LimitCase] = LimitCase("control throughout", {})

        def __call__(self, class_counts):
            later = TreatmentPlan(WeightedBCE(3, class_weight=np.array([1.0, 1.0, 2.0])))
            return TreatmentPlan(WeightedBCE(3), phases=((0.5, later),))

    assert check_limit(Late)["holds"] is False


@pytest.mark.parametrize(("tilt", "holds"), [(0.0, True), (0.01, False)])
def test_uniform_draws_are_checked(tilt, holds):
    @dataclass(frozen=True)
    class Sampling:
        limit: ClassVar[LimitCase] = LimitCase("one label, equal counts: uniform", {}, uniform_draws=True)

        def __call__(self, class_counts):
            plan = Control()(class_counts)
            return TreatmentPlan(plan.loss, sample_weights=lambda targets: 1 + tilt * targets[:, 0])

    found = check_limit(Sampling)

    assert found["holds"] is holds
    assert found["gradient_error"] == 0
