"""Which unit of one network became which unit of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from tailscope.core import InputError, generator
from tailscope.representation.correlation import activation_correlation

UNMATCHED = -1


@dataclass(frozen=True, eq=False)
class UnitMatch:
    """One-to-one pairs of units of two networks, A and B.

    Args:
        partner: (U_a,) int64 unit of B; -1 where a unit of A has none.
        correlation: (U_a,) float64 in [-1, 1], of the pair; NaN where there is none.

    Example:
        >>> import numpy as np
        >>> match = match_units(np.array([[0.1, 0.9], [0.8, 0.7]]))
        >>> match.partner, match.correlation, match.only(np.array([True, False])).partner
        (array([1, 0]), array([0.9, 0.8]), array([ 1, -1]))
    """

    partner: NDArray[np.int64]
    correlation: NDArray[np.float64]

    @property
    def matched(self) -> NDArray[np.bool_]:
        """(U_a,) whether a unit of A has a partner."""
        return np.asarray(self.partner != UNMATCHED)

    def only(self, keep: NDArray[np.bool_]) -> UnitMatch:
        """The match without the pairs of A's units where ``keep`` (U_a,) is False, e.g. those not above chance."""
        kept = self.matched & np.asarray(keep, dtype=bool)
        return UnitMatch(np.where(kept, self.partner, UNMATCHED), np.where(kept, self.correlation, np.nan))

    def scored_on(self, correlation: NDArray[np.float64]) -> UnitMatch:
        """The same pairs with their correlation on other images.

        The correlation on which pairs were chosen is too high, because it was maximised. On other patients it is not.

        Args:
            correlation: (U_a, U_b) from :func:`activation_correlation`.

        Raises:
            InputError: It has other units.
        """
        if correlation.shape[0] != len(self.partner) or correlation.shape[1] <= self.partner.max(initial=UNMATCHED):
            rows = len(self.partner)
            raise InputError(f"`correlation` must have {rows} rows and all partners; got {correlation.shape}")
        values = correlation[np.arange(len(self.partner)), self.partner]
        return UnitMatch(self.partner, np.where(self.matched, values, np.nan))


@dataclass(frozen=True, eq=False)
class MatchingNull:
    """How well units match when the images of one network are shuffled.

    Args:
        highest: (R,) highest correlation of any pair in each draw.
        mean: (R,) mean correlation of the pairs in each draw.
    """

    highest: NDArray[np.float64]
    mean: NDArray[np.float64]

    def p(self, match: UnitMatch) -> NDArray[np.float64]:
        """Adjusted p of each unit of A: (1 + draws in which *any* pair is as good) / (1 + R).

        Args:
            match: The true match.

        Returns:
            (U_a,) in (0, 1], NaN where a unit is not matched. 19 draws are the least that reach 0.05.

        Example:
            >>> import numpy as np
            >>> null = MatchingNull(np.array([0.2, 0.3, 0.4]), np.array([0.1, 0.1, 0.1]))
            >>> null.p(UnitMatch(np.array([0, 1, -1]), np.array([0.9, 0.3, np.nan])))
            array([0.25, 0.75,  nan])
        """
        beaten = (self.highest[None, :] >= match.correlation[:, None]).sum(axis=1)
        return np.asarray(np.where(match.matched, (1 + beaten) / (1 + len(self.highest)), np.nan))


def match_units(correlation: NDArray[np.float64]) -> UnitMatch:
    """The one-to-one pairs of units with the greatest sum of correlations.

    Dead units (a row or a column of zeros) have no partner; of networks of different width, some units of the wider
    one have none either. Which of exactly equal solutions is taken depends on the numbering of units. Every live unit
    is given a partner, however bad: :func:`matching_null` says which pairs are above chance.

    Args:
        correlation: (U_a, U_b) from :func:`activation_correlation`.

    Returns:
        The pairs.

    Raises:
        InputError: It is not a finite matrix.

    Source:
        Li et al. 2015, Convergent learning, section 3 (bipartite matching); solved by scipy's linear assignment.

    Example:
        >>> import numpy as np
        >>> match_units(np.array([[0.9, 0.8, 0.0], [0.7, 0.1, 0.0], [0.0, 0.0, 0.0]])).partner  # .8 + .7 > .9 + .1
        array([ 1,  0, -1])
    """
    if correlation.ndim != 2 or not np.isfinite(correlation).all():
        raise InputError(f"`correlation` must be a finite matrix (U_a, U_b); got shape {correlation.shape}")
    rows, columns = np.flatnonzero(correlation.any(axis=1)), np.flatnonzero(correlation.any(axis=0))
    among, chosen = linear_sum_assignment(correlation[np.ix_(rows, columns)], maximize=True)
    partner = np.full(len(correlation), UNMATCHED, dtype=np.int64)
    partner[rows[among]] = columns[chosen]
    values = np.full(len(correlation), np.nan)
    values[rows[among]] = correlation[rows[among], columns[chosen]]
    return UnitMatch(partner, values)


def matching_null(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    image_ids: ArrayLike,
    patients: ArrayLike | None = None,
    *,
    draws: int = 19,
    seed: int = 0,
) -> MatchingNull:
    """How high the correlation of matched units is by chance: the images of B in another order.

    Images stay in blocks of one patient, and only the blocks are shuffled, because neighbours within a patient are
    alike and fewer independent images give higher correlations by chance. Positions stay in place, so units that
    share a preferred place and nothing else are part of the null. The draws depend on ids and seed alone.

    Args:
        a: As :func:`activation_correlation`; pooled or not, as for the match itself.
        b: As ``a``, of the same images.
        image_ids: (N,) unique ids.
        patients: (N,) labels; None makes every image its own patient.
        draws: R; each costs as much as the match.
        seed: Root seed.

    Returns:
        Highest and mean matched correlation in each draw.

    Raises:
        InputError: ``draws`` is below 1, an id stands twice, lengths differ, or as :func:`activation_correlation`.
    """
    ids = np.asarray(image_ids)
    owners = ids if patients is None else np.asarray(patients)
    if draws < 1 or ids.shape != (len(a),) or owners.shape != ids.shape or len(np.unique(ids)) != len(ids):
        raise InputError(
            f"`draws` must be 1 or more, `image_ids` ({len(a)},) and unique, `patients` ({len(a)},); got {draws}, "
            f"{ids.shape} and {owners.shape}"
        )
    codes = np.unique(owners, return_inverse=True)[1]
    still = np.lexsort((ids, codes))
    highest, mean = np.full(draws, np.nan), np.full(draws, np.nan)
    for draw in range(draws):
        random = generator(seed, "representation", "matching", draw)
        place = random.permutation(codes.max() + 1)[codes[still]]
        moved = still[np.lexsort((random.permutation(len(still)), place))]
        match = match_units(activation_correlation(a, b, np.stack([still, moved], axis=1)))
        if match.matched.any():
            highest[draw], mean[draw] = np.nanmax(match.correlation), np.nanmean(match.correlation)
    return MatchingNull(highest, mean)
