"""Which element of an experiment rests on which published works, and what it is called in running text."""

from __future__ import annotations

from typing import TypeAlias

from tailscope.report.references import marker
from tailscope.report.words import metric_name

_Words: TypeAlias = dict[str, tuple[str, tuple[str, ...]]]  # name to words and keys of the bibliography

_SOURCES: _Words = {
    "phantom": ("generated as chest phantoms", ()),
    "pasted": ("with findings pasted in by a program", ()),
    "nih_chestxray14": ("NIH ChestX-ray14", ("wang2017",)),
    "chexpert": ("CheXpert", ("irvin2019",)),
    "chula_rbc12": ("Chula RBC-12", ("naruenatthanaset2021",)),
    "csv": ("a data set described by a table", ()),
    "coco": ("a data set described by COCO files", ()),
    "voc": ("a data set described by Pascal VOC files", ()),
    "yolo": ("a data set described by YOLO files", ()),
    "busi": ("BUSI", ("aldhabyani2020",)),
    "cbis_ddsm": ("CBIS-DDSM", ("lee2017",)),
    "chestx_det": ("ChestX-Det", ("liu2020det",)),
    "covid_chestxray": ("the COVID-19 image data collection", ("cohen2020",)),
    "ham10000": ("HAM10000", ("tschandl2018",)),
    "idrid": ("IDRiD", ("porwal2018",)),
    "medmnist": ("MedMNIST", ("yang2023",)),
    "mimic_cxr_jpg": ("MIMIC-CXR-JPG", ("johnson2019",)),
    "padchest": ("PadChest", ("bustos2020",)),
    "padchest_gr": ("PadChest-GR", ("castro2024",)),
    "rsna_pneumonia": ("the RSNA pneumonia challenge", ("shih2019",)),
    "siim_pneumothorax": ("the SIIM-ACR pneumothorax challenge", ()),
    "tbx11k": ("TBX11K", ("liu2020tb",)),
    "vindr_cxr": ("VinDr-CXR", ("nguyen2022",)),
}
_TREATMENTS: _Words = {
    "control": ("binary cross-entropy without treatment", ()),
    "asymmetric": ("asymmetric loss", ("ridnik2021",)),
    "auc_margin": ("AUC margin loss", ("ying2016", "yuan2021")),
    "balanced_mixup": ("balanced mix-up", ("galdran2021",)),
    "class_aware_sampling": ("class-aware sampling", ("shen2016",)),
    "class_balanced_focal": ("class-balanced focal loss", ("cui2019", "lin2017")),
    "combined": ("a combination", ()),
    "decoupled": ("decoupled training of features and classifier", ("kang2020",)),
    "distribution_balanced": ("distribution-balanced loss", ("wu2020",)),
    "drw": ("deferred re-weighting", ("cao2019", "cui2019")),
    "effective_number": ("weighting by the effective number of samples", ("cui2019",)),
    "ensemble": ("the mean of the probabilities over seeds", ("lakshminarayanan2017",)),
    "focal": ("focal loss", ("lin2017",)),
    "generalized_cross_entropy": ("generalized cross-entropy", ("zhang2018noisy",)),
    "group_balanced_sampling": ("sampling balanced by group", ("sagawa2020", "idrissi2022")),
    "inter_weighted": ("cross-entropy weighted between classes", ("khakzar2022",)),
    "intra_weighted": ("cross-entropy with positives weighted within classes", ("khakzar2022",)),
    "label_smoothing": ("label smoothing", ("szegedy2016",)),
    "ldam": ("label-distribution-aware margin loss", ("cao2019",)),
    "logit_adjusted": ("logit-adjusted loss", ("menon2021",)),
    "moved_thresholds": ("moved thresholds", ("zhou2006",)),
    "pos_weighted": ("cross-entropy with weighted positives", ("king2001",)),
    "prior_shift": ("shift of the logits to another prior", ("menon2021", "saerens2002")),
    "random_undersampling": ("random undersampling", ("buda2018",)),
    "repeat_factor_sampling": ("repeat factor sampling", ("gupta2019",)),
    "temperature": ("temperature scaling by class", ("guo2017",)),
    "two_way": ("two-way multi-label loss", ("kobayashi2023",)),
    "uncertainty": ("weighting by learnt uncertainty", ("kendall2018",)),
    "warm_up": ("a warm-up from plain cross-entropy", ()),
    "weighted_sampling": ("inverse-frequency weighted sampling", ("khakzar2022",)),
}
_ATTRIBUTIONS: _Words = {
    "ablationcam": ("Ablation-CAM", ("desai2020",)),
    "attention_rollout": ("attention rollout", ("abnar2020",)),
    "eigencam": ("Eigen-CAM", ("muhammad2020",)),
    "extremal_perturbation": ("extremal perturbation", ("fong2019",)),
    "gradcam": ("Grad-CAM", ("selvaraju2017",)),
    "gradcam_pp": ("Grad-CAM++", ("chattopadhay2018",)),
    "gradient_x_input": ("gradient × input", ("shrikumar2016",)),
    "guided_backprop": ("guided backpropagation", ("springenberg2015",)),
    "hirescam": ("HiResCAM", ("draelos2020",)),
    "information_bottleneck": ("information bottleneck attribution", ("schulz2020",)),
    "input_gradient": ("input gradients", ("simonyan2014",)),
    "integrated_gradients": ("integrated gradients", ("sundararajan2017",)),
    "layercam": ("LayerCAM", ("jiang2021",)),
    "occlusion": ("occlusion", ("zeiler2014",)),
    "rise": ("RISE", ("petsiuk2018",)),
    "scorecam": ("Score-CAM", ("wang2020",)),
    "smoothgrad": ("SmoothGrad", ("smilkov2017",)),
    "transformer_attribution": ("transformer attribution", ("chefer2021",)),
}
_METRICS = {
    "auroc": ("hanley1982",),
    "brier": ("brier1950",),
    "expected_calibration_error": ("naeini2015", "nixon2019"),
    "ece": ("naeini2015", "nixon2019"),
    "calibration_slope": ("cox1958",),
    "calibration_intercept": ("cox1958",),
    "net_benefit": ("vickers2006",),
    "pointing_game": ("zhang2018",),
    "mass_inside": ("wang2020",),
    "localized_at": ("wang2017",),
}
_SPELLED = {
    "auroc": "the area under the receiver operating characteristic curve (AUROC)",
    "average_precision": "average precision (AP)",
    "ap": "average precision (AP)",
}
_OPTIMIZERS: _Words = {
    "adam": ("Adam", ("kingma2015",)),
    "adamw": ("AdamW", ("loshchilov2019",)),
    "sgd": ("stochastic gradient descent with momentum", ()),
}
_PACKAGES: _Words = {
    "torch": ("PyTorch", ("paszke2019",)),
    "timm": ("timm", ("wightman2019",)),
    "numpy": ("NumPy", ("harris2020",)),
    "scipy": ("SciPy", ("virtanen2020",)),
}
_FAMILIES = {"resnet": ("he2016",), "densenet": ("huang2017",), "vit": ("dosovitskiy2021",)}
_WORDS = {
    "source": _SOURCES,
    "treatment": _TREATMENTS,
    "attribution": _ATTRIBUTIONS,
    "optimizer": _OPTIMIZERS,
    "package": _PACKAGES,
}


