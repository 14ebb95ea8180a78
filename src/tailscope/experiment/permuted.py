"""A network that learned nothing true: control's, trained once on permuted labels, for the soundness of saliency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailscope.core import ExperimentData, Progress, generator
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.config import ExperimentConfig, slug
from tailscope.experiment.fitting import CHECKPOINTS, make_run, trained_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import Run, is_fitted, run_hash
from tailscope.models import Network
from tailscope.training import remove_state


def permuted_data(data: ExperimentData, seed: int) -> ExperimentData:
    """The data with the rows of the targets permuted among the training images, and among the validation images.

    Counts and co-occurrence of the classes stay. Validation is permuted as well, because it selects the epoch: with
    true labels there, the epoch would be kept that by chance knows most of them. Selection is then as good as a draw.
    The test split is left; training never sees it. No annotation belongs to a permuted label, so none is left.

    Args:
        data: The experiment's data; not changed.
        seed: Of the permutation.
    """
    source = np.arange(len(data.targets))
    for split in ("train", "val"):
        rows = data.rows(split)
        source[rows] = generator(seed, "permuted labels", split).permutation(rows)
    soft = None if data.soft is None else data.soft[source]
    none = np.zeros((0, 2), dtype=np.int64)
    trained_on = f"{data.trained_on or data.fingerprint} permuted"
    return replace(data, targets=data.targets[source], soft=soft, annotated=none, fingerprint=trained_on, trained_on="")


def wants_permuted(config: ExperimentConfig, data: ExperimentData) -> bool:
    """Whether the network is needed: it was asked for, and there is an annotated pair to compare maps on."""
    lens = config.lenses.alignment
    asked = lens is not None and lens.soundness is not None and lens.soundness.permuted_labels
    return asked and len(annotated_test_pairs(data)) > 0


def permuted_folder(folder: ExperimentFolder) -> ExperimentFolder:
    """Where the run on permuted labels lies, so that it is none of the experiment's own."""
    return ExperimentFolder((folder.trained or folder.path) / "soundness")


def permuted_run(config: ExperimentConfig, data: ExperimentData) -> Run:
    """Control's run of the first seed on permuted labels."""
    arm, seed = config.compare.control, config.seeds[0]
    whole = run_hash(config, permuted_data(data, seed), arm, seed)
    return Run(arm, seed, f"permuted-{slug(arm)}-s{seed}-{whole[:8]}")


def permuted_network(
    folder: ExperimentFolder, config: ExperimentConfig, data: ExperimentData, progress: Progress
) -> Network:
    """The network of control's first seed after training on permuted labels; trained once, or taken up where it was.

    It starts from the same weights and sees the same images in the same order as control's run of that seed.

    Args:
        folder: The experiment's; the run goes to ``soundness/runs`` in it.
        config: The experiment's configuration, with the values of a search, if there was one.
        data: The experiment's data, with true labels.
        progress: Moves by training images.

    Raises:
        TrainingError: Training failed.

    Source: Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, section 4.
    """
    place, run = permuted_folder(folder), permuted_run(config, data)
    changed = permuted_data(data, run.seed)
    if is_fitted(place, run):
        remove_state(place.run(run.name) / CHECKPOINTS)  # a kill right after the record leaves it behind
    else:
        # Nobody looks at how it came about, so it keeps no epochs.
        training = replace(config.training, keep_checkpoints=())
        make_run(place, config.model_copy(update={"training": training}), changed, run, progress)
    return trained_network(place, config, changed, run)
