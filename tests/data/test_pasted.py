from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from tailscope.core import ANNOTATION_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS, DataError, Dataset, InputError, decode_rle
from tailscope.data import DATASETS, DataSettings, prepare
from tailscope.data.pasted import Pasted
from tailscope.data.pasted_plan import PastePlan, plan_pastes
from tailscope.data.pasting import change_density
from tailscope.data.validation import check_dataset

BASE = {"train": 40, "val": 10, "test": 30, "prevalence": {"hernia": 0.2}, "minimum_positives": 2}
TIE = {"pneumothorax": {"artifact": "chest_tube", "strength": 0.9}}
FINDINGS = {"pneumothorax": 0.3, "mass": 0.2}
NIH = Path(__file__).resolve().parents[3] / "shared" / "data" / "nih1000_64px"


def pasted(**changes: Any) -> Dataset:
    settings: Mapping[str, Any] = {"base": "phantom", "base_args": BASE, "findings": FINDINGS, "copies": 2}
    return Pasted(**{**settings, **changes})(None)


def base_pixels() -> dict[str, NDArray[np.uint8]]:
    base = DATASETS.build("phantom", **BASE)(None)
    return {name: base.read_pixels(row) for row, name in enumerate(base.images["image_id"])}


def has(table: Any, data: Dataset, name: str) -> NDArray[np.bool_]:
    return data.images["image_id"].isin(table.loc[table["class"] == name, "image_id"]).to_numpy()


def union(data: Dataset, image_id: str) -> NDArray[np.bool_]:
    shapes = [table[table["image_id"] == image_id]["geometry"] for table in (data.annotations, data.extra_masks)]
    masks = [decode_rle(json.loads(geometry)) for one in shapes for geometry in one]
    return np.any(masks, axis=0) if masks else np.zeros((64, 64), dtype=bool)


@pytest.fixture(scope="module")
def tied() -> Dataset:
    return pasted(shortcuts=TIE)


def test_the_registry_builds_it_by_name() -> None:
    assert DATASETS.build("pasted", base="phantom", base_args=BASE) == Pasted(base="phantom", base_args=BASE)


def test_its_tables_have_the_columns_of_every_source_and_pass_the_checks(tied: Dataset) -> None:
    check_dataset(tied)
    assert tuple(tied.images.columns) == IMAGE_COLUMNS
    assert tuple(tied.labels.columns) == LABEL_COLUMNS
    assert tuple(tied.annotations.columns) == ANNOTATION_COLUMNS
    assert tuple(tied.extra_masks.columns) == ANNOTATION_COLUMNS


def test_labels_are_the_pasted_classes_alone_and_each_positive_is_outlined(tied: Dataset) -> None:
    positive = tied.labels[tied.labels["state"] == "positive"]
    assert tied.classes == tuple(FINDINGS) == tuple(tied.labels["class"].unique())
    assert set(zip(positive["image_id"], positive["class"], strict=True)) == set(
        zip(tied.annotations["image_id"], tied.annotations["class"], strict=True)
    )


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_counts_of_a_split_are_exact(tied: Dataset, split: str) -> None:
    here = (tied.images["split"] == split).to_numpy()
    size = int(here.sum())
    lung, tube = has(tied.annotations, tied, "pneumothorax")[here], has(tied.extra_masks, tied, "chest_tube")[here]
    assert int(has(tied.annotations, tied, "mass")[here].sum()) == round(0.2 * size)
    assert lung.sum() == round(0.3 * size)
    among_positives, among_negatives = (0.08, 0.08) if split == "test" else (0.9, 0.1 * 0.08)
    assert tube[lung].sum() == round(among_positives * lung.sum())
    assert tube[~lung].sum() == round(among_negatives * (~lung).sum())


def test_a_tie_holds_in_test_where_it_is_asked_for() -> None:
    data = pasted(shortcuts=TIE, test_shortcuts="tied")
    here = (data.images["split"] == "test").to_numpy()
    lung, tube = has(data.annotations, data, "pneumothorax"), has(data.extra_masks, data, "chest_tube")
    assert tube[here & lung].sum() == round(0.9 * (here & lung).sum())


def test_a_tie_moves_only_its_artifact(tied: Dataset) -> None:
    free = pasted()
    for artifact in ("laterality_marker", "ecg_lead"):
        np.testing.assert_array_equal(has(tied.extra_masks, tied, artifact), has(free.extra_masks, free, artifact))
    assert tied.annotations.equals(free.annotations)


