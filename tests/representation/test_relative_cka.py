from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.representation.cka import centred_grams, cka_matrix
from tailscope.representation.relative_cka import DEGENERATE, ONE_SEED, relative_cka

ARMS = ("control",) * 3 + ("focal",) * 3
SEEDS = (1, 2, 3) * 2


def symmetric(layers: int = 2, runs: int = 6) -> NDArray[np.float64]:
    values = np.random.default_rng(0).uniform(0.2, 0.9, (layers, runs, runs))
    return (values + values.transpose(0, 2, 1)) / 2


def test_only_pairs_of_different_seeds_are_compared() -> None:
    values = symmetric()
    found = relative_cka(values, ARMS, SEEDS, ["a", "b"])
    pairs = [(s, other) for s in range(3) for other in range(3) if s != other]
    for layer in range(2):
        treated = np.mean([values[layer, 3 + s, other] for s, other in pairs])
        reference = np.mean([values[layer, s, other] for s, other in pairs])
        row = found.iloc[layer]
        assert row["treated"] == pytest.approx(treated)
        assert row["reference"] == pytest.approx(reference)
        assert row["difference"] == pytest.approx(treated - reference)
        assert row["pairs"] == 6


def test_the_standard_error_is_the_jackknife_over_seeds() -> None:
    values = symmetric(1)
    difference = values[0, 3:, :3] - values[0, :3, :3]
    left_out = [np.mean([difference[a, b], difference[b, a]]) for a, b in ((1, 2), (0, 2), (0, 1))]
    expected = np.sqrt(2 / 3 * np.sum((left_out - np.mean(left_out)) ** 2))
    assert relative_cka(values, ARMS, SEEDS, ["a"])["se"].item() == pytest.approx(expected)


def test_a_shared_initialisation_does_not_pass_for_similarity() -> None:
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(60, 20)) for _ in range(3)]
    learned, batches = rng.normal(size=(60, 5)), np.arange(60).reshape(3, 20)
    runs = [np.hstack([begin, learned]) for begin in start] + [np.hstack([begin, 0.2 * learned]) for begin in start]
    among = cka_matrix([centred_grams(run, batches) for run in runs]).value
    found = relative_cka(among[None], ARMS, SEEDS, ["a"]).iloc[0]
    assert among[0, 3] > 0.8 > found["reference"] > found["treated"]
    assert found["difference"] < 0


def test_one_seed_gives_no_value_but_a_reason() -> None:
    found = relative_cka(symmetric(1, 2), ["control", "focal"], [1, 1], ["a"]).iloc[0]
    assert np.isnan(found[["treated", "reference", "difference", "se"]].astype(float)).all()
    assert (found["pairs"], found["reason"]) == (0, ONE_SEED)


def test_two_seeds_give_a_value_without_a_standard_error() -> None:
    found = relative_cka(symmetric(1, 4), ["control"] * 2 + ["focal"] * 2, [1, 2, 1, 2], ["a"]).iloc[0]
    assert np.isfinite(found["difference"])
    assert np.isnan(found["se"])


def test_a_degenerate_run_leaves_its_pairs_out_of_both_means() -> None:
    values = symmetric(1)
    values[0, 5] = values[0, :, 5] = np.nan  # (focal, seed 3)
    found = relative_cka(values, ARMS, SEEDS, ["a"]).iloc[0]
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2)]
    assert found["pairs"] == 4
    assert found["reference"] == pytest.approx(np.mean([values[0, s, other] for s, other in pairs]))
    values[0] = np.nan
    assert relative_cka(values, ARMS, SEEDS, ["a"])["reason"].item() == DEGENERATE


def test_seeds_that_only_one_arm_has_take_no_part() -> None:
    values = symmetric(1, 5)
    found = relative_cka(values, ["control"] * 3 + ["focal"] * 2, [1, 2, 3, 3, 1], ["a"]).iloc[0]
    assert found["pairs"] == 2
    assert found["treated"] == pytest.approx((values[0, 4, 2] + values[0, 3, 0]) / 2)
    assert found["reference"] == pytest.approx(values[0, 0, 2])


def test_the_order_of_runs_changes_nothing() -> None:
    values, order = symmetric(), np.array([4, 2, 0, 5, 1, 3])
    arms, seeds = [ARMS[run] for run in order], [SEEDS[run] for run in order]
    shuffled = relative_cka(values[:, order][:, :, order], arms, seeds, ["a", "b"], control="control")
    expected = relative_cka(values, ARMS, SEEDS, ["a", "b"])
    np.testing.assert_allclose(shuffled.iloc[:, 3:8], expected.iloc[:, 3:8], rtol=1e-12)


def test_runs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="R different runs"):
        relative_cka(symmetric(1, 2), ["control", "control"], [1, 1], ["a"])
    with pytest.raises(InputError, match="R different runs"):
        relative_cka(symmetric(1, 2), ["control", "focal"], [1, 1], ["a", "b"])
    with pytest.raises(InputError, match="`control` must be one of"):
        relative_cka(symmetric(1, 2), ["control", "focal"], [1, 1], ["a"], control="none")