def cited(kind: str, name: str) -> str:
    """The words for an element with the marker of its sources; an unknown one by its own name, without a source.

    Args:
        kind: source, treatment, attribution, optimizer or package.
        name: As in the configuration.

    Example:
        >>> cited("treatment", "focal"), cited("treatment", "my_loss")
        ('focal loss [@lin2017]', 'my loss')
    """
    words, keys = _WORDS[kind].get(name, (name.replace("_", " "), ()))
    return words + marker(keys)


def is_known_treatment(name: str) -> bool:
    """Whether a value in a treatment's settings names another treatment.

    >>> is_known_treatment("focal"), is_known_treatment("sigmoid")
    (True, False)
    """
    return name in _TREATMENTS


def cited_metric(metric: str) -> str:
    """The name of a metric with the marker of its source; net benefit at any threshold has one source.

    >>> cited_metric("average_precision"), cited_metric("pointing_game[tolerance_px=15]")
    ('average precision (AP)', 'pointing game[tolerance px=15] [@zhang2018]')
    """
    base = metric.split("[", maxsplit=1)[0]
    keys = next((found for name, found in _METRICS.items() if base == name or base.startswith(f"{name}_at")), ())
    return _SPELLED.get(metric, metric_name(metric)) + marker(keys)


def architecture_sources(name: str) -> str:
    """The marker of the family of networks that a name belongs to.

    >>> architecture_sources("test_resnet"), architecture_sources("my_net")
    (' [@he2016]', '')
    """
    return marker(next((keys for family, keys in _FAMILIES.items() if family in name), ()))
