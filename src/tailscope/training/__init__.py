"""How is a treated classifier fitted?

Comes in: a network, a treatment's plan, the experiment's data, settings and a seed. Goes out: the weights of the
selected epoch, the history, the gradient's mass. May import: core, data, treatments, models, performance, stats. The
only room that imports Lightning Fabric.
"""

from tailscope.training.audit import EpochWatch
from tailscope.training.augmentation import apply_views, draw_views
from tailscope.training.checkpoint import TrainingState, remove_state, write_tensors
from tailscope.training.devices import chosen_accelerator
from tailscope.training.job import EpochDraws, Job
from tailscope.training.loop import fit
from tailscope.training.order import batches, epoch_draws, process_share
from tailscope.training.prediction import image_batches, predict, predict_adjusted
from tailscope.training.schedule import learning_rate
from tailscope.training.selection import Best, require_score, validation_score
from tailscope.training.settings import Augmentation, TrainingSettings
from tailscope.training.stages import Stage, stages_of

__all__ = [
    "Augmentation",
    "Best",
    "EpochDraws",
    "EpochWatch",
    "Job",
    "Stage",
    "TrainingSettings",
    "TrainingState",
    "apply_views",
    "batches",
    "chosen_accelerator",
    "draw_views",
    "epoch_draws",
    "fit",
    "image_batches",
    "learning_rate",
    "predict",
    "predict_adjusted",
    "process_share",
    "remove_state",
    "require_score",
    "stages_of",
    "validation_score",
    "write_tensors",
]
