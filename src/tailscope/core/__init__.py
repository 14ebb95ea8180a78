"""What do the rooms say to each other?

Records, the registry of named choices, the exception tree, seeds, geometry and resizing, and files that are whole or
absent. Comes in: nothing. Goes out: the vocabulary of all other rooms. May import: nothing of tailscope, no torch.
"""

from tailscope.core.artifacts import (
    atomic_write,
    canonical_json,
    copy_file,
    digest,
    folder_lock,
    read_json,
    write_array,
    write_arrays,
    write_json,
    write_table,
    write_text,
)
from tailscope.core.errors import (
    ConfigurationError,
    DataError,
    InputError,
    LeakageError,
    LockedError,
    MismatchError,
    TailscopeError,
    TrainingError,
    UnknownNameError,
)
from tailscope.core.geometry import Placement, decode_rle, encode_rle, rasterise
from tailscope.core.grouping import GROUPS, Group, class_groups, group_note
from tailscope.core.growing import GrowingArray
from tailscope.core.progress import Advance, Progress, SilentProgress
from tailscope.core.records import (
    ANNOTATION_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    SPLITS,
    STATES,
    ClassCounts,
    Dataset,
    Estimate,
    ExperimentData,
)
from tailscope.core.registry import Registry, nearest
from tailscope.core.resizing import resize_bilinear
from tailscope.core.seeding import child_seed, generator, uniforms
from tailscope.core.settings import check_choice
from tailscope.core.threads import side_by_side

__all__ = [
    "ANNOTATION_COLUMNS",
    "GROUPS",
    "IMAGE_COLUMNS",
    "LABEL_COLUMNS",
    "SPLITS",
    "STATES",
    "Advance",
    "ClassCounts",
    "ConfigurationError",
    "DataError",
    "Dataset",
    "Estimate",
    "ExperimentData",
    "Group",
    "GrowingArray",
    "InputError",
    "LeakageError",
    "LockedError",
    "MismatchError",
    "Placement",
    "Progress",
    "Registry",
    "SilentProgress",
    "TailscopeError",
    "TrainingError",
    "UnknownNameError",
    "atomic_write",
    "canonical_json",
    "check_choice",
    "child_seed",
    "class_groups",
    "copy_file",
    "decode_rle",
    "digest",
    "encode_rle",
    "folder_lock",
    "generator",
    "group_note",
    "nearest",
    "rasterise",
    "read_json",
    "resize_bilinear",
    "side_by_side",
    "uniforms",
    "write_array",
    "write_arrays",
    "write_json",
    "write_table",
    "write_text",
]
