import torch

from tailscope.treatments.cells import CellLoss


class _Product(CellLoss):
    """A loss of a third party, with the one operation that autocast computes in half precision."""

    def _values(self, x, y, known):
        return x @ torch.full((2, 2), 1 / 3)


def test_a_loss_leaves_autocast_whatever_it_computes():
    logits, targets = torch.full((1, 2), 1 / 7), torch.zeros(1, 2)
    loss = _Product(2)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (logits @ logits.T).dtype == torch.bfloat16
        value = loss(logits, targets)

    assert value.dtype == torch.float32
    assert torch.equal(value, loss(logits, targets))
