"""A checklist for the manuscript: items of CLAIM and TRIPOD+AI, what the artifacts answer, what the authors must.

Source: Tejani et al. 2024 (CLAIM, update of 2024, items 1 to 44); Collins et al. 2024 (TRIPOD+AI, items 1 to 27). The
topics are named in our own words; the guidelines themselves say what each item asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tailscope.report.blocks import Cell, Table
from tailscope.report.checklist_answers import answers
from tailscope.report.content import ReportContent

Status = Literal["answered", "in part", "authors"]
CLAIM, TRIPOD = "CLAIM", "TRIPOD+AI"
_WORDS: dict[Status, str] = {
    "answered": "answered",
    "in part": "in part: authors complete it",
    "authors": "authors answer it",
}


@dataclass(frozen=True)
class Item:
    """One item of a guideline.

    Args:
        guideline: CLAIM or TRIPOD+AI.
        number: The item's.
        topic: What it asks, in short.
        answer: From the artifacts; empty where they have none.
        status: Who answers it.
    """

    guideline: str
    number: str
    topic: str
    answer: str
    status: Status


_Row = tuple[str, str, tuple[str, ...], bool]

# number, topic, questions of `answers` that answer it, whether they answer it in full
_CLAIM: tuple[_Row, ...] = (
    ("1", "Title names the AI method", (), False),
    ("2", "Structured abstract", (), False),
    ("3", "Background, intended use", (), False),
    ("4", "Aims and hypotheses", (), False),
    ("5", "Prospective or retrospective", (), False),
    ("6", "Goal of the study", (), False),
    ("7", "Source of the data", ("source",), False),
    ("8", "Inclusion and exclusion of patients", (), False),
    ("9", "Preprocessing", ("preprocessing",), True),
    ("10", "Subsets of the data", ("numbers",), False),
    ("11", "De-identification", (), False),
    ("12", "Missing data", ("labels",), False),
    ("13", "Acquisition of the images", (), False),
    ("14", "Definition of the reference standard", ("labels",), False),
    ("15", "Reason for this reference standard", (), False),
    ("16", "Who annotated", (), False),
    ("17", "Annotation of the test set", ("annotations",), False),
    ("18", "Variability between and within raters", (), False),
    ("19", "Assignment to partitions", ("partition",), True),
    ("20", "Level at which partitions are disjoint", ("disjoint",), True),
    ("21", "Sample size", ("power",), False),
    ("22", "Model in detail", ("model",), True),
    ("23", "Software", ("software",), True),
    ("24", "Initial parameters", ("initial",), True),
    ("25", "Training", ("training", "tuning"), True),
    ("26", "Selection of the final model", ("selection",), True),
    ("27", "Ensembles", ("ensembles",), True),
    ("28", "Metrics", ("metrics",), True),
    ("29", "Significance and uncertainty", ("uncertainty",), True),
    ("30", "Robustness", ("robustness",), False),
    ("31", "Explainability", ("explanation",), True),
    ("32", "Evaluation on internal data", ("internal",), True),
    ("33", "Testing on external data", ("external",), False),
    ("34", "Registration of a trial", (), False),
    ("35", "Patients or examinations included", ("numbers",), False),
    ("36", "Characteristics of patients by partition", (), False),
    ("37", "Performance with uncertainty", ("performance", "uncertainty"), True),
    ("38", "Diagnostic performance and its precision", ("performance",), True),
    ("39", "Analysis of failures", ("failures",), False),
    ("40", "Limitations", ("limits",), False),
    ("41", "Implications for practice", (), False),
    ("42", "Protocol", ("plan",), False),
    ("43", "Availability of software, model and data", ("configuration",), False),
    ("44", "Funding", (), False),
)
_TRIPOD: tuple[_Row, ...] = (
    ("1", "Title", (), False),
    ("2", "Abstract", (), False),
    ("3a", "Context and rationale", (), False),
    ("3b", "Target population and users", (), False),
    ("3c", "Known health inequalities", (), False),
    ("4", "Objectives", (), False),
    ("5a", "Source of the data", ("source",), False),
    ("5b", "Dates of the data", (), False),
    ("6a", "Setting", (), False),
    ("6b", "Eligibility", (), False),
    ("6c", "Treatments received", (), False),
    ("7", "Preparation of the data", ("preprocessing", "labels"), False),
    ("8a", "Outcome and how it was assessed", ("labels",), False),
    ("8b", "Who assessed the outcome", (), False),
    ("8c", "Blinding of the assessment", (), False),
    ("9a", "Choice of predictors", (), False),
    ("9b", "Definition of predictors", ("preprocessing",), False),
    ("9c", "Who interpreted predictors", (), False),
    ("10", "Sample size", ("power",), False),
    ("11", "Missing data", ("labels",), False),
    ("12a", "Use of the data for development and evaluation", ("partition", "numbers"), True),
    ("12b", "Handling of predictors", ("preprocessing",), True),
    ("12c", "Model, its building and its tuning", ("model", "training", "tuning", "selection"), True),
    ("12d", "Heterogeneity between clusters", (), False),
    ("12e", "Measures of performance", ("metrics", "uncertainty"), True),
    ("12f", "Updating of the model", (), False),
    ("12g", "How predictions were calculated", ("configuration",), False),
    ("13", "Class imbalance", ("imbalance",), True),
    ("14", "Fairness", ("subgroups",), False),
    ("15", "Output of the model", ("output",), True),
    ("16", "Differences between training and evaluation data", ("external",), False),
    ("17", "Ethical approval", (), False),
    ("18a", "Funding", (), False),
    ("18b", "Conflicts of interest", (), False),
    ("18c", "Protocol", ("plan",), False),
    ("18d", "Registration", (), False),
    ("18e", "Data sharing", (), False),
    ("18f", "Code sharing", ("software", "configuration"), False),
    ("19", "Involvement of patients and the public", (), False),
    ("20a", "Flow of participants", ("numbers",), False),
    ("20b", "Characteristics of participants", (), False),
    ("20c", "Comparison of development and evaluation data", ("events",), False),
    ("21", "Participants and events of each analysis", ("events",), True),
    ("22", "Full model", ("configuration",), False),
    ("23a", "Performance with intervals", ("performance", "calibration", "subgroups", "uncertainty"), False),
    ("23b", "Heterogeneity of performance", (), False),
    ("24", "Results of updating", (), False),
    ("25", "Interpretation", (), False),
    ("26", "Limitations", ("limits",), False),
    ("27a", "Poor or missing input in use", (), False),
    ("27b", "Interaction and expertise needed in use", (), False),
    ("27c", "Next steps", (), False),
)


def checklist(content: ReportContent) -> tuple[Item, ...]:
    """Every item of both guidelines, with what the artifacts answer.

    Example:
        >>> items = checklist(ReportContent("demo", "", "0.1.0", ("control",), (0,)))
        >>> next((item.status, item.answer) for item in items if item.topic == "Software")
        ('answered', 'tailscope 0.1.0 (Provenance)')
        >>> {item.status for item in items if item.topic == "Funding"}
        {'authors'}
    """
    known = answers(content)
    both = ((CLAIM, _CLAIM), (TRIPOD, _TRIPOD))
    return tuple(_item(guideline, row, known) for guideline, rows in both for row in rows)


def checklist_tables(content: ReportContent) -> tuple[Table, ...]:
    """One folded table per guideline, its caption counting who answers what."""
    items = checklist(content)
    return tuple(_table(name, [item for item in items if item.guideline == name]) for name in (CLAIM, TRIPOD))


def _item(guideline: str, row: _Row, known: dict[str, str]) -> Item:
    number, topic, questions, is_full = row
    found = [known[question] for question in questions if question in known]
    whole = is_full and len(found) == len(questions)
    status: Status = "authors" if not found else "answered" if whole else "in part"
    return Item(guideline, number, topic, "; ".join(found), status)


def _table(name: str, items: list[Item]) -> Table:
    counts = {status: sum(item.status == status for item in items) for status in _WORDS}
    return Table(
        f"Of the {len(items)} items of {name}, these artifacts answer {counts['answered']} and "
        f"{counts['in part']} more in part; {counts['authors']} only the authors can answer. The chapter with the "
        "evidence stands in brackets. Topics are in our words: check them against the guideline itself before "
        "submission.",
        ("item", "topic", "answer", "who"),
        tuple(
            (Cell(item.number), Cell(item.topic), Cell(item.answer or "–"), Cell(_WORDS[item.status])) for item in items
        ),
        title=f"Checklist: {name}",
        is_open=False,
    )
