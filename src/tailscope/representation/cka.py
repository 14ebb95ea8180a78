"""Linear CKA: how alike two sets of features arrange the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import Estimate, InputError, generator

LEAST_IMAGES = 4  # HSIC1 divides by n (n - 3)
CONSTANT = "the features tell no images of a minibatch apart"
_BLOCK_BYTES = 32 * 2**20
_ROUNDING = 1e-10  # a centred Gram matrix below this share of its trace is rounding error


@dataclass(frozen=True, eq=False)
class CkaMatrix:
    """CKA of all pairs among V sets of features.

    Args:
        value: (V, V) float64 in [-1, 1], symmetric; NaN where a set is degenerate.
        images: Images in the minibatches.
        reasons: V texts; empty where the set is not degenerate.
    """

    value: NDArray[np.float64]
    images: int
    reasons: tuple[str, ...]


def minibatches(
    image_ids: ArrayLike, patients: ArrayLike | None = None, *, batch: int = 256, seed: int = 0
) -> NDArray[np.int64]:
    """Draw the minibatches that all runs share: disjoint, and a function of the ids alone.

    HSIC1 takes the images of a minibatch to be independent. So each patient enters with one image, the first in the
    random order. The last minibatch is left out if it is short; with fewer images than ``batch`` there is one
    minibatch of them all.

    Args:
        image_ids: (N,) unique ids.
        patients: (N,) labels; None makes every image its own patient.
        batch: Images in a minibatch.
        seed: Root seed, the same for all runs.

    Returns:
        (B, n) int64 rows of the images.

    Raises:
        InputError: ``batch`` or the number of patients is below 4, an id stands twice, or lengths differ.

    Example:
        >>> drawn = minibatches(list("abcdefghij"), batch=4)
        >>> drawn.shape, len(set(drawn.ravel().tolist()))
        ((2, 4), 8)
        >>> minibatches(list("abcdef"), [1, 1, 2, 2, 3, 4], batch=4).shape
        (1, 4)
    """
    ids = np.asarray(image_ids)
    owners = ids if patients is None else np.asarray(patients)
    names, first = np.unique(ids, return_index=True)
    if ids.ndim != 1 or len(names) != len(ids) or owners.shape != ids.shape:
        raise InputError(
            f"`image_ids` must be (N,), unique, and `patients` (N,); got {ids.shape} with {len(names)} different ids "
            f"and {owners.shape}: they fix the minibatches"
        )
    order = first[generator(seed, "representation", "minibatches").permutation(len(ids))]
    shown = order[np.sort(np.unique(owners[order], return_index=True)[1])]
    size = min(batch, len(shown))
    if size < LEAST_IMAGES:
        raise InputError(
            f"`batch` and the number of patients must be {LEAST_IMAGES} or more, or HSIC1 is undefined; "
            f"got {batch} and {len(shown)}"
        )
    return shown[: len(shown) // size * size].reshape(-1, size).astype(np.int64)


def centred_grams(features: NDArray[np.floating], batches: NDArray[np.integer]) -> NDArray[np.float64]:
    """U-centred linear Gram matrix of every minibatch, above the diagonal.

    This is all that CKA needs of a run and a layer, and much smaller than the features: n (n - 1) / 2 numbers per
    minibatch. The sum of products of two of them, times 2 / (n (n - 3)), is HSIC1. Memory is that of one minibatch,
    so ``features`` may be a memory map.

    Args:
        features: (N, D) or (N, U, h, w) floating, finite; all but the first axis are flattened.
        batches: (B, n) rows, from :func:`minibatches`.

    Returns:
        (B, n(n-1)/2) float64, in row order; all 0 where the features cannot tell the images apart.

    Raises:
        InputError: n is below 4, a row does not exist, or a value is not finite.

    Source:
        Székely and Rizzo 2014, Partial distance correlation, definition 2; their inner product is HSIC1 (Song et
        al. 2012).

    Example:
        >>> import numpy as np
        >>> centred_grams(np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([[0, 1, 2, 3]])).round(4)
        array([[ 0.3333, -0.1667, -0.1667, -0.1667, -0.1667,  0.3333]])
    """
    if batches.ndim != 2 or batches.shape[1] < LEAST_IMAGES:
        raise InputError(f"`batches` must be (B, n) with n {LEAST_IMAGES} or more; got {batches.shape}")
    if features.ndim < 2 or (batches.size and not 0 <= batches.min() <= batches.max() < len(features)):
        raise InputError(f"`features` must be (N, ...) with a row for each entry of `batches`; got {features.shape}")
    above = np.triu_indices(batches.shape[1], 1)
    grams = np.empty((len(batches), len(above[0])))
    for gram, rows in zip(grams, batches, strict=True):
        gram[:] = _u_centred(_gram(features[rows]))[above]
    return grams


def hsic1(features_a: NDArray[np.floating], features_b: NDArray[np.floating]) -> float:
    """Unbiased estimate of the Hilbert-Schmidt independence criterion with linear kernels; 0 on average if independent.

    It is the squared norm of the cross-covariance of the features; the estimate can be negative.

    Args:
        features_a: (n, D1) floating, finite; n of 4 or more.
        features_b: (n, D2), the same images.

    Returns:
        HSIC1 in units of a² b².

    Raises:
        InputError: As :func:`centred_grams`.

    Source:
        Song et al. 2012, Feature selection via dependence maximization; Nguyen, Raghu and Kornblith 2021, eq. 3.

    Example:
        >>> import numpy as np
        >>> pairs = np.array([[0.0], [0.0], [1.0], [1.0]])
        >>> round(hsic1(pairs, pairs), 4)  # 2/4 · (2 · (1/3)² + 4 · (1/6)²)
        0.1667
    """
    count = len(features_a)
    rows = np.arange(count)[None]
    products = centred_grams(features_a, rows) * centred_grams(features_b, rows)
    return float(2 * products.sum() / (count * (count - 3)))


def cka_matrix(grams: Sequence[NDArray[np.float64]]) -> CkaMatrix:
    """CKA of all pairs among V sets of features, in one matrix product per minibatch.

    CKA is the mean HSIC1 of two sets over minibatches, divided by the root of the product of their own: 1 if one is
    an orthogonal transform and isotropic scaling of the other, 0 on average if they are independent. Higher is more
    alike.

    Args:
        grams: V arrays (B, P) from :func:`centred_grams` on the same minibatches, e.g. one per run, or one per run
            and layer; memory maps are read one minibatch at a time.

    Returns:
        The matrix.

    Raises:
        InputError: There is no set, or they differ in shape.

    Source:
        Nguyen, Raghu and Kornblith 2021, Do wide and deep networks learn the same things?, eqs. 2 and 3.

    Example:
        >>> import numpy as np
        >>> features, batches = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12).reshape(2, 6)
        >>> sets = [features, -2 * features[:, ::-1], np.ones((12, 3))]
        >>> found = cka_matrix([centred_grams(one, batches) for one in sets])
        >>> found.value.round(6).tolist(), found.reasons[2]
        ([[1.0, 1.0, nan], [1.0, 1.0, nan], [nan, nan, nan]], 'the features tell no images of a minibatch apart')
    """
    shapes = {gram.shape for gram in grams}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise InputError(f"`grams` must be one or more arrays (B, P) of one shape; got {sorted(shapes)}")
    count, pairs = shapes.pop()
    hsic = np.zeros((len(grams), len(grams)))
    for number in range(count):
        batch = np.stack([gram[number] for gram in grams])
        hsic += batch @ batch.T
    norm = np.sqrt(np.diag(hsic))
    degenerate = norm == 0
    norm[degenerate] = np.nan
    images = (1 + round((1 + 8 * pairs) ** 0.5)) // 2
    reasons = tuple(CONSTANT if missing else "" for missing in degenerate)
    return CkaMatrix(hsic / norm[:, None] / norm[None, :], count * images, reasons)


def minibatch_cka(
    features_a: NDArray[np.floating], features_b: NDArray[np.floating], batches: NDArray[np.integer]
) -> Estimate:
    """CKA of two sets of features of the same images, in [-1, 1]; 1 is the same up to rotation and scale.

    Args:
        features_a: (N, D1) or (N, U, h, w) floating, finite.
        features_b: (N, D2) or (N, U, h, w), the same images.
        batches: (B, n) rows, from :func:`minibatches`; the same for all runs.

    Returns:
        The value and the number of images in the minibatches; NaN with a reason for features that do not vary. There
        is no interval: a patient who stands twice in a resample looks alike to any two networks, which HSIC1 would
        count as similarity. The spread over seeds is in :func:`tailscope.representation.relative_cka.relative_cka`.

    Raises:
        InputError: The numbers of images differ, or as :func:`centred_grams`.

    Source:
        Nguyen, Raghu and Kornblith 2021, eq. 2.

    Example:
        >>> import numpy as np
        >>> features, batches = np.arange(8.0).reshape(8, 1), np.arange(8).reshape(2, 4)
        >>> round(minibatch_cka(features, 3 - features, batches).value, 6)
        1.0
    """
    if len(features_a) != len(features_b):
        raise InputError(
            f"`features_a` and `features_b` must show the same images; got {len(features_a)} and {len(features_b)}"
        )
    found = cka_matrix([centred_grams(features_a, batches), centred_grams(features_b, batches)])
    reason = next(filter(None, found.reasons), "")
    return Estimate(float(found.value[0, 1]), found.images, reason=reason)


def _gram(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, n) of the features minus their mean, in float64, a block of columns at a time."""
    flat = features.reshape(len(features), -1)
    gram = np.zeros((len(flat), len(flat)))
    step = max(1, _BLOCK_BYTES // (8 * len(flat)))
    for first in range(0, flat.shape[1], step):
        part = flat[:, first : first + step].astype(np.float64)
        if not np.isfinite(part).all():
            raise InputError("`features` must be finite; found NaN or infinity: check the network's numbers")
        # HSIC1 ignores a shift, float64 does not; less the first row, a constant column is exactly 0.
        part -= part[0]
        part -= part.mean(axis=0)
        gram += part @ part.T
    return gram


def _u_centred(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    count, trace = len(gram), np.trace(gram)
    np.fill_diagonal(gram, 0)
    rows = gram.sum(axis=1) / (count - 2)
    centred = gram - rows[:, None] - rows[None, :] + gram.sum() / ((count - 1) * (count - 2))
    np.fill_diagonal(centred, 0)
    if np.linalg.norm(centred) <= _ROUNDING * trace:
        centred[:] = 0
    return np.asarray(centred)
