"""Which images, labels and annotations?

One source per data set reads three tables and a way to get pixels; `prepare` checks them, applies the label policies,
splits by patient, refuses leakage, and decodes the pixels once into a cache. Comes in: folders and settings. Goes out:
`core.Dataset` and `core.ExperimentData`. May import: `core`; never torch.
"""

from tailscope.data.chexpert import CheXpert
from tailscope.data.chula import ChulaRbc12
from tailscope.data.csv_tables import CsvTables
from tailscope.data.inspection import Inspection, inspect_dataset
from tailscope.data.nih import NihChestXray14
from tailscope.data.pasted import Pasted
from tailscope.data.phantom import Phantom
from tailscope.data.preparation import prepare
from tailscope.data.recognition import recognise
from tailscope.data.registry import DATASETS
from tailscope.data.settings import DataSettings, SplitSettings

__all__ = [
    "DATASETS",
    "CheXpert",
    "ChulaRbc12",
    "CsvTables",
    "DataSettings",
    "Inspection",
    "NihChestXray14",
    "Pasted",
    "Phantom",
    "SplitSettings",
    "inspect_dataset",
    "prepare",
    "recognise",
]
