"""What MedMNIST's files do not say of themselves: class names by number, the kind of labels, known leaks.

Source: ``medmnist/info.py`` of the package that publishes them; for DermaMNIST also Abhishek et al. (2024),
arXiv:2401.14497.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)


@dataclass(frozen=True)
class Facts:
    """One set of MedMNIST.

    Args:
        classes: Names by number; in a set of many labels, by column.
        many_labels: Each class has a column of 0 or 1, several may be 1; else one column holds the class.
        flips_allowed: Whether a left-right flip leaves the labels true.
        note: What to know before its split is used.
    """

    classes: tuple[str, ...]
    many_labels: bool = False
    flips_allowed: bool = False
    note: str = ""


FACTS: Mapping[str, Facts] = {
    "pathmnist": Facts(
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
        flips_allowed=True,
    ),
    "chestmnist": Facts(
        (
            "atelectasis",
            "cardiomegaly",
            "effusion",
            "infiltration",
            "mass",
            "nodule",
            "pneumonia",
            "pneumothorax",
            "consolidation",
            "edema",
            "emphysema",
            "fibrosis",
            "pleural",
            "hernia",
        ),
        many_labels=True,
        note="the images are NIH ChestX-ray14's; the split is not NIH's official one, and a row without any 1 is "
        "no finding",
    ),
    "dermamnist": Facts(
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        flips_allowed=True,
        note="the images are HAM10000's, and one lesion may stand in several splits, which the file does not tell",
    ),
    "octmnist": Facts(
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"), flips_allowed=True
    ),
    "pneumoniamnist": Facts(("normal", "pneumonia")),
    "retinamnist": Facts(
        tuple(f"grade {grade}" for grade in range(5)),
        flips_allowed=True,
        note="the classes are grades, in this order",
    ),
    "breastmnist": Facts(
        ("malignant", "normal, benign"),
        flips_allowed=True,
        note="0 is malignant, 1 normal or benign; the images are BUSI's, which holds duplicates",
    ),
    "bloodmnist": Facts(
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        flips_allowed=True,
    ),
    "tissuemnist": Facts(
        (
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ),
        flips_allowed=True,
    ),
    "organamnist": Facts(_ORGANS),
    "organcmnist": Facts(_ORGANS),
    "organsmnist": Facts(_ORGANS),
}
SOLID = ("organmnist3d", "nodulemnist3d", "adrenalmnist3d", "fracturemnist3d", "vesselmnist3d", "synapsemnist3d")
