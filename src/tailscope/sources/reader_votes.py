"""Several readers' findings on each image, and the labels that they make together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from tailscope.core.errors import InputError
from tailscope.data.tables import label_table

Rule = Literal["any", "majority", "all"]
Votes = dict[str, dict[str, frozenset[str]]]  # image to reader to what that reader found; an image's readers all voted


def require_rule(rule: str) -> None:
    """Pass if the setting is one of :data:`Rule`.

    Raises:
        InputError: It is not.
    """
    if rule not in get_args(Rule):
        raise InputError(f"`votes` must be any, majority or all; got {rule!r}")


def is_found(name: str, readers: Mapping[str, frozenset[str]], rule: Rule) -> bool:
    """Whether a finding is positive: by one reader, by more than half, or by every one.

    >>> readers = {"R1": frozenset({"ILD"}), "R2": frozenset(), "R3": frozenset({"ILD"})}
    >>> [is_found("ILD", readers, rule) for rule in ("any", "majority", "all")]
    [True, True, False]
    """
    count = sum(name in found for found in readers.values())
    needed = {"any": 1, "majority": len(readers) // 2 + 1, "all": len(readers)}[rule]
    return count >= needed


def voted_labels(votes: Votes, image_ids: Sequence[str], classes: Sequence[str], rule: Rule) -> pd.DataFrame:
    """The table of labels: positive or negative by the rule.

    The column ``reader`` names the rule, or the reader of an image that one alone has read.
    """
    states = [
        ["positive" if is_found(name, votes[image], rule) else "negative" for name in classes] for image in image_ids
    ]
    said = [next(iter(votes[image])) if len(votes[image]) == 1 else f"{rule} of the readers" for image in image_ids]
    table = label_table(image_ids, classes, np.array(states).reshape(len(image_ids), len(classes)), rule)
    return table.assign(reader=np.repeat(np.asarray(said, dtype=object), len(classes)))


def votes_note(votes: Votes, classes: Sequence[str], rule: Rule) -> str:
    """How many readers read, how often they differ, and what was made of it."""
    readers = sorted({len(by_reader) for by_reader in votes.values()})
    numbers = " or ".join(map(str, readers))
    split = sum(
        is_found(name, by_reader, "any") != is_found(name, by_reader, "all")
        for by_reader in votes.values()
        for name in classes
    )
    return (
        f"{numbers} readers per image; on {split} of {len(votes) * len(classes)} labels they differ: "
        f"positive is what {rule} of them found (`votes`), and every shape keeps its reader"
    )
