import pytest

from tailscope.report.blocks import Cell, Table
from tailscope.report.claims import Part, anchor, claim, described, enumerated, folded_claims, linked


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a-b", "c"), ("a", "b-c")),
        (("focal γ=2",), ("focal γ=3",)),
        (("a b",), ("a-b",)),
        (("a", ""), ("a",)),
        (("A",), ("a",)),
    ],
)
def test_different_names_have_different_places(one, other):
    assert anchor(*one) != anchor(*other)


def test_a_place_can_stand_in_an_address():
    assert anchor("mass inside", '<b>"x"</b>', "größer").isascii()
    assert not set(anchor("mass inside", '<b>"x"</b>')) & set(' "<>#&')


def test_items_within_the_limit_are_all_named():
    items = [[Part("a", "x")], [Part("b")]]
    assert enumerated(items, 2, Part("more")) == (Part("a", "x"), Part("; "), Part("b"))


def test_a_heading_without_a_sentence_is_left_out():
    folded = folded_claims("all", [("focal", []), ("other", [claim("In all", "1.")])])
    assert [heading for heading, _ in folded.groups] == ["other"]
    assert folded.items == ("In all: 1.",)


def test_a_table_keeps_everything_when_it_gets_places_and_details():
    table = Table("caption.", ("class", "n"), ((Cell("mass"), Cell("3")),), title="t", is_open=False, is_dense=True)
    found = linked(described(table, ["2 %"], "remark."), ["place"])
    assert (found.title, found.is_open, found.is_dense, found.columns) == ("t", False, True, ("class", "n"))
    assert found.caption == "caption. remark."
    assert found.rows == ((Cell("mass", detail="2 %"), Cell("3")),)
    assert found.anchors == ("place",)
