"""The optimiser's groups, and what of the network a stage trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from tailscope.core import child_seed
from tailscope.models import find_head
from tailscope.training.settings import TrainingSettings
from tailscope.treatments import TreatmentPlan


def all_losses(plan: TreatmentPlan) -> nn.Module:
    """The losses of all stages as one module; the only one as it is."""
    losses = list({id(part.loss): part.loss for _, part in plan.stages}.values())
    return losses[0] if len(losses) == 1 else nn.ModuleList(losses)


def make_optimizer(settings: TrainingSettings, module: nn.Module, plan: TreatmentPlan) -> torch.optim.Optimizer:
    """The optimiser; a treatment's own parameters have no weight decay, and their own learning rate if it states one.

    Each group carries ``relative_lr``, its share of the network's learning rate.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": trained, "relative_lr": 1.0}]
    groups += list(_own_groups(settings, plan))
    # Fused: one pass over the parameters; of small images the step takes half as long, a twelfth of the epoch.
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay, fused=True)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the network's learning rate, and those of the other groups in proportion."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["relative_lr"]


def open_for_training(module: nn.Module, plan: TreatmentPlan, num_classes: int, trainable: frozenset[str]) -> None:
    """Training mode and gradients for what a stage trains; the rest is frozen, batch norm and dropout included.

    Args:
        module: The network.
        plan: The stage's plan.
        num_classes: K.
        trainable: Names of the parameters that are trained at all.
    """
    if plan.trains == "all":
        module.train()
        kept = {id(parameter) for parameter in module.parameters()}
    else:
        module.eval()
        module.training = True  # the network is being trained; only its frozen layers are not
        kept = {id(parameter) for parameter in find_head(module, num_classes).train().parameters()}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in trainable and id(parameter) in kept)


def is_open(module: nn.Module, plan: TreatmentPlan) -> bool:
    """Whether the network is in training mode, in every layer unless the stage trains the head alone."""
    if plan.trains != "all":
        return module.training
    return all(layer.training for layer in module.modules())


def renew_head(module: nn.Module, optimizer: torch.optim.Optimizer, num_classes: int, seed: int) -> None:
    """Draw the head's weights anew, and forget the optimiser's moments; torch's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "fresh head"))
        head = find_head(module, num_classes)
        fresh = nn.Linear(head.in_features, head.out_features, bias=head.bias is not None)
    head.load_state_dict(fresh.state_dict())
    optimizer.state.clear()


def _own_groups(settings: TrainingSettings, plan: TreatmentPlan) -> Iterator[dict[str, Any]]:
    seen: set[int] = set()
    for _, part in plan.stages:
        own = [parameter for parameter in part.loss.parameters() if id(parameter) not in seen]
        seen |= {id(parameter) for parameter in own}
        if own:
            relative = 1.0 if part.parameter_lr is None else part.parameter_lr / settings.lr
            yield {"params": own, "weight_decay": 0.0, "relative_lr": relative}
