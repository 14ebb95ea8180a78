"""Forward and backward pass of every registered loss over binary cross-entropy, both sides in one run.

BCE is measured twice: torch's BCEWithLogitsLoss, which knows no masks, and our control, which does. A loss that takes
more than 3 times its base is marked with a star: budget of issue 3, for every closed-form loss.

    python benchmarks/loss_overhead.py [--threads 1] [--repeats 50]
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tailscope.core import ClassCounts, InputError
from tailscope.treatments import TREATMENTS

SHAPES = ((512, 14), (512, 1000))
PREVALENCE, BUDGET, WARM_UP = 0.1, 3.0, 3
BCE = "BCE of torch"


@dataclass
class Contender:
    """A loss on its batch."""

    loss: nn.Module
    logits: Tensor
    targets: Tensor

    def seconds(self) -> float:
        """One forward and one backward pass."""
        self.logits.grad = None
        self.loss.zero_grad()
        synchronise(self.logits)
        start = time.perf_counter()
        self.loss(self.logits, self.targets).backward()
        synchronise(self.logits)
        return time.perf_counter() - start


def synchronise(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


def losses(num_classes: int) -> tuple[dict[str, nn.Module], list[str]]:
    """The losses that are not control's, by treatment and form; and a line for each treatment that is left out.

    Of a schedule it is the last stage's.
    """
    positives = tuple(50 + c for c in range(num_classes))
    counts = ClassCounts(tuple(f"class {c}" for c in range(num_classes)), positives, (1000,) * num_classes)
    found: dict[str, nn.Module] = {}
    left_out = []
    for name in ("control", *(other for other in TREATMENTS.names() if other != "control")):
        for settings in ({}, {"form": "softmax"}) if "form" in TREATMENTS.settings(name) else ({},):
            label = " ".join([name, *settings.values()])
            try:
                loss = TREATMENTS.build(name, **settings)(counts).stages[-1][1].loss
            except (InputError, TypeError) as error:  # a treatment around another one has no defaults
                left_out.append(f"{label}: not built from its defaults ({error})")
                continue
            if any(same(loss, known) for known in found.values()) and label != "control":
                left_out.append(f"{label}: its loss is {next(key for key in found if same(loss, found[key]))}'s")
            else:
                found[label] = loss
    return found, left_out


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two losses have the same class, settings and numbers."""
    mine, theirs = one.state_dict(), other.state_dict()
    return (
        type(one) is type(other)
        and mine.keys() == theirs.keys()
        and all(torch.equal(mine[key], theirs[key]) for key in mine)
        and plain_settings(one) == plain_settings(other)
    )


def plain_settings(loss: nn.Module) -> dict[str, object]:
    return {key: value for key, value in vars(loss).items() if not key.startswith("_")}


def contenders(shape: tuple[int, int], device: str) -> tuple[dict[str, Contender], list[str]]:
    torch.manual_seed(0)
    logits = torch.randn(shape, device=device)
    several = (torch.rand(shape, device=device) < PREVALENCE).float()
    one = nn.functional.one_hot(torch.randint(shape[1], shape[:1], device=device), shape[1]).float()
    found, left_out = losses(shape[1])
    return {
        name: Contender(loss.to(device), logits.clone().requires_grad_(), one if name.endswith("softmax") else several)
        for name, loss in {BCE: nn.BCEWithLogitsLoss(), **found}.items()
    }, left_out


def measure(shape: tuple[int, int], device: str, repeats: int) -> list[str]:
    """Print one table; returns what it leaves out."""
    found, left_out = contenders(shape, device)
    for contender in found.values():
        for _ in range(WARM_UP):
            contender.seconds()
    rounds = [{name: contender.seconds() for name, contender in found.items()} for _ in range(repeats)]
    print(f"\n{shape[0]} × {shape[1]} on {device}, median of {repeats} interleaved repeats")
    print(f"{'loss':<36}{'ms':>9}{'/ BCE of torch':>17}{'/ control':>12}")
    for name in found:
        milliseconds = 1e3 * statistics.median(times[name] for times in rounds)
        ratios = [statistics.median(times[name] / times[base] for times in rounds) for base in (BCE, "control")]
        to_bce, to_control = (f"{ratio:.2f}{'*' if ratio > BUDGET else ' '}" for ratio in ratios)
        print(f"{name:<36}{milliseconds:>9.3f}{to_bce:>17}{to_control:>12}")
    return left_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    left_out: dict[str, None] = {}
    for device in devices:
        for shape in SHAPES:
            left_out |= dict.fromkeys(measure(shape, device, given.repeats))
    print("\nleft out:", *left_out, sep="\n  ")
    if "cuda" not in devices:
        print("no CUDA device here: not measured there")


if __name__ == "__main__":
    main()
