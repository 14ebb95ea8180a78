"""Grad-CAM of all classes of a batch against the forward pass alone, and against one captum call per image and class.

Budgets (docs: what it must cost): at most 1.5 times the forward pass, at least 5 times faster than captum.

    python benchmarks/gradcam_all_classes.py [--threads 2] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import timm
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.models import CoarseGridWarning

CLASSES = 14
# architecture, side in pixels, images, layers: small networks, and the size that the budget is stated for
CASES = (
    ("resnet18", 64, 32, ("layer4", "auto")),
    ("resnet18", 128, 32, ("layer4", "auto")),
    ("resnet50", 224, 8, ("layer4", "auto")),
)
FORWARD_BUDGET, CAPTUM_BUDGET = 1.5, 5.0


def timed(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def captum_maps(network: nn.Module, images: Tensor) -> Tensor:
    """(B, K, h, w), one call per image and class."""
    method = LayerGradCam(network, network.layer4)
    rows = [
        torch.cat([method.attribute(image, target=k, relu_attributions=True).detach() for k in range(CLASSES)], dim=1)
        for image in images.split(1)
    ]
    return torch.cat(rows)


def measure(name: str, size: int, count: int, layer: str, repeats: int) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=CLASSES).eval()
    images = torch.randn(count, 3, size, size)
    method = ATTRIBUTIONS.build("gradcam", layer=layer)

    def forward() -> Tensor:
        with torch.no_grad():
            return network(images)

    def all_classes() -> Tensor:
        return method(network, images, range(CLASSES))

    forward()
    captum, expected = timed(lambda: captum_maps(network, images))
    torch.testing.assert_close(all_classes(), expected, rtol=1e-4, atol=1e-7)
    pairs = [(timed(forward)[0], timed(all_classes)[0]) for _ in range(repeats)]  # interleaved: load hits both
    ours = statistics.median(pair[1] for pair in pairs)
    against_forward = statistics.median(pair[1] / pair[0] for pair in pairs)
    print(
        f"{name} {size:>4} px, {count} images, layer {layer:>6}: "
        f"forward {1e3 * statistics.median(pair[0] for pair in pairs):7.1f} ms, "
        f"Grad-CAM of {CLASSES} classes {1e3 * ours:7.1f} ms = {against_forward:.2f} × forward "
        f"(budget {FORWARD_BUDGET}); captum {captum:6.2f} s = {captum / ours:.0f} × slower (budget {CAPTUM_BUDGET:.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore", CoarseGridWarning)
    for name, size, count, layers in CASES:
        for layer in layers:
            measure(name, size, count, layer, arguments.repeats)


if __name__ == "__main__":
    main()
