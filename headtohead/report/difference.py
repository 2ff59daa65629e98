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

Where there are no values of single images, the images cannot be counted: what is left is Welch's test.

The interval is Banerjee's, ``sqrt(t_s^2 (seeds + interaction) + t_i^2 images)`` with Student's t of the seeds' degrees
of freedom and of the images', which holds the truth with ``1 - level`` at least. One t for the whole variance, with
Welch's degrees of both parts, was false in 9 % where four fifths of the variance of two seeds each came from the seeds,
and in 3.5 % in place of 1 %: few seeds that happen to end alike make it look as if the many images were all.

The degrees of freedom of the seeds are those of Welch (Biometrika 34, 1947), ``V^2 / sum(v^2 / (f + 2)) - 2`` for parts
v with f degrees of freedom each, which for two or three seeds are nearer to the truth than those of Satterthwaite,
``V^2 / sum(v^2 / f)``: with two seeds the interval holds the truth in 96.5 % and not in 97.8 %. Of unequal numbers of
seeds they are no more than twice the fewer: without that bound the interval of two seeds against six held it in 91 %,
with it in 98 %.

Source: Gallas, "One-shot estimate of MRMC variance: AUC", Academic Radiology 13 (2006) 353-362. Deviation: accuracies
are means of single images, not of pairs of images, for which the mean squares of the analysis of variance suffice.
Banerjee, "Approximate confidence interval for linear functions of means of k populations when the population variances
are not equal", Sankhya 22 (1960) 357-358.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """What the seeds of one architecture gave; every field but the last has the shape of the leading axes.

    Args:
        mean: over seeds.
        between: variance of the mean by the seeds, on these images.
        n: seeds.
        interaction: the part of ``between`` that is of seeds and images together; 0 where single images are not known.
        per_image: mean over seeds for each image, ``(..., N)``; None where single images are not known.
    """

    mean: Floats
    between: Floats
    n: int
    interaction: Floats
    per_image: Floats | None = None


@dataclass(frozen=True)
class Difference:
    """The difference of two means; every field but the last has the shape of the leading axes.

    Args:
        value: mean of the first minus mean of the second.
        seeds: variance of the difference that comes from the seeds.
        images: variance that comes from the test images; no number of seeds makes it smaller.
        interaction: variance that comes from both together.
        degrees: degrees of freedom of what comes from the seeds, the interaction included.
        counted: whether the test images were counted.
        degrees_of_images: those of what comes from the images.
    """

    value: Floats
    seeds: Floats
    images: Floats
    interaction: Floats
    degrees: Floats
    counted: bool
    degrees_of_images: float = math.inf

    @property
    def variance(self) -> Floats:
        """Variance of the difference over new seeds and new test images."""
        return self.seeds + self.images + self.interaction

    def half(self, level: float = 0.05) -> Floats:
        """Return half the width of the interval that holds the true difference with ``1 - level``.

        It is infinite where no seed differed from another: two that end alike say nothing of a third.
        """
        half = np.hypot(self.half_of_seeds(level), self.half_of_images(level))
        return np.asarray(np.where(self.seeds + self.interaction > 0, half, np.inf))

    def half_of_seeds(self, level: float = 0.05) -> Floats:
        """Return half the width if only the seeds varied."""
        return np.asarray(special.stdtrit(self.degrees, 1 - level / 2) * np.sqrt(self.seeds + self.interaction))

    def half_of_images(self, level: float = 0.05) -> Floats:
        """Return half the width if only the test images varied."""
        return np.asarray(special.stdtrit(self.degrees_of_images, 1 - level / 2) * np.sqrt(self.images))


def side(values: npt.ArrayLike, per_image: npt.ArrayLike | None = None) -> Side:
    """Return what the seeds of one architecture gave.

    Args:
        values: of each seed, ``(..., n)``.
        per_image: what each seed made of each image, ``(..., n, N)``, if that is known: right or wrong, or an error.
            Its means over images are the values, but for the weights that a metric may give to images.

    Raises:
        ValueError: there are fewer than two seeds, or than two images.
    """
    x = np.asarray(values, dtype=float)
    n = x.shape[-1]
    if n < 2:
        raise ValueError(f"two seeds are needed at least: got {n}")
    between = _variance_of_mean(x)
    if per_image is None:
        return Side(x.mean(-1), between, n, np.zeros_like(between))
    table = np.asarray(per_image, dtype=float)
    images = table.shape[-1]
    if images < 2:
        raise ValueError(f"two images are needed at least: got {images}")
    of_image = table.mean(-2)
    # sum over seeds and images of (x - seed's mean - image's mean + mean)^2, without a copy of the table
    squares = np.square(table).sum((-2, -1)) - n * np.square(of_image).sum(-1)
    squares -= images * np.square(table.mean(-1) - of_image.mean(-1)[..., None]).sum(-1)
    interaction = np.maximum(squares, 0) / ((n - 1) * (images - 1)) / (n * images)
    return Side(x.mean(-1), between, n, interaction, of_image)


def difference(a: Side, b: Side) -> Difference:
    """Compare two architectures: over seeds and images where single images are known of both, else over seeds.

    No part is below 0: where the interaction alone is estimated to vary more than images and interaction together, it
    is all of what these two vary.

    Raises:
        ValueError: they have not the same number of images.
    """
    between = [np.maximum(x.between - x.interaction, 0) for x in (a, b)]
    fewest = min(a.n, b.n) - 1.0
    whole = a.between + b.between
    degrees = _degrees(whole, a.between**2 / (a.n + 1) + b.between**2 / (b.n + 1), fewest, 2 * fewest)
    if a.per_image is None or b.per_image is None:
        shared = interaction = np.zeros_like(a.between)
        between = [a.between, b.between]
    else:
        images = a.per_image.shape[-1]
        if b.per_image.shape[-1] != images:
            raise ValueError(f"both need the same images: got {images} and {b.per_image.shape[-1]}")
        shared = (a.per_image - b.per_image).var(-1, ddof=1) / images  # of the images, and of the interaction once
        interaction = np.minimum(a.interaction + b.interaction, shared)
    seeds = between[0] + between[1]
    return Difference(
        value=np.asarray(a.mean - b.mean),
        seeds=np.asarray(seeds),
        images=np.asarray(np.maximum(shared - interaction, 0)),
        interaction=np.asarray(interaction),
        degrees=degrees,
        counted=a.per_image is not None and b.per_image is not None,
        degrees_of_images=math.inf if a.per_image is None or b.per_image is None else a.per_image.shape[-1] - 1.0,
    )


def half_of_paired(apart: npt.ArrayLike, per_image: Sequence[npt.ArrayLike] = (), level: float = 0.05) -> Floats:
    """Return half the interval of the difference of two numbers of the same seeds: of errors in small and large holes.

    With a seed of one number goes the same seed of the other, so what varies between seeds is their difference. Two
    numbers of the same images are paired over images too; others, of small and large holes, vary each with images of
    its own. The interval is Banerjee's here too. What varies with seeds and images together is in the variances of
    both, which makes it a little wider than it need be.

    Args:
        apart: the one number minus the other for each seed, ``(..., n)``.
        per_image: what the seeds made of each image, ``(..., n, N)``: of each number where their images are others, the
            one minus the other where they are the same; nothing where that is not known.
        level: of the interval.

    Returns:
        Half its width. It is 0 where the two never differ, on no image of any seed, and infinite where nothing varied
        else.
    """
    means = [np.asarray(apart, dtype=float), *(np.asarray(table, dtype=float).mean(-2) for table in per_image)]
    ends = [special.stdtrit(x.shape[-1] - 1, 1 - level / 2) ** 2 * _variance_of_mean(x) for x in means]
    half = np.sqrt(np.sum(ends, axis=0))
    alike = len(per_image) == 1 and ~np.any(apart, axis=-1) & ~np.any(per_image[0], axis=(-2, -1))
    return np.asarray(np.where((half > 0) | alike, half, np.inf))


def _variance_of_mean(x: Floats) -> Floats:
    """Return the variance of the mean of ``(..., n)`` values; 0 for 93.71 thrice, which rounding would spread."""
    return np.asarray(np.where(np.ptp(x, axis=-1) > 0, x.var(-1, ddof=1) / x.shape[-1], 0.0))


def _degrees(whole: Floats, spread: Floats, fewest: float, most: npt.ArrayLike) -> Floats:
    """Return Welch's degrees of freedom: of a variance and the sum of its parts' squares over their own plus 2."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(spread > 0, whole**2 / spread - 2, most)
    return np.asarray(np.clip(found, fewest, most))
