"""The trials of a search: the same number for every arm, which of them is chosen, and what lies at an edge."""

from __future__ import annotations

from dataclasses import dataclass

from tailscope.experiment.config import TreatmentSection
from tailscope.treatments import TREATMENTS, MainParameter

TRIALS = 9


@dataclass(frozen=True)
class Trial:
    """One point of an arm's search.

    Args:
        number: From 1 to :data:`TRIALS`.
        lr: Peak learning rate.
        parameter: The treatment's main parameter; empty where the learning rate alone is searched.
        value: Its value; None without a parameter.
        steps: Distance from the defaults: from the middle learning rate to either end is 1, from a value to the next 1.
    """

    number: int
    lr: float
    parameter: str = ""
    value: float | None = None
    steps: float = 0.0

    @property
    def settings(self) -> dict[str, float]:
        """What the trial sets in the treatment."""
        return {} if self.value is None else {self.parameter: self.value}

    def __str__(self) -> str:
        """As in a line of progress.

        >>> str(Trial(1, 0.001, "gamma", 2.0))
        'learning rate 0.001, gamma 2'
        """
        return f"learning rate {self.lr:.3g}" + (f", {self.parameter} {self.value:g}" if self.value is not None else "")


def main_parameter(section: TreatmentSection) -> MainParameter | None:
    """The one setting that is searched; None where the treatment has none, or the arm states it: that is a choice.

    >>> main_parameter(TreatmentSection(name="focal")).name
    'gamma'
    >>> main_parameter(TreatmentSection(name="focal", gamma=1.0)) is None
    True
    """
    main = getattr(TREATMENTS.find(section.name), "main", None)
    return main if isinstance(main, MainParameter) and main.name not in section.settings else None


def trials_of(section: TreatmentSection, lr: float, lr_range: float) -> tuple[Trial, ...]:
    """The trials of one arm, the learning rate slowest.

    Three learning rates with three values of the main parameter, or nine learning rates without one; both log-spaced
    from ``lr`` / ``lr_range`` to ``lr`` · ``lr_range``, with ``lr`` itself in the middle.

    >>> [trial.lr for trial in trials_of(TreatmentSection(name="control"), 0.01, 4.0)][::4]
    [0.0025, 0.01, 0.04]
    >>> [(trial.lr, trial.value) for trial in trials_of(TreatmentSection(name="focal"), 0.01, 4.0)][:4]
    [(0.0025, 1.0), (0.0025, 2.0), (0.0025, 4.0), (0.01, 1.0)]
    """
    main = main_parameter(section)
    if main is None:
        return tuple(
            Trial(number, rate, steps=steps) for number, (rate, steps) in enumerate(_rates(lr, lr_range, TRIALS), 1)
        )
    home = main.values.index(min(main.values, key=lambda value: abs(value - getattr(section.build(), main.name))))
    points = [
        (rate, value, steps + abs(place - home))
        for rate, steps in _rates(lr, lr_range, TRIALS // len(main.values))
        for place, value in enumerate(main.values)
    ]
    return tuple(Trial(number, rate, main.name, value, steps) for number, (rate, value, steps) in enumerate(points, 1))


def best_trial(trials: tuple[Trial, ...], scores: dict[int, float]) -> Trial | None:
    """The trial with the highest score; of equal ones that nearest to the defaults, then the lowest learning rate.

    Args:
        trials: Of one arm.
        scores: Trial number to score; trials without a finite score are left out.

    Returns:
        None where no trial has a score.
    """
    scored = [trial for trial in trials if trial.number in scores]
    return min(scored, key=lambda trial: (-scores[trial.number], trial.steps, trial.number), default=None)


def edge_of(chosen: Trial, trials: tuple[Trial, ...]) -> str:
    """Which of a trial's values is the lowest or the highest of its range; empty where none is.

    >>> trials = trials_of(TreatmentSection(name="focal"), 0.01, 4.0)
    >>> edge_of(trials[4], trials)
    ''
    >>> edge_of(trials[8], trials)
    'learning rate 0.04 is the highest tried, gamma 4 is the highest tried'
    """
    rates = [trial.lr for trial in trials]
    told = [_edge("learning rate", chosen.lr, rates)]
    if chosen.value is not None:
        told.append(_edge(chosen.parameter, chosen.value, [trial.value for trial in trials if trial.value is not None]))
    return ", ".join(text for text in told if text)


def _edge(name: str, value: float, tried: list[float]) -> str:
    ends = {min(tried): "lowest", max(tried): "highest"}
    return f"{name} {value:.3g} is the {ends[value]} tried" if value in ends else ""


def _rates(lr: float, lr_range: float, count: int) -> list[tuple[float, float]]:
    """(learning rate, its distance from the middle, at most 1), ascending; rounded, so that all machines agree."""
    half = count // 2
    places = [step / half for step in range(-half, half + 1)]
    return [(float(f"{lr * lr_range**place:.6g}") if place else lr, abs(place)) for place in places]
