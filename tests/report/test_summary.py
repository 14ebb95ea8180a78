import pytest

from tailscope.report.summary import VERDICT_KINDS, tally, verdict_kind, why_not_compared


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("better", "different"),
        ("lower", "different"),
        ("differs, within the margin", "within"),
        ("equivalent", "equivalent"),
        ("candidate: better", "candidate"),
        ("undecided", "undecided"),
        ("undecided (3 positive patients)", "undecided"),
        ("identical by construction", "identical"),
        ("", "none"),
        (None, "none"),
    ],
)
def test_every_verdict_has_its_kind(verdict, kind):
    assert verdict_kind(verdict) == kind
    assert kind in VERDICT_KINDS


def test_equivalent_and_undecided_are_never_added_up():
    verdicts = ("equivalent", "equivalent", "undecided", "undecided (4 positive patients)", "better", "")
    said = tally([{"verdict": verdict} for verdict in verdicts])
    assert said == ("6 comparisons by class, 1 is better, 2 are equivalent, 2 stay undecided and 1 has no verdict")


@pytest.mark.parametrize(
    ("arms", "seeds", "words"),
    [
        (("control",), (0, 1, 2), "there is only one arm"),
        (("control", "focal"), (0,), "one seed per arm cannot separate a treatment from seed noise"),
        (("control", "focal"), (0, 1), "two seeds give candidates, not verdicts"),
    ],
)
def test_why_there_can_be_no_verdict_is_said(arms, seeds, words):
    assert words in why_not_compared(arms, seeds)
