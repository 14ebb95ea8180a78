"""Does a patient, or one and the same image, stand in two splits?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import LeakageError
from tailscope.data.validation import raise_problems, some

LOOK = "`tailscope data inspect … --pairs pairs.html` shows them side by side"


def leakage_problems(
    image_ids: NDArray[np.str_], patients: NDArray[np.str_], content: Sequence[str], split: NDArray[np.str_]
) -> list[str]:
    """One sentence per patient, and per image content, that stands in more than one split.

    Args:
        image_ids: (N,)
        patients: (N,)
        content: N digests of pixels.
        split: (N,)
    """
    table = _table(image_ids, patients, content, split)
    return [*_crossing(table, "patient"), *_crossing(table, "content")]


def check_leakage(
    image_ids: NDArray[np.str_],
    patients: NDArray[np.str_],
    content: Sequence[str],
    split: NDArray[np.str_],
    *,
    look: str = LOOK,
) -> None:
    """Refuse a split that leaks.

    Args:
        image_ids: (N,)
        patients: (N,)
        content: N digests of pixels.
        split: (N,)
        look: How to see images of the same content, said once; blank where they are not of one data set.

    Raises:
        LeakageError: Names the patients and images, and the splits they stand in.
    """
    table = _table(image_ids, patients, content, split)
    contents = _crossing(table, "content")
    if contents and look:
        contents[0] += f": {look}"
    raise_problems([*_crossing(table, "patient"), *contents], LeakageError)


def duplicates(image_ids: NDArray[np.str_], content: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of images with the same content, two or more each, sorted."""
    table = pd.DataFrame({"image": image_ids, "content": list(content)})
    table = table[table["content"].duplicated(keep=False)]
    return sorted(tuple(sorted(group)) for _, group in table.groupby("content")["image"])


def inseparable_groups(patients: NDArray[np.str_], content: Sequence[str]) -> NDArray[np.str_]:
    """(N,) group per image: its patient, joined with every patient who has an image of the same content.

    A group is named after its first patient, so without duplicates the groups are the patients.

    >>> import numpy as np
    >>> inseparable_groups(np.array(["p1", "p2", "p3"]), ["x", "y", "x"]).tolist()
    ['p1', 'p2', 'p1']
    """
    from scipy.sparse import coo_matrix  # takes a second to load, and to look into a data set it is not needed
    from scipy.sparse.csgraph import connected_components

    names, patient_of = np.unique(patients, return_inverse=True)
    _, content_of = np.unique(np.asarray(content), return_inverse=True)
    edges = np.ones(len(patients), dtype=np.int8)
    size = len(names) + int(content_of.max(initial=-1)) + 1
    graph = coo_matrix((edges, (patient_of, content_of + len(names))), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    component = component[: len(names)]
    _, first = np.unique(component, return_index=True)
    representative = dict(zip(component[first].tolist(), first.tolist(), strict=True))
    return np.asarray(names[[representative[part] for part in component[patient_of].tolist()]])


def _table(
    image_ids: NDArray[np.str_], patients: NDArray[np.str_], content: Sequence[str], split: NDArray[np.str_]
) -> pd.DataFrame:
    return pd.DataFrame({"image": image_ids, "patient": patients, "content": list(content), "split": split})


def _crossing(table: pd.DataFrame, column: str) -> list[str]:
    crossing = table.groupby(column)["split"].nunique()
    leaking = sorted(crossing[crossing > 1].index)
    problems = []
    for value in leaking:
        rows = table[table[column] == value]
        splits = ", ".join(sorted(rows["split"].unique()))
        images = some(sorted(rows["image"]))
        if column == "patient":
            problems.append(f"patient {value!r} stands in {splits} (images {images}); expected one split per patient")
        else:
            problems.append(f"images {images} have the same content and stand in {splits}; keep one of them")
    return problems
