"""Which files make up a data set?

One adapter per published set or format reads what lies on disk exactly as it was published, and says which variant it
recognised. Each is found under its name through an entry point of this package, as the adapters of other packages are.
Comes in: a folder. Goes out: `core.Dataset`. May import: `data`, `core`; never torch.
"""

from tailscope.sources.busi import Busi
from tailscope.sources.cbis_ddsm import CbisDdsm
from tailscope.sources.chexpert import CheXpert
from tailscope.sources.chula import ChulaRbc12
from tailscope.sources.coco import Coco
from tailscope.sources.covid_chestxray import CovidChestXray
from tailscope.sources.csv_tables import CsvTables
from tailscope.sources.ham10000 import Ham10000
from tailscope.sources.idrid import Idrid
from tailscope.sources.medmnist import MedMnist
from tailscope.sources.mimic import MimicCxrJpg
from tailscope.sources.nih import NihChestXray14
from tailscope.sources.nih_det import ChestXDet
from tailscope.sources.padchest import PadChest
from tailscope.sources.padchest_gr import PadChestGr
from tailscope.sources.recognition import Recognised, recognise, recognised
from tailscope.sources.rsna import RsnaPneumonia
from tailscope.sources.siim import SiimPneumothorax
from tailscope.sources.tbx11k import Tbx11k
from tailscope.sources.vindr import VinDrCxr
from tailscope.sources.voc import Voc
from tailscope.sources.yolo import Yolo

__all__ = [
    "Busi",
    "CbisDdsm",
    "CheXpert",
    "ChestXDet",
    "ChulaRbc12",
    "Coco",
    "CovidChestXray",
    "CsvTables",
    "Ham10000",
    "Idrid",
    "MedMnist",
    "MimicCxrJpg",
    "NihChestXray14",
    "PadChest",
    "PadChestGr",
    "Recognised",
    "RsnaPneumonia",
    "SiimPneumothorax",
    "Tbx11k",
    "VinDrCxr",
    "Voc",
    "Yolo",
    "recognise",
    "recognised",
]
