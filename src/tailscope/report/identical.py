"""Arms that rank or predict as another: why, how they are judged, and what their adjustment noted."""

from __future__ import annotations

from tailscope.report.arms import ArmAudit
from tailscope.report.blocks import Block, Listing, Paragraph
from tailscope.report.content import ReportContent
from tailscope.report.numbers import listed


def identical_blocks(content: ReportContent, audits: tuple[ArmAudit, ...]) -> tuple[Block, ...]:
    """The arms with their reasons and notes, and what follows for reading them; then notes on other adjusted arms."""
    if not content.identical:
        return _other_notes(content)
    bases = {audit.arm: audit.weights_from for audit in audits}
    items = tuple(f"{arm}: {why}. {_judged(arm, bases, content)}" for arm, why in content.identical.items())
    notes = tuple(tuple(content.adjustment_notes.get(arm, ())) for arm in content.identical)
    return (
        Listing(items, "bullets", "Identical by construction", notes),
        Paragraph(_meaning(content)),
        *_other_notes(content),
    )


def same_predictions(content: ReportContent) -> tuple[Block, ...]:
    """A line for the first chapter, if the runs of an arm predict exactly what control's do."""
    names = content.same_predictions
    if not names:
        return ()
    told = listed(list(names), limit=len(names))
    verb, setting = ("predicts", "its setting changes") if len(names) == 1 else ("predict", "their settings change")
    return (
        Paragraph(
            f"{told} {verb} exactly what {content.arms[0]} predicts, on every image and in "
            f"every seed: {setting} nothing here. What stays undecided of it is the noise of training alone."
        ),
    )


def _judged(arm: str, bases: dict[str, str], content: ReportContent) -> str:
    """How an arm was made and where it is shown."""
    if arm not in content.calibrated_only:
        return "Trained and shown beside the others, without a verdict."
    if arm not in bases:
        return "It stands in the tables of calibration only."
    if bases[arm]:
        return f"Not trained anew: it takes the weights of {bases[arm]}; it stands in the tables of calibration only."
    base = content.trained_with.get(arm, "")
    return (
        f"Trained with the loss of {base or 'another treatment'}, which is no arm here, so its AUROC stands nowhere; "
        f"add {base or 'that treatment'} to compare it."
    )


def _meaning(content: ReportContent) -> str:
    trained = [arm for arm in content.identical if arm not in content.calibrated_only]
    noise = f"; of {listed(trained, limit=len(trained))} the same but for the noise of training" if trained else ""
    return (
        "These arms rank images as another treatment does, whatever the data: AUROC, AP and every lens that does not "
        f"depend on scale are the same{noise}. They get no verdict and stand outside families and rankings; what they "
        "can change is calibration and thresholds."
    )


def _other_notes(content: ReportContent) -> tuple[Block, ...]:
    """Notes on arms that adjust their logits and rank anew."""
    others = {arm: notes for arm, notes in content.adjustment_notes.items() if arm not in content.identical}
    items = tuple(f"{arm}: {note}" for arm, notes in others.items() for note in notes)
    return (Listing(items, "bullets", "Notes on adjustments after training"),) if items else ()
