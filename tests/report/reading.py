"""Read a page as a reader would: by section, by table."""

import html as escapes
import re
from html.parser import HTMLParser


class _Tables(HTMLParser):
    """Every table as rows of cell texts, its head first."""

    def __init__(self):
        super().__init__()
        self.tables, self.in_cell = [], False

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.in_cell = False

    def handle_data(self, data):
        if self.in_cell:
            self.tables[-1][-1][-1] += data


def section(page, name):
    """The HTML of one section."""
    return re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL).group(1)


def tables(html):
    """Tables as lists of rows, the head first."""
    parser = _Tables()
    parser.feed(html)
    return parser.tables


def table(html, *columns):
    """The only table that has these columns, as a dictionary per row."""
    (found,) = [rows for rows in tables(html) if set(columns) <= set(rows[0])]
    return [dict(zip(found[0], row, strict=True)) for row in found[1:]]


def words(html):
    """All text, in one line."""
    text = re.sub(r"<[^>]*>", "", re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL))
    return " ".join(escapes.unescape(text).split())


def titled(html, title):
    """The table that folds under a title, as a dictionary per row; notes and pictures are left out."""
    (found,) = [one for name, one in folded(html) if name == title]
    (rows,) = tables(re.sub(r"<(svg|sup).*?</\1>", "", found, flags=re.DOTALL))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def folded(html):
    """What folds, each as its title and its table, if it has one."""
    parts = re.split(r"<details[^>]*><summary>", html)[1:]
    found = (part.split("</summary>", 1) for part in parts)
    return [(escapes.unescape(name), body.split("</details>")[0]) for name, body in found]
