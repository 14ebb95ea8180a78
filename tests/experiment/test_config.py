from __future__ import annotations

import pytest
import yaml
from experiment_content import small_content

from tailscope.core import ConfigurationError
from tailscope.experiment import load_config, schema, validate_config


def problems(content) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        validate_config(content)
    return list(caught.value.problems)


def test_all_mistakes_are_reported_at_once():
    content = small_content(
        treatments=["control", "focla", {"name": "focal", "gama": 2.0}],
        training={"epoch": 3, "batch_size": "many"},
        seeds=[],
    )
    found = problems(content)
    assert len(found) == 5
    text = "\n".join(found)
    assert "no treatment is named 'focla'; did you mean 'focal'?" in text
    assert "treatment 'focal' has no setting 'gama'; did you mean 'gamma'?" in text
    assert "`training.epoch` is no setting; did you mean 'epochs'?" in text
    assert "`training.batch_size`" in text
    assert "`seeds`" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"treatments": ["focal"]}, "`compare.control` is 'control', which is no trained arm; arms: focal"),
        ({"treatments": ["control", "control"]}, "`treatments` holds 'control' twice"),
        ({"seeds": [0, 0]}, "`seeds` holds 0 twice"),
        ({"seeds": [-1]}, "`seeds` must be 0 or more; got -1"),
        ({"model": {"source": "tim", "name": "resnet18"}}, "no model is named 'tim'; did you mean 'timm'?"),
        ({"data": {"source": "fantom"}}, "no dataset is named 'fantom'; did you mean 'phantom'?"),
        ({"data": {"source": "phantom", "args": {"sise": 64}}}, "dataset 'phantom' has no setting 'sise'"),
        (
            {"data": {"source": "phantom", "imagesize": 64}},
            "`data.imagesize` is no setting; did you mean 'image_size'?",
        ),
        (
            {"data": {"source": "phantom", "split": {"tst": 0.2}}},
            "`data.split.tst` is no setting; did you mean 'test'?",
        ),
        ({"lenses": {"alignment": {"metrics": ["pointing"]}}}, "no metric is named 'pointing'"),
        ({"lenses": {"alignment": {"attributions": ["gradcan"]}}}, "did you mean 'gradcam'?"),
        ({"compare": {"resamples": 5}}, "`compare.resamples`"),
        ({"name": "../x"}, "`name`"),
        (
            {"treatments": ["control", {"name": "focal", "label": "a b"}, {"name": "focal", "label": "a-b"}]},
            "arms 'a b' and 'a-b' would share the folder name 'a-b'",
        ),
        ({"compare": {"lens_margin": 0}}, "`compare.lens_margin`"),
        ({"lenses": {"alignment": {"attributions": ["gradcam", "gradcam"]}}}, "`attributions` holds 'gradcam' twice"),
        ({"lenses": {"alignment": {"metrics": []}}}, "`metrics` is empty; name at least one"),
        ({"lenses": {"alignment": {"metrics": [{"name": "iou", "variant": "as_published"}]}}}, "reads maps that are"),
        ({"training": {"augment": {"rotation": 3}}}, "`training.augment.rotation` is no setting"),
    ],
)
def test_a_mistake_is_named_with_its_place(changes, message):
    assert message in "\n".join(problems(small_content(**changes)))


def test_a_list_of_wrong_members_is_not_called_short_as_well():
    assert len(problems(small_content(treatments=["focla"]))) == 1


def test_missing_sections_are_named():
    assert problems({"name": "x"})[:1] == ["`data` is missing; state it"]


def test_an_arm_is_named_by_its_settings_or_its_label():
    config = validate_config(
        small_content(treatments=["control", {"name": "focal", "gamma": 1.0}, {"name": "focal", "label": "mine"}])
    )
    assert config.arms == ("control", "focal (gamma=1.0)", "mine")


def test_control_comes_first_wherever_it_stands():
    assert validate_config(small_content(treatments=["focal", "control"])).arms == ("control", "focal")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "experiment.yaml"
    content = small_content()
    content["data"]["root"] = "images"
    path.write_text(yaml.safe_dump(content))
    return path


def test_paths_are_relative_to_the_file(file):
    assert load_config(file).data.root == file.parent / "images"


def test_overrides_are_applied_before_validation(file):
    config = load_config(file, ("training.epochs=7", "seeds=[3, 4]", "treatments=[control]"))
    assert (config.training.epochs, config.seeds, config.arms) == (7, (3, 4), ("control",))


def test_a_path_on_the_command_line_is_relative_to_the_working_directory(file, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert load_config(file, ("data.root=mine",)).data.root == tmp_path / "here" / "mine"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "expected key.key=value"),
        ("name.x=1", "`name` holds no keys of its own"),
        ("training.epoch=1", "did you mean 'epochs'"),
    ],
)
def test_a_wrong_override_is_refused(file, override, message):
    with pytest.raises(ConfigurationError, match=message):
        load_config(file, (override,))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is not YAML"), ("- 1", "must hold keys such as `data` and `model`; got list"), ("", "got NoneType")],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_config(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="is no file; give the path of an experiment's YAML file"):
        load_config(tmp_path / "none.yaml")


def test_the_loader_builds_no_python_objects(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigurationError, match="is not YAML"):
        load_config(path)


def test_the_schema_describes_every_section():
    assert set(schema()["properties"]) >= {
        "name",
        "data",
        "model",
        "treatments",
        "seeds",
        "training",
        "lenses",
        "compare",
    }


@pytest.mark.parametrize("value", ["maybe", {"effusion": "maybe"}])
def test_a_wrong_policy_for_uncertain_labels_is_one_problem_with_the_choices(value):
    content = small_content()
    content["data"]["uncertain"] = value
    with pytest.raises(ConfigurationError, match=r"`uncertain` must be one of .*got 'maybe'") as caught:
        validate_config(content)
    assert "literal" not in str(caught.value)
