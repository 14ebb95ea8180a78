"""``tailscope treatments list`` and ``tailscope treatments audit``."""

from __future__ import annotations

import json

from tailscope.treatments import TREATMENTS


def test_the_list_names_every_treatment_with_its_settings(invoke):
    result = invoke("treatments", "list")

    assert result.exit_code == 0
    for name in TREATMENTS.names():
        assert name in result.output
    assert "gamma_pos" in result.output


def test_the_audit_shows_draws_and_verdicts_and_trains_nothing(invoke, tiny):
    tiny.configure(treatments=["control", "weighted_sampling"])

    result = invoke("treatments", "audit", tiny.configuration, "--out", tiny.out)

    assert result.exit_code == 0
    for words in ("control: ok", "weighted_sampling: positive images among the images", "Nothing was trained."):
        assert words in result.output
    assert not (tiny.out / "runs").exists()


def test_the_whole_audit_goes_into_a_file_on_request(invoke, tiny):
    result = invoke("treatments", "audit", tiny.configuration, "--out", tiny.out, "--json", tiny.root / "audit.json")

    content = json.loads((tiny.root / "audit.json").read_text())
    assert result.exit_code == 0
    assert content["control"]["verdict"] == "ok"
    assert content["control"]["limit"]["holds"] is True


def test_the_published_sampler_is_told_to_draw_as_many_images_as_there_are_classes(invoke, tiny):
    tiny.configure(treatments=["control", {"name": "weighted_sampling", "variant": "as_published"}])

    result = invoke("treatments", "audit", tiny.configuration, "--out", tiny.out)

    assert "have draw weight 0: they are never seen" in " ".join(result.output.split())
    assert result.exit_code == 0  # its defects were asked for by name


def test_what_a_run_would_refuse_is_refused(invoke, tiny):
    tiny.configure(treatments=["control", {"name": "group_balanced_sampling", "column": "scanner"}])

    result = invoke("treatments", "audit", tiny.configuration, "--out", tiny.out)

    assert result.exit_code == 2
    assert "arm 'group_balanced_sampling (column=scanner)': the images have no column 'scanner'" in result.output


def test_a_contradiction_is_refused_when_the_file_is_read(invoke, tiny):
    pair = {"name": "combined", "loss": "logit_adjusted", "sampler": "weighted_sampling"}
    tiny.configure(treatments=["control", pair])

    result = invoke("treatments", "audit", tiny.configuration)

    assert result.exit_code == 2
    assert "logit_adjusted does not go with weighted_sampling: it corrects for the prevalences" in result.output
