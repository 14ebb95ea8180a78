"""Several readers of one image: whose labels count, and what several of them say together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import InputError, UnknownNameError
from tailscope.core.records import STATES
from tailscope.core.registry import nearest
from tailscope.data.states import UNMENTIONED, Readings
from tailscope.data.validation import some

ANY, MAJORITY, ALL, EACH = "any", "majority", "all", "each"
RULES = (ANY, MAJORITY, ALL, EACH)

_POSITIVE, _NEGATIVE, _UNCERTAIN = (STATES.index(state) for state in ("positive", "negative", "uncertain"))
# The first of these that any reader says is what they say together.
_ORDER_OF_ANY = (_POSITIVE, _UNCERTAIN, _NEGATIVE, UNMENTIONED)
_ORDER_OF_ALL = (_NEGATIVE, UNMENTIONED, _UNCERTAIN, _POSITIVE)


def require_label_reader(label_readers: str, readings: Readings) -> None:
    """Pass if this is a rule, or the name of somebody who labelled.

    Raises:
        UnknownNameError: It is neither; the known ones are listed.
    """
    known = (*RULES, *_names(readings))
    if label_readers not in known:
        raise UnknownNameError(
            f"`label_readers` must be {', '.join(RULES)} or a reader of the labels; got {label_readers!r}"
            f"{nearest(label_readers, known)}"
        )


def voted(readings: Readings, label_readers: str) -> NDArray[np.int8]:
    """What the readers of each image say together.

    With one reader per image every rule gives that reader's label. A reader who labelled the image and not the class
    has it unmentioned.

    - ``any``: positive if any reader says so; else uncertain, else negative, if any does; else unmentioned.
    - ``all``: positive if all readers of the image say so; else negative if any does; else unmentioned if any says
      nothing; else uncertain.
    - ``majority``: positive if more than half of the readers of the image say so. Where more than half say negative or
      nothing: negative if any says so, else unmentioned. Everything else, ties above all, is uncertain.
    - ``each``: as ``majority``; training takes the share of the readers, see :func:`shares`.
    - the name of a reader: what that one says; unmentioned on images of others.

    Args:
        readings: R readings of N images.
        label_readers: The rule.

    Returns:
        (N, K) int8 index into :data:`~tailscope.core.STATES`.

    Example:
        >>> states = np.array([[[0]], [[1]], [[0]]], dtype=np.int8)  # one image: positive, negative, positive
        >>> readings = Readings(states, np.array([["a"], ["b"], ["c"]], dtype=object))
        >>> [STATES[voted(readings, rule)[0, 0]] for rule in ("any", "majority", "all", "b")]
        ['positive', 'positive', 'negative', 'negative']
    """
    if label_readers == ANY:
        return _first_said(readings, _ORDER_OF_ANY)
    if label_readers == ALL:
        return _first_said(readings, _ORDER_OF_ALL)
    if label_readers in (MAJORITY, EACH):
        return _majority(readings)
    own = np.equal(readings.readers, label_readers)
    states = np.where(own[:, :, None], readings.states, UNMENTIONED)
    return np.asarray(states[own.argmax(axis=0), np.arange(own.shape[1])], dtype=np.int8)


def is_unread(readings: Readings, label_readers: str) -> NDArray[np.bool_]:
    """(N,) whether an image was not read by the one reader whose labels count; of a rule none is."""
    if label_readers in RULES:
        return np.zeros(readings.readers.shape[1], dtype=bool)
    return np.asarray(~np.equal(readings.readers, label_readers).any(axis=0))


def shares(values: NDArray[np.floating], readings: Readings) -> NDArray[np.float32]:
    """Mean target over the readings of each image: the share of its readers who say positive.

    Args:
        values: (R, N, K) target of each reading, in [0, 1]; NaN has no say.
        readings: Whose they are; on an image without any, the first of the R stands for silence.

    Returns:
        (N, K) in [0, 1]; NaN where no reading has a say.
    """
    counts = readings.is_read.copy()
    counts[0] |= ~counts.any(axis=0)
    known = counts[:, :, None] & ~np.isnan(values)
    number = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0, dtype=np.float64)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)


def reader_notes(readings: Readings, label_readers: str) -> list[str]:
    """How many readers there are, how often they differ, and what was made of it; nothing where each image has one."""
    unread = int(is_unread(readings, label_readers).sum())
    left = [f"{unread} images were not read by {label_readers}, whose labels alone count; theirs are unknown"]
    left = left if unread else []
    if not readings.has_several:
        return left
    several = readings.is_read.sum(axis=0) > 1
    counted = np.where(readings.is_read[:, :, None], readings.states, readings.states[:1])
    differ = int((counted[:, several] != counted[:1, several]).any(axis=0).sum())
    names, labels = _names(readings), int(several.sum()) * readings.states.shape[2]
    return [
        f"labels of {len(names)} readers ({some(names)}); on {differ} of {labels} labels that several of them gave "
        f"they differ; `label_readers: {label_readers}` {_done(label_readers)}",
        *left,
    ]


def require_rule_name(label_readers: object) -> None:
    """Pass if this can be a rule or a name.

    Raises:
        InputError: It cannot.
    """
    if not isinstance(label_readers, str) or not label_readers:
        raise InputError(f"`label_readers` must be {', '.join(RULES)} or the name of a reader; got {label_readers!r}")


def _done(label_readers: str) -> str:
    told = {
        ANY: "takes for positive what any of them says",
        MAJORITY: "takes for positive what more than half of an image's readers say",
        ALL: "takes for positive what all readers of an image say",
        EACH: "trains on the share of them, and validates and tests by the majority",
    }
    return told.get(label_readers, "takes that reader's labels alone")


def _names(readings: Readings) -> list[str]:
    return sorted({str(name) for name in readings.readers[readings.is_read]} - {""})


def _first_said(readings: Readings, order: tuple[int, ...]) -> NDArray[np.int8]:
    """The first state of an order that any reader of the image says."""
    rank = np.argsort(order).astype(np.int8)
    said = np.where(readings.is_read[:, :, None], rank[readings.states], len(order)).min(axis=0)
    voted_states = np.asarray(order, dtype=np.int8)[np.minimum(said, len(order) - 1)]
    return np.where(said == len(order), np.int8(UNMENTIONED), voted_states)  # nobody labelled the image


def _majority(readings: Readings) -> NDArray[np.int8]:
    read = readings.is_read[:, :, None]
    half = read.sum(axis=0) / 2
    positive, negative, silent = (
        (read & (readings.states == state)).sum(axis=0) for state in (_POSITIVE, _NEGATIVE, UNMENTIONED)
    )
    denied = np.where(negative > 0, _NEGATIVE, UNMENTIONED)
    voted_states = np.where(positive > half, _POSITIVE, np.where(negative + silent > half, denied, _UNCERTAIN))
    return np.where(half > 0, voted_states, UNMENTIONED).astype(np.int8)
