"""How is a treated classifier fitted?

Comes in: a network, a treatment's plan, the experiment's data, settings and a seed. Goes out: the weights of the
selected epoch, the history, the gradient's mass. May import: core, data, treatments, models, performance, stats. The
only room that imports Lightning Fabric.
"""

from tailscope.training.audit import GradientMass
from tailscope.training.augmentation import apply_views, draw_views
from tailscope.training.checkpoint import TrainingState, remove_state, write_tensors
from tailscope.training.loop import Job, fit, require_runnable
from tailscope.training.order import batches, epoch_draws, order_digest
from tailscope.training.prediction import image_batches, predict
from tailscope.training.schedule import learning_rate
from tailscope.training.selection import Best, require_score, validation_score
from tailscope.training.settings import Augmentation, TrainingSettings

__all__ = [
    "Augmentation",
    "Best",
    "GradientMass",
    "Job",
    "TrainingSettings",
    "TrainingState",
    "apply_views",
    "batches",
    "draw_views",
    "epoch_draws",
    "fit",
    "image_batches",
    "learning_rate",
    "order_digest",
    "predict",
    "remove_state",
    "require_runnable",
    "require_score",
    "validation_score",
    "write_tensors",
]
