"""Read blocks as a reader would, before they are put on a page."""


def told(blocks):
    """All paragraphs, list items and captions, in one line."""
    parts = []
    for block in blocks:
        if block.kind == "paragraph":
            parts.append(block.text)
        elif block.kind == "listing":
            parts += block.items
        else:
            parts.append(block.caption)
    return " ".join(parts)


def lines(blocks, title):
    """The only table of this title: a dictionary of cells per row."""
    (table,) = [block for block in blocks if block.kind == "table" and block.title == title]
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def texts(row):
    """The printed texts of a row of cells, with their smaller part."""
    return {name: " ".join(filter(None, (cell.text, cell.detail))) for name, cell in row.items()}


def notes(blocks, title):
    """The reasons below a table."""
    (table,) = [block for block in blocks if block.kind == "table" and block.title == title]
    return [reason for _, reason in table.notes]


def picture(blocks):
    """The only figure's picture."""
    (figure,) = [block for block in blocks if block.kind == "figure"]
    return figure.picture


def is_static(drawn):
    """Whether a chart needs no script, no network and no name that another chart could take."""
    return not any(part in drawn for part in ("<script", "http", " id=", "url("))
