"""What a data set says that can hardly be true, or nearly never helps: told in notes, never refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tailscope.data.validation import some

_OLDEST_YEARS = 120
_SEXES = frozenset(("m", "f", "male", "female", "o", "other", "u", "unknown"))


def doubtful_notes(images: pd.DataFrame) -> tuple[str, ...]:
    """One sentence per kind of doubtful cell in the table of images, with the images.

    Args:
        images: Columns of :data:`~tailscope.core.IMAGE_COLUMNS`.

    Example:
        >>> columns = {"image_id": ["a", "b"], "patient_id": ["p", None], "age": [414.0, 50.0], "sex": ["F", "7"]}
        >>> for note in doubtful_notes(pd.DataFrame(columns)):
        ...     print(note)
        1 of 2 images have no patient, and each of them counts as a patient of its own: 'b'
        1 images state an age below 0 or above 120 years ('414' of 'a'); correct it before using it
        1 images state a sex that is no word for one ('7' of 'b'); correct it before using it
    """
    return tuple(_notes(images))


def constant_note(image_ids: pd.Series[Any] | list[str]) -> tuple[str, ...]:
    """A sentence that names images without any contrast; nothing where there is none."""
    names = list(image_ids)
    if not names:
        return ()
    return (
        f"{len(names)} images hold a single value throughout, as failed exports do: {some(names)}; look at them, and "
        "leave their rows out if there is nothing to see",
    )


def _notes(images: pd.DataFrame) -> Iterator[str]:
    ids, known = images["image_id"], images["patient_id"].notna()
    if known.any() and not known.all():
        yield (
            f"{int((~known).sum())} of {len(images)} images have no patient, and each of them counts as a patient of "
            f"its own: {some(list(ids[~known]))}"
        )
    ages, sexes = pd.to_numeric(images["age"], errors="coerce"), images["sex"]
    rules = (
        ("an age below 0 or above 120 years", images["age"], (ages < 0) | (ages > _OLDEST_YEARS)),
        ("a sex that is no word for one", sexes, sexes.notna() & ~sexes.astype(str).str.lower().isin(_SEXES)),
    )
    for what, cells, is_odd in rules:
        if is_odd.any():
            first = f"{_shown(cells[is_odd].iloc[0])!r} of {str(ids[is_odd].iloc[0])!r}"
            more = f" and {int(is_odd.sum()) - 1} more" if is_odd.sum() > 1 else ""
            yield f"{int(is_odd.sum())} images state {what} ({first}{more}); correct it before using it"


def _shown(cell: object) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell)
