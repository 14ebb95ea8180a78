import numpy as np
import pytest
import torch

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments import Control
from tailscope.treatments.softmax import softmax_log_odds
from tailscope.treatments.softmax_cross_entropy import SoftmaxCrossEntropy, softmax_plan, true_log_odds


def _batch():
    rng = np.random.default_rng(30)
    logits = torch.tensor(rng.normal(scale=3, size=(8, 4)), requires_grad=True)
    return logits, torch.tensor(rng.integers(0, 4, 8))


def test_it_agrees_with_the_cross_entropy_of_torch_in_value_and_gradient():
    logits, classes = _batch()
    wanted = torch.nn.functional.cross_entropy(logits, classes)

    value = SoftmaxCrossEntropy(4)(logits, torch.eye(4, dtype=torch.float64)[classes])

    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
    gradients = (torch.autograd.grad(loss, logits)[0] for loss in (value, wanted))
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-16)


def test_the_log_odds_of_the_true_class_are_those_of_the_predictions():
    logits, classes = _batch()

    odds = true_log_odds(logits, torch.eye(4, dtype=torch.float64)[classes])

    torch.testing.assert_close(odds, softmax_log_odds(logits).gather(1, classes[:, None])[:, 0])


def test_a_nearly_certain_class_keeps_its_loss_in_float32():
    logits = torch.tensor([[40.0, 0.0]])

    value = SoftmaxCrossEntropy(2)(logits, torch.tensor([[1.0, 0.0]]))

    assert value.item() == pytest.approx(np.exp(-40.0), rel=1e-5)  # 1 − p is far below float32's 6e-8


def test_the_plan_asks_for_one_label_per_image_and_predicts_log_odds():
    plan = softmax_plan(SoftmaxCrossEntropy(3))

    assert plan.requirements == ("single_label",)
    assert plan.adjust_logits is softmax_log_odds


def test_one_class_is_refused():
    with pytest.raises(InputError, match="form 'softmax' needs 2 or more classes; got 1: use form 'sigmoid'"):
        Control(form="softmax")(ClassCounts(("mass",), (1,), (9,)))
