"""IDRiD's folders and tables: three sets whose images bear the same names, in training and in testing alike.

``A. Segmentation``, ``B. Disease Grading`` and ``C. Localization`` each hold ``1. Original Images/a. Training Set`` and
``…/b. Testing Set``, often in a folder of the same name once more. ``IDRiD_001`` exists four times, as four images.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data.files import walk_images
from tailscope.data.text_tables import TextTable, read_text_table

LESIONS = {
    "MA": "microaneurysms",
    "HE": "haemorrhages",
    "EX": "hard exudates",
    "SE": "soft exudates",
    "OD": "optic disc",
}
LETTER_OF = {"segmentation": "A", "grading": "B", "localization": "C"}
_SET = re.compile(r"([ABC])\. (?:Segmentation|Disease Grading|Localization)")
_IMAGE = re.compile(r"(?P<name>IDRiD_\d+)(?:_(?P<lesion>MA|HE|EX|SE|OD))?")


@dataclass(frozen=True)
class File:
    """An image or a mask.

    Args:
        key: Set, split and name, such as ``B/test/IDRiD_001``: unique.
        path: Relative to the root.
        lesion: MA, HE, EX, SE or OD for a mask; None for an image.
    """

    key: str
    path: str
    lesion: str | None

    @property
    def split(self) -> str:
        """``train`` or ``test``."""
        return self.key.split("/")[1]


def walk_set(root: Path, letter: str) -> list[File]:
    """The images and masks of one set, sorted by key and lesion."""
    files = []
    for path in walk_images(root):
        relative = path.relative_to(root)
        places = (root.name, *relative.parts[:-1])
        held = next((match[1] for place in reversed(places) if (match := _SET.fullmatch(place))), None)
        match = _IMAGE.fullmatch(path.stem)
        split = _split(places)
        if held == letter and match and split is not None:
            files.append(File(f"{letter}/{split}/{match['name']}", relative.as_posix(), match["lesion"]))
    return sorted(files, key=lambda file: (file.key, file.lesion or ""))


def find_sets(root: Path) -> list[str]:
    """Which of the three folders lie here, in the root or as the root."""
    names = [root.name, *(path.name for path in root.iterdir() if path.is_dir())]
    return sorted({name for name in names if _SET.fullmatch(name)})


def read_grades(root: Path) -> tuple[list[tuple[str, int, int]], list[str]]:
    """Key, grade of retinopathy (0 to 4) and risk of macular oedema (0 to 2) of each image, and the problems.

    Raises:
        DataError: No table is there, or a column is missing.
    """
    grades: list[tuple[str, int, int]] = []
    problems: list[str] = []
    for split, table in _tables(root, "IDRiD_Disease Grading_*Labels.csv"):
        columns = [_column(table, name) for name in ("imagename", "retinopathygrade", "riskofmacularedema")]
        for row, cells in enumerate(zip(*columns, strict=True)):
            if not cells[0]:
                continue  # blank rows below the last one
            try:
                grade, risk = int(cells[1]), int(cells[2])
                if not (0 <= grade <= 4 and 0 <= risk <= 2):
                    raise ValueError
            except ValueError:
                problems.append(f"{table.where(row)}: {cells[1:]}; expected a grade of 0 to 4 and a risk of 0 to 2")
                continue
            grades.append((f"B/{split}/{cells[0].removesuffix('.jpg')}", grade, risk))
    return grades, problems


def read_points(root: Path) -> tuple[list[tuple[str, str, float, float, str]], list[str]]:
    """Key, what (``optic disc`` or ``fovea``), x, y and place of each point, and the problems."""
    points: list[tuple[str, str, float, float, str]] = []
    problems: list[str] = []
    for pattern, what in (("IDRiD_OD_Center_*Markups.csv", "optic disc"), ("IDRiD_Fovea_Center_*Markups.csv", "fovea")):
        for split, table in _tables(root, pattern):
            columns = [_column(table, name) for name in ("imageno", "xcoordinate", "ycoordinate")]
            for row, (name, x, y) in enumerate(zip(*columns, strict=True)):
                if not name:
                    continue
                try:
                    points.append(
                        (f"C/{split}/{name.removesuffix('.jpg')}", what, float(x), float(y), table.where(row))
                    )
                except ValueError:
                    problems.append(f"{table.where(row)}: {x!r}, {y!r} are no coordinates; expected pixels")
    return points, problems


def _tables(root: Path, pattern: str) -> list[tuple[str, TextTable]]:
    paths = sorted(path for start in (pattern, f"[ab]. {pattern}") for path in root.rglob(start))
    if not paths:
        raise DataError(f"{root} holds no {pattern} in any folder; expected IDRiD's tables")
    found: dict[str, Path] = {}
    for path in paths:
        split = _split((path.name,))
        if split is not None:
            found.setdefault(split, path)  # a folder that was unpacked into itself holds the same table twice
    return [(split, read_text_table(path)) for split, path in sorted(found.items())]


def _column(table: TextTable, wanted: str) -> list[str]:
    """A column by its letters alone: blanks and dashes of the published headers vary."""
    for name in table.columns:
        if re.sub(r"[^a-z]", "", name.lower()) == wanted:
            return table.column(name)
    raise DataError(f"{table.name} has no column like {wanted!r}; it has {', '.join(filter(None, table.columns))}")


def _split(places: Sequence[str]) -> str | None:
    words = " ".join(places).lower()
    return "train" if "training" in words else "test" if "testing" in words else None
