"""Which files make up a data set?

One adapter per published set or format reads what lies on disk exactly as it was published, and says which variant it
recognised. Each is found under its name through an entry point of this package, as the adapters of other packages are.
Comes in: a folder. Goes out: `core.Dataset`. May import: `data`, `core`; never torch.
"""

from tailscope.sources.chexpert import CheXpert
from tailscope.sources.chula import ChulaRbc12
from tailscope.sources.csv_tables import CsvTables
from tailscope.sources.nih import NihChestXray14
from tailscope.sources.recognition import Recognised, recognise, recognised

__all__ = ["CheXpert", "ChulaRbc12", "CsvTables", "NihChestXray14", "Recognised", "recognise", "recognised"]
