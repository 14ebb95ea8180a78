"""The weights after chosen epochs, kept beside the state of the training and left there when it is removed."""

from __future__ import annotations

import re
from pathlib import Path

from tailscope.core import InputError, MismatchError

LAST = "last"

_NAME = re.compile(r"epoch-(\d+)\.safetensors")


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Where the weights after an epoch, counted from 1, are kept.

    >>> checkpoint_path(Path("checkpoints"), 5).name
    'epoch-005.safetensors'
    """
    return folder / f"epoch-{epoch:03d}.safetensors"


def kept_epochs(folder: Path) -> tuple[int, ...]:
    """The epochs whose weights are kept in a folder, counted from 1, ascending; none where there is no folder."""
    found = (_NAME.fullmatch(path.name) for path in folder.glob("epoch-*.safetensors"))
    return tuple(sorted(int(match[1]) for match in found if match))


def due_epochs(keep: tuple[int | str, ...], done: int, *, is_over: bool) -> tuple[int, ...]:
    """The epochs that must be kept once a training has done so many.

    Args:
        keep: As in the settings: numbers counted from 1, or ``last``.
        done: Epochs done.
        is_over: Whether the training is finished; the last epoch is known only then, as it may have stopped early.

    Example:
        >>> due_epochs((1, 5, "last"), 3, is_over=False), due_epochs((1, 5, "last"), 3, is_over=True)
        ((1,), (1, 3))
    """
    last = {done} if is_over and LAST in keep else set()
    return tuple(sorted({epoch for epoch in keep if isinstance(epoch, int) and epoch <= done} | last))


def keep_problems(keep: tuple[int | str, ...], epochs: int) -> list[str]:
    """What is wrong with the epochs that a training of so many is asked to keep, one sentence each.

    >>> keep_problems((1, 30), epochs=20)
    ['`keep_checkpoints` names epoch 30, and `epochs` is 20; name epochs from 1 to 20, or raise `epochs`']
    """
    strange = [one for one in keep if one != LAST and (not isinstance(one, int) or one < 1)]
    late = [one for one in keep if isinstance(one, int) and one > epochs]
    repeated = sorted({str(one) for one in keep if keep.count(one) > 1})
    problems = [f"`keep_checkpoints` must hold epochs from 1 on, or {LAST!r}; got {one!r}" for one in strange]
    problems += [
        f"`keep_checkpoints` names epoch {one}, and `epochs` is {epochs}; name epochs from 1 to {epochs}, or raise "
        "`epochs`"
        for one in late
    ]
    return problems + [f"`keep_checkpoints` holds {one} twice; name each epoch once" for one in repeated]


def require_kept(keep: tuple[int | str, ...], done: int, trained: Path, folder: Path, *, is_over: bool = False) -> None:
    """Refuse a training that is past an epoch whose weights are asked for and were not kept.

    Args:
        keep: As in the settings.
        done: Epochs done.
        trained: What the training left; without it, the training begins anew.
        folder: Where epochs are kept.
        is_over: Whether the training is finished.

    Raises:
        MismatchError: Some are missing.
    """
    there = kept_epochs(folder)
    if missing := [epoch for epoch in due_epochs(keep, done, is_over=is_over) if epoch not in there]:
        raise MismatchError(
            f"`training.keep_checkpoints` asks for the weights after epoch {_listed(missing)}; {trained} has trained "
            f"{done} epochs and kept {_listed(there) or 'none of them'}, and weights that were not kept cannot be had "
            "without training again: take these epochs out of `training.keep_checkpoints`, choose another --out, or "
            f"delete {trained} to train this anew"
        )


def require_epoch(folder: Path, epoch: int) -> Path:
    """The file of an epoch's weights.

    Raises:
        InputError: It was not kept.
    """
    path = checkpoint_path(folder, epoch)
    if not path.exists():
        raise InputError(
            f"`epoch` must be one of the kept epochs, {_listed(kept_epochs(folder)) or 'of which there is none'}; "
            f"got {epoch}: {path} does not exist; name it in `training.keep_checkpoints` before training"
        )
    return path


def _listed(epochs: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, epochs))
