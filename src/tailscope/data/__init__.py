"""Which images, labels and annotations?

A source gives three tables and a way to get pixels (room `sources`; the phantoms are here); `prepare` checks them,
applies the label policies, splits by patient, refuses leakage, and decodes the pixels once into a cache. Comes in: a
`core.Dataset` and settings. Goes out: `core.ExperimentData`. May import: `core`; never torch.
"""

from tailscope.data.another_test import OtherTest, TrainingSet, prepare_test
from tailscope.data.files import holds_images
from tailscope.data.inspection import Inspection, inspect_dataset
from tailscope.data.near_duplicates import LIKENESS
from tailscope.data.pasted import Pasted
from tailscope.data.phantom import Phantom
from tailscope.data.preparation import prepare
from tailscope.data.registry import DATASETS
from tailscope.data.relabelling import relabelled, trained_alike
from tailscope.data.settings import DataSettings, SplitSettings

__all__ = [
    "DATASETS",
    "LIKENESS",
    "DataSettings",
    "Inspection",
    "OtherTest",
    "Pasted",
    "Phantom",
    "SplitSettings",
    "TrainingSet",
    "holds_images",
    "inspect_dataset",
    "prepare",
    "prepare_test",
    "relabelled",
    "trained_alike",
]
