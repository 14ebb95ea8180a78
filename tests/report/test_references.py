import re

import pytest

from tailscope.alignment import METRICS
from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import InputError
from tailscope.data import DATASETS
from tailscope.report import cited_for
from tailscope.report.bibliography import BIBLIOGRAPHY
from tailscope.report.references import Reference, bibtex, marker, numbered
from tailscope.treatments import TREATMENTS

KNOWN = {key: Reference(key, "Fall A", 2000, f"Title of {key}", "Venue") for key in ("one", "two", "three")}


def test_numbers_follow_the_order_of_citation_and_a_second_citation_keeps_its_number():
    texts, references = numbered(["a [@two].", "b [@one; @two], c [@two]"], KNOWN)
    assert texts == ("a [1].", "b [1, 2], c [1]")
    assert [reference.key for reference in references] == ["two", "one"]


def test_what_no_text_cites_is_not_listed():
    assert numbered(["nothing"], KNOWN) == (("nothing",), ())


def test_brackets_that_are_no_marker_stay():
    assert numbered(["[0.1, 0.2] and [a@b]"], KNOWN)[0] == ("[0.1, 0.2] and [a@b]",)


def test_an_unknown_marker_is_refused():
    with pytest.raises(InputError, match="cites `four`, which is no known reference; known: one, two, three"):
        numbered(["[@four]"], KNOWN)


def test_a_marker_names_a_work_once():
    assert marker(("one", "one", "two")) == " [@one; @two]"


def test_bibtex_splits_names_and_keeps_what_has_no_initials():
    entry = Reference("a2000", "van der Maaten LJ; Team; et al.", 2000, "T", "V", "10.1/x", "misc").bibtex
    assert "author = {van der Maaten, L. J. and {Team} and others}" in entry
    assert "howpublished = {V}" in entry
    assert "doi = {10.1/x}" in entry


def test_bibtex_escapes_what_latex_would_read():
    assert r"title = {{50\% of A \& B\_c}}" in Reference("a", "Fall A", 2000, "50% of A & B_c", "V").bibtex


def test_bibtex_of_several_has_an_entry_each():
    assert re.findall(r"@article\{(\w+),", bibtex(list(KNOWN.values()))) == ["one", "two", "three"]


@pytest.mark.parametrize("reference", BIBLIOGRAPHY.values(), ids=BIBLIOGRAPHY)
def test_every_work_of_the_bibliography_is_well_formed(reference):
    assert re.fullmatch(r"[a-z]+\d{4}[a-z]*", reference.key)
    assert str(reference.year) in reference.key
    assert reference.doi == "" or re.fullmatch(r"10\.\d{4,}/\S+", reference.doi)
    assert reference.kind in {"article", "inproceedings", "book", "misc"}
    assert all(part and "," not in part for part in reference.authors.split("; "))
    braces = [sum(reference.bibtex.count(one) for one in side) for side in ("{", "}")]
    assert braces[0] == braces[1]


def test_no_two_works_share_a_doi():
    known = [reference.doi for reference in BIBLIOGRAPHY.values() if reference.doi]
    assert len(set(known)) == len(known)


@pytest.mark.parametrize(
    ("kind", "names"),
    [("treatment", TREATMENTS.names), ("attribution", ATTRIBUTIONS.names), ("source", DATASETS.names)],
)
def test_every_registered_choice_has_words_and_its_sources_are_in_the_bibliography(kind, names):
    told = names() if callable(names) else names
    assert told
    for name in told:
        assert name in cited_for._WORDS[kind], name
        numbered([cited_for.cited(kind, name)], BIBLIOGRAPHY)


def test_sources_of_metrics_are_in_the_bibliography():
    names = METRICS.names() if callable(METRICS.names) else METRICS.names
    for metric in (*names, "auroc", "brier", "ece", "calibration_slope", "net_benefit_at_0.1"):
        numbered([cited_for.cited_metric(metric)], BIBLIOGRAPHY)


def test_net_benefit_has_one_source_at_every_threshold():
    assert cited_for.cited_metric("net_benefit_at_0.05").endswith("[@vickers2006]")