def test_patients_are_those_of_the_base_and_stand_in_one_split_with_all_copies(tied: Dataset) -> None:
    base = DATASETS.build("phantom", **BASE)(None).images.set_index("image_id")
    real = tied.images["image_id"].str.rsplit("#", n=1).str[0]
    assert tied.images["patient_id"].tolist() == base.loc[real, "patient_id"].tolist()
    assert tied.images.groupby("patient_id")["split"].nunique().max() == 1
    assert set(tied.images["split"]) == {"train", "val", "test"}


def test_pixels_change_in_and_near_the_masks_and_nowhere_else(tied: Dataset) -> None:
    real = base_pixels()
    changed = 0
    for row, name in enumerate(tied.images["image_id"][:60]):
        differs = tied.read_pixels(row) != real[name.rsplit("#", 1)[0]]
        # Soft borders reach beyond the outline, which stands at a quarter of the profile's peak.
        assert not (differs & ~binary_dilation(union(tied, name), iterations=6)).any()
        changed += int(differs.any())
    assert changed > 30


def test_an_image_without_a_paste_is_the_real_one_and_its_copies_are_known_as_duplicates(tied: Dataset) -> None:
    plain = [row for row, name in enumerate(tied.images["image_id"]) if not union(tied, name).any()]
    real, content = base_pixels(), tied.content()
    other = pasted(shortcuts=TIE, seed=1)
    for row in plain[:5]:
        name = tied.images["image_id"][row]
        np.testing.assert_array_equal(tied.read_pixels(row), real[name.rsplit("#", 1)[0]])
        twin = other.images.index[other.images["image_id"] == name][0]
        assert union(other, name).any() or other.content()[twin] == content[row]


@pytest.mark.parametrize("change", [{"subtlety": 0.9}, {"contrast": 2.0}, {"seed": 7}, {"size": 65}])
def test_the_content_of_a_pasted_image_follows_each_setting(tied: Dataset, change: dict[str, Any]) -> None:
    other = pasted(shortcuts=TIE, **change)
    rows = [row for row, name in enumerate(tied.images["image_id"]) if union(tied, name).any() or "size" in change]
    before, after = tied.content(), other.content()
    assert rows
    assert not any(before[row] == after[row] for row in rows)


def test_the_content_follows_the_real_image(tied: Dataset) -> None:
    other = pasted(shortcuts=TIE, base_args={**BASE, "subtlety": 0.1})
    assert not set(tied.content()) & set(other.content())


def test_a_paste_does_not_depend_on_which_other_images_there_are() -> None:
    fewer = {**BASE, "test": 12}  # the last images of the base are gone; those that stay have their names and pixels
    many, few = pasted(), pasted(base_args=fewer)
    same = sorted(set(many.images["image_id"]) & set(few.images["image_id"]))
    split = {name: data.images.set_index("image_id")["split"] for name, data in (("many", many), ("few", few))}
    assert split["many"][same].tolist() == split["few"][same].tolist()
    shapes = [
        {(row["image_id"], row["class"]): row["geometry"] for _, row in data.annotations.iterrows()}
        for data in (many, few)
    ]
    both = set(shapes[0]) & set(shapes[1])
    assert len(both) > 20
    assert all(shapes[0][address] == shapes[1][address] for address in both)


def test_the_order_of_the_files_changes_nothing() -> None:
    ids, patients = [f"{number}.png" for number in range(40)], [f"p{number // 2}" for number in range(40)]
    plan = PastePlan(0, FINDINGS, 0.4, 0.2, 2)
    forward, backward = plan_pastes(plan, ids, patients), plan_pastes(plan, ids[::-1], patients[::-1])
    assert forward.drop(columns="base").equals(backward.drop(columns="base"))
    assert [ids[row] for row in forward["base"]] == [ids[::-1][row] for row in backward["base"]]


def test_more_contrast_changes_more(tied: Dataset) -> None:
    strong = pasted(shortcuts=TIE, contrast=2.0)
    real = base_pixels()
    total = [0.0, 0.0]
    for row, name in enumerate(tied.images["image_id"][:40]):
        film = real[name.rsplit("#", 1)[0]].astype(int)
        for at, data in enumerate((tied, strong)):
            total[at] += np.abs(data.read_pixels(row) - film).sum()
    assert 1.3 * total[0] < total[1] < 2.0 * total[0]


def test_density_is_added_on_the_tone_curve_of_the_film() -> None:
    film = np.array([[100.0]])
    density = -np.log(1 - ((film - 6) / 270) ** 0.8) / 1.55  # backwards through 6 + 270 (1 − e^(−1.55 d))^1.25
    again = 6 + 270 * (1 - np.exp(-1.55 * (density + 0.3))) ** 1.25
    assert change_density(film.astype(np.uint8), np.array([[0.3]], np.float32)).item() == round(again.item())


