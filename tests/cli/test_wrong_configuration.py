"""A wrong configuration is refused with every problem in it, in plain words."""

from __future__ import annotations

import pytest


@pytest.fixture
def refusal(invoke, tiny):
    def run(*more):
        result = invoke("run", tiny.configuration, "--out", tiny.out, *more)
        assert result.exit_code == 2, result.output
        assert not tiny.out.exists()
        return result.stderr

    return run


def test_all_five_mistakes_are_reported(tiny, refusal):
    tiny.configure(
        name="a b",
        treatments=["control", "focla"],
        seeds=[],
        data={"image_sise": 32},
        training={"epochs": 0},
    )
    said = refusal()
    assert "5 problems in the configuration:" in said
    assert "`name`: expected letters, digits, dot, dash and underscore" in said
    assert "`treatments.1`: no treatment is named 'focla'; did you mean 'focal'?" in said
    assert "`seeds`: expected one at least; got []" in said
    assert "`data.image_sise` is no setting; did you mean 'image_size'?" in said
    assert "`training`: `epochs` must be 1 or more; got 0" in said


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"treatments": ["control", "focla"]}, "no treatment is named 'focla'; did you mean 'focal'? Known: asymm"),
        (
            {"treatments": ["control", {"name": "focal", "gama": 2}]},
            "treatment 'focal' has no setting 'gama'; did you mean 'gamma'?",
        ),
        ({"training": {"epoch": 3}}, "`training.epoch` is no setting; did you mean 'epochs'?"),
        ({"trainings": {}}, "`trainings` is no setting; did you mean 'training'?"),
        ({"model": {"pretrain": True}}, "model 'timm' has no setting 'pretrain'; did you mean 'pretrained'?"),
        ({"data": {"source": "csvv"}}, "no dataset is named 'csvv'; did you mean 'csv'?"),
        ({"data": {"args": {"label": "x"}}}, "dataset 'csv' has no setting 'label'; did you mean 'labels'?"),
        ({"data": {"args": {"labels": 3}}}, "`labels` must be text, such as a file name; got 3"),
        ({"data": {"args": {"classes": "mass"}}}, "`classes` must be a list of columns, such as [mass]; got 'mass'"),
        ({"data": None}, "`data`: expected keys of its own, such as `key: value`; got None"),
        ({"data": {"image_size": "big"}}, "`data.image_size`: expected a list such as [a, b]; got 'big'"),
        (
            {"compare": {"control": "ctrl"}},
            "Error: `compare.control` is 'ctrl', which is no trained arm; arms: control",
        ),
        ({"lenses": {"saliency": {}}}, "`lenses.saliency` is no setting. Known: performance, alignment, dissection"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_a_remedy(tiny, refusal, sections, message):
    tiny.configure(**sections)
    assert message in refusal()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "--set 'training.epochs': expected key.key=value, e.g. training.epochs=2"),
        ("training.epoch=2", "`training.epoch` is no setting; did you mean 'epochs'?"),
        ("training.epochs=[1", "'[1' is not YAML; put quotes around it"),
        ("name.first=x", "`name` holds no keys of its own; set it as a whole"),
    ],
)
def test_a_wrong_override_is_refused(refusal, override, message):
    assert message in refusal("--set", override)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "tiny.yaml is not YAML"),
        ("- 1", "must hold keys such as `data` and `model`; got list"),
        ("name: x", "3 problems in the configuration:\n  1. `data` is missing; state it"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tiny, refusal, text, message):
    tiny.configuration.write_text(text)
    assert message in refusal()


def test_a_missing_file_is_refused(invoke):
    result = invoke("run", "nowhere.yaml")
    assert result.exit_code == 2
    assert "nowhere.yaml is no file; give the path of an experiment's YAML file" in result.stderr
