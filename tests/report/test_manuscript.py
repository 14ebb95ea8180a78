import re

from block_reading import told
from methods_content import content
from page_content import EMPTY

from tailscope.report.limitations import limitations
from tailscope.report.manuscript import manuscript_section, plain_text
from tailscope.report.methods_text import methods_text


def listing(section, title):
    (block,) = [block for block in section.blocks if getattr(block, "title", "") == title]
    return block.items


def test_paragraphs_limitations_and_references_stand_open_on_the_page():
    one = content()
    section = manuscript_section(one)
    methods = methods_text(one)
    assert section.name == "methods"
    assert [block.text for block in section.blocks if block.kind == "paragraph"][1:] == list(methods.paragraphs)
    assert listing(section, "Limitations") == limitations(one)
    assert listing(section, "References")[0] == f"[1] {methods.references[0].text}"


def test_the_text_to_copy_holds_all_of_it():
    section = manuscript_section(content())
    (text,) = listing(section, "All of it as plain text, to copy")
    for item in (*methods_text(content()).paragraphs, *limitations(content()), *listing(section, "References")):
        assert item in text


def test_bibtex_has_the_cited_works_and_no_other():
    section = manuscript_section(content())
    (text,) = listing(section, "References as BibTeX")
    keys = re.findall(r"^@\w+\{(\w+),$", text, flags=re.MULTILINE)
    assert keys == [reference.key for reference in methods_text(content()).references]


def test_checklists_fold_and_say_where_they_come_from():
    section = manuscript_section(content())
    titles = [block.title for block in section.blocks if block.kind == "table"]
    assert titles == ["What was not estimable", "Checklist: CLAIM", "Checklist: TRIPOD+AI"]
    assert "10.1148/ryai.240300" in told(section.blocks)
    assert "10.1136/bmj-2023-078378" in told(section.blocks)


def test_equal_contents_give_equal_text():
    assert manuscript_section(content()) == manuscript_section(content())


def test_empty_content_makes_a_chapter_without_references():
    section = manuscript_section(EMPTY)
    (text,) = listing(section, "All of it as plain text, to copy")
    assert "References" not in text
    assert not [block for block in section.blocks if "References" in getattr(block, "title", "")]
    assert plain_text(methods_text(EMPTY), ()).startswith("Methods\n\nSoftware")
