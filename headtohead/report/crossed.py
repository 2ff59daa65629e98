"""The difference of two architectures over new seeds and new test images: its variance, and where that comes from.

The runs of two architectures share their test images, and each architecture has seeds of its own: a two-way design in
which images are crossed with architectures and seeds are nested in them. An accuracy then varies with the seed, with
the images, and with both together (a seed that is good at some images). With ``x[s, i]`` for seed s and image i, the
difference of the two means varies by

    seeds         S_a / n_a + S_b / n_b      more seeds make it smaller
    images        I / N                      only a larger test set makes it smaller
    interaction   E_a / (n_a N) + E_b / (n_b N)

where ``I`` is the variance over images of the difference of the two architectures' expected answers. All three are
estimated without bias from mean squares of the two tables, as Gallas (2006) does for readers and cases.

Source: Gallas, "One-shot estimate of MRMC variance: AUC", Academic Radiology 13 (2006) 353-362. Deviation: accuracies
are means of single images, not of pairs of images, for which the mean squares of the analysis of variance suffice;
degrees of freedom are Satterthwaite's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Crossed:
    """The difference of two means over seeds and images; every field has the shape of the leading axes.

    Args:
        difference: mean of the first minus mean of the second.
        seeds: variance of the difference that comes from the seeds.
        images: variance that comes from the test images; no number of seeds makes it smaller.
        interaction: variance that comes from both together.
        degrees: Satterthwaite's degrees of freedom of the whole variance.
    """

    difference: Floats
    seeds: Floats
    images: Floats
    interaction: Floats
    degrees: Floats

    @property
    def variance(self) -> Floats:
        """Variance of the difference over new seeds and new test images."""
        return self.seeds + self.images + self.interaction

    def half(self, level: float = 0.05) -> Floats:
        """Return half the width of the interval that holds the true difference with ``1 - level``."""
        return np.asarray(stats.t.ppf(1 - level / 2, self.degrees) * np.sqrt(self.variance))

    def p(self) -> Floats:
        """Return the two-sided p-value of no difference; 1 where nothing varies and nothing differs."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.difference) / np.sqrt(self.variance)
        return np.asarray(2 * stats.t.sf(np.nan_to_num(t, nan=0.0), self.degrees))


def crossed(a: npt.ArrayLike, b: npt.ArrayLike) -> Crossed:
    """Compare two architectures on the same test images.

    Args:
        a: what each seed of the first made of each image: right or wrong, or an error; ``(..., n_a, N)``.
        b: the same of the second, ``(..., n_b, N)``, of the same images in the same order.

    Returns:
        The difference of their means with its variance. No part is below 0: where the interaction alone is estimated to
        vary more than images and interaction together, it is all of what these two vary.

    Raises:
        ValueError: there are fewer than two seeds of either, fewer than two images, or not the same images.
    """
    x, y = (np.asarray(values, dtype=float) for values in (a, b))
    if x.shape[-1] != y.shape[-1] or x.shape[-1] < 2:
        raise ValueError(f"both need the same images, two at least: got {x.shape[-1]} and {y.shape[-1]}")
    if min(x.shape[-2], y.shape[-2]) < 2:
        raise ValueError(f"both need two seeds at least: got {x.shape[-2]} and {y.shape[-2]}")
    images = x.shape[-1]
    per_image = x.mean(-2) - y.mean(-2)  # (..., N)
    shared = per_image.var(-1, ddof=1) / images  # of the images, and of the interaction once
    sides = [_side(values) for values in (x, y)]
    interaction = sum((side.interaction for side in sides), np.zeros(()))
    between = [np.maximum(side.between - side.interaction, 0) for side in sides]
    seeds = sum(between, np.zeros(()))
    whole = shared + seeds
    spread = shared**2 / (images - 1) + sum((side.between**2 / side.degrees for side in sides), np.zeros(()))
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = np.where(spread > 0, whole**2 / spread, images - 1.0)
    return Crossed(
        difference=np.asarray(per_image.mean(-1)),
        seeds=np.asarray(seeds),
        images=np.asarray(np.maximum(shared - interaction, 0)),
        interaction=np.asarray(np.minimum(interaction, shared)),
        degrees=np.asarray(np.maximum(degrees, min(side.degrees for side in sides))),
    )


@dataclass(frozen=True)
class _Side:
    """Of one architecture: the variance of its mean by its seeds on these images, and by the interaction alone."""

    between: Floats
    interaction: Floats
    degrees: int


def _side(x: Floats) -> _Side:
    n, images = x.shape[-2:]
    of_seed, of_image = x.mean(-1, keepdims=True), x.mean(-2, keepdims=True)
    residual = x - of_seed - of_image + x.mean((-2, -1), keepdims=True)
    square = (residual**2).sum((-2, -1)) / ((n - 1) * (images - 1))
    return _Side(of_seed[..., 0].var(-1, ddof=1) / n, square / (n * images), n - 1)