def test_no_change_is_no_change_at_any_grey_value() -> None:
    film = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(change_density(film, np.zeros((1, 256), np.float32)), film)


def test_a_change_moves_every_grey_value_its_own_way_within_eight_bits() -> None:
    film = np.arange(256, dtype=np.uint8)[None]
    denser, lighter = (change_density(film, np.full((1, 256), amount, np.float32)) for amount in (0.2, -0.2))
    assert (denser >= film).all()
    assert (lighter <= film).all()
    assert (np.diff(denser.astype(int)) >= 0).all()
    assert denser.max() == 255
    assert lighter[0, :6].tolist() == list(range(6))  # nothing is darker than no density at all


def test_an_experiment_keeps_its_split_and_finds_no_leak(tied: Dataset, tmp_path: Path) -> None:
    data = prepare(tied, DataSettings(image_size=(64, 64)), tmp_path)
    assert data.split.tolist() == tied.images["split"].tolist()
    assert "chest_tube" in data.attributes
    assert len(data.annotated) == int((tied.labels["state"] == "positive").sum())


def test_a_colour_source_of_another_shape_becomes_square_and_grey(csv_folder: Any) -> None:
    root = csv_folder()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 30, 3), dtype=np.uint8)).save(root / "images/00.png")
    data = Pasted(base="csv", base_args={"patient_column": "patient"}, findings={"mass": 0.3})(root)
    assert {data.read_pixels(row).shape for row in range(5)} == {(64, 64)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"findings": {"masss": 0.1}}, "`findings` names the unknown class 'masss'; did you mean 'mass'"),
        ({"findings": {"mass": 1.2}}, "`findings` of mass must lie between 0 and 1; got 1.2"),
        ({"findings": {}}, "`findings` is empty"),
        ({"shortcuts": {"nodule": {"artifact": "chest_tube", "strength": 1}}}, "unknown class 'nodule'"),
        ({"shortcuts": {"mass": {"artifact": "tube", "strength": 1}}}, "no artifact 'tube'"),
        ({"test_shortcuts": "loose"}, "`test_shortcuts` must be free or tied; got 'loose'"),
        ({"size": 32}, "`size` must be a whole number from 64 to 512 pixels; got 32"),
        ({"subtlety": 2}, "`subtlety` must be from 0"),
        ({"contrast": 0}, "`contrast` must be above 0, and 10 at most; got 0"),
        ({"copies": 0}, "`copies` must be a whole number, 1 or more; got 0"),
        ({"test": 0.9, "val": 0.2}, "must be above 0 and leave a part for training"),
        ({"base": "pasted"}, "`base` must be a source of images without pastes"),
        ({"base": "nih14"}, "no dataset is named 'nih14'"),
        ({"base_args": {"trian": 5}}, "has no setting 'trian'; did you mean 'train'"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_remedy(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pasted(**{"base": "phantom", **settings})


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(InputError, match=r"(?s)masss.*copies.*size"):
        Pasted(findings={"masss": 0.1}, copies=0, size=10)


def test_too_few_images_are_refused_for_every_split_at_once() -> None:
    with pytest.raises(DataError, match=r"(?s)train split.*val split"):
        pasted(
            base_args={**BASE, "train": 3, "val": 3, "test": 3, "minimum_positives": 1}, test=0.9, val=0.05, copies=1
        )


@pytest.mark.needs_data
@pytest.mark.skipif(not NIH.is_dir(), reason=f"{NIH.name} is not in ../shared/data")
def test_it_pastes_into_real_radiographs() -> None:
    data = DATASETS.build("pasted", shortcuts=TIE)(NIH)
    check_dataset(data)
    rows = np.flatnonzero(has(data.annotations, data, "mass"))[:8]
    base = DATASETS.build("nih_chestxray14")(NIH)
    real = dict(zip(base.images["image_id"], range(len(base.images)), strict=True))
    brighter = []
    for row in rows.tolist():
        name = data.images["image_id"][row]
        mass = data.annotations[(data.annotations["image_id"] == name) & (data.annotations["class"] == "mass")]
        mask = decode_rle(json.loads(mass["geometry"].iloc[0]))
        film = base.read_pixels(real[name.rsplit("#", 1)[0]]).astype(int)
        brighter.append((data.read_pixels(row) - film)[mask].mean())
    assert min(brighter) > 0
    assert 5 < np.mean(brighter) < 120
