"""Group-balanced sampling: draws that balance class × group, the remedy for a shortcut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from tailscope.core import check_choice
from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.core.registry import nearest
from tailscope.treatments.attributes import groups_of
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.membership import Reduce, membership, reduced
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS


@dataclass(frozen=True)
class GroupWeights:
    """One weight per image from the sizes of its cells of class × group.

    Args:
        column: Column of the images; its values are the groups.
        names: K class names.
        classes: The classes that are balanced; None for all of them.
        reduce: How the weights of an image's cells become one.

    Example:
        >>> targets = np.array([[1], [1], [1], [0]])
        >>> GroupWeights("tube", ("pneumothorax",))(targets, {"tube": np.array([True, True, False, False])}).tolist()
        [0.5, 0.5, 1.0, 1.0]
    """

    column: str
    names: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    reduce: Reduce = "max"

    def __call__(self, targets: NDArray[np.floating], attributes: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """The weight per image, (N,) float64 above 0.

        Args:
            targets: (N, K) in {0, 1, NaN}.
            attributes: Holds ``column``, (N,) values.

        Raises:
            InputError: The targets are not (N, K), or the column is not (N,).
            DataError: A class of ``classes`` is so tied to the groups that no draw breaks the tie, or the column has
                too many values.
        """
        positive = membership(targets, len(self.names))[:, self._columns()]
        groups, names = groups_of(self.column, attributes[self.column], len(positive))
        if self.classes is not None and len(names) > 1:
            self._require_breakable(positive, groups, names)
        member = np.column_stack([positive, ~positive.any(axis=1)])
        images = np.stack([np.bincount(groups[rows], minlength=len(names)) for rows in member.T])
        return reduced(1 / np.maximum(images[:, groups].T, 1), member, self.reduce)

    def _columns(self) -> list[int]:
        return [self.names.index(name) for name in self.classes or self.names]

    def _require_breakable(
        self, positive: NDArray[np.bool_], groups: NDArray[np.int64], names: tuple[str, ...]
    ) -> None:
        problems = []
        for name, has in zip(self.classes or (), positive.T, strict=True):
            ours, theirs = np.unique(groups[has]), np.unique(groups[~has])
            if np.intersect1d(ours, theirs).size < 2:
                problems.append(
                    f"class {name!r}: {_listed(self.column, ours, names)} hold its positives, "
                    f"{_listed(self.column, theirs, names)} the other images; expected both in at least two groups, "
                    "else no draw breaks the tie: choose another column, or leave the class out of `classes`"
                )
        if problems:
            raise DataError(problems)


@TREATMENTS.register("group_balanced_sampling")
@dataclass(frozen=True)
class GroupBalancedSampling:
    """Draws balance class × group, so that the group no longer tells the class: the remedy for a shortcut; BCE.

    A group is a value of any column of the images: view, sex, or whether a confounder such as ``chest_tube`` is
    present; a missing value is the group ``"unknown"``. An image stands in the cell (c, g) for each of its positive
    classes c, and in (none, g) without any; its weight is the reduction over its cells of 1/(images in the cell). An
    unknown label (NaN) is not a positive.

    With one class in ``classes``, every image stands in one cell and all cells get the same share of the draws: the
    class and the group are independent in what the network sees, if positives and other images stand in all groups.
    With several classes an image that is drawn for one cell brings its other positives along, and the balance is
    approximate: name the class that has the shortcut. A cell of few images is repeated often; the audit shows how
    often. A column of one value leaves a balance of the classes alone.

    Source: resampling by group as the baseline in Sagawa, Koh, Hashimoto, Liang, "Distributionally robust neural
    networks for group shifts" (ICLR 2020), and as RWG in Idrissi, Arjovsky, Pezeshki, Lopez-Paz, "Simple data balancing
    achieves competitive worst-group-accuracy" (CLeaR 2022). Deviations: there each image has one label, so one cell;
    here one per positive class, and a reduction over them.

    Args:
        column: Column of the images. It must be given.
        classes: The classes whose tie to the group is to be broken; None balances all classes.
        reduce: ``"max"``, ``"mean"`` or ``"sum"`` over an image's cells.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> counts = ClassCounts(("pneumothorax",), (3,), (5,))
        >>> tube = np.array([True, True, False, True, False, False, False, False])
        >>> plan = GroupBalancedSampling("chest_tube", classes=["pneumothorax"])(counts)
        >>> plan.sample_weights(np.array([[1], [1], [1], [0], [0], [0], [0], [0]]), {"chest_tube": tube}).tolist()
        [0.5, 0.5, 1.0, 1.0, 0.25, 0.25, 0.25, 0.25]
    """

    limit: ClassVar[LimitCase] = LimitCase(
        "a column of one value, one label per image, equal counts: uniform draws, the loss is control's",
        {"column": "view"},
        uniform_draws=True,
        balanced=True,
        single_label=True,
    )

    column: str = ""
    classes: tuple[str, ...] | None = None
    reduce: Reduce = "max"

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or not self.column:
            raise InputError(
                "`column` must name a column of the images, such as view, sex or a confounder of the data set; "
                f"got {self.column!r}"
            )
        check_choice("reduce", self.reduce, get_args(Reduce))
        if self.classes is not None:
            object.__setattr__(self, "classes", _class_names(self.classes))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
            InputError: ``classes`` names an unknown class.
        """
        strangers = [name for name in self.classes or () if name not in class_counts.names]
        if strangers:
            raise InputError(
                f"`classes`: no class is named {', '.join(map(repr, strangers))}"
                f"{nearest(strangers[0], class_counts.names)}"
            )
        class_counts.require_both()
        return TreatmentPlan(
            WeightedBCE(len(class_counts.names)),
            sample_weights=GroupWeights(self.column, class_counts.names, self.classes, self.reduce),
            attributes=(self.column,),
        )


def _class_names(classes: object) -> tuple[str, ...]:
    is_list = isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)
    names = tuple(classes) if isinstance(classes, list | tuple) and is_list else ()
    if not names or len(set(names)) < len(names):
        raise InputError(
            "`classes` must be a list of class names, each once, such as [pneumothorax], or left out for all classes; "
            f"got {classes!r}"
        )
    return names


def _listed(column: str, groups: NDArray[np.int64], names: tuple[str, ...]) -> str:
    return f"`{column}` = {', '.join(names[group] for group in groups)}" if groups.size else "no groups"
