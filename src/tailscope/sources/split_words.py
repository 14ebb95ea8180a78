"""Which split do the words of a file's name, a folder or a cell stand for?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

SPLIT_OF: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    "test": "test",
}
_WORD = re.compile(rf"(?<![a-z])({'|'.join(sorted(SPLIT_OF, key=len, reverse=True))})(?![a-z])")


def split_of_name(name: str) -> str | None:
    """The one split that the words of a name state; None where it states none or several.

    >>> [split_of_name(name) for name in ("instances_train2017.json", "Valid", "trainval.txt", "latest")]
    ['train', 'val', None, None]
    """
    found = {SPLIT_OF[word] for word in _WORD.findall(name.lower())}
    return found.pop() if len(found) == 1 else None


def split_of_path(path: str) -> str | None:
    """The split that the innermost telling part of a path states: its file name first, then its folders.

    >>> split_of_path("train/_annotations.coco.json"), split_of_path("test/images/valid/1.png")
    ('train', 'val')
    """
    stated = (split_of_name(part) for part in reversed(PurePosixPath(path).parts))
    return next((split for split in stated if split is not None), None)
