"""Which images are for validation, for training and for the rotation sweep, and which labels are made wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPLIT_SEED = 20_260  # of the validation split and the rotated test images, which are the same for every trial


def with_noise(labels: npt.NDArray[np.int64], share: float, classes: int, seed: int) -> npt.NDArray[np.int64]:
    """Return labels of which a share, to the nearest whole image, are wrong: any other class, equally likely.

    Args:
        labels: class of each image, ``(N,)``.
        share: 0 to 1.
        classes: how many there are.
        seed: of the draw.
    """
    random = np.random.RandomState([SPLIT_SEED, seed % 2**32])
    wrong = random.permutation(len(labels))[: int(share * len(labels) + 0.5)]
    noisy = labels.copy()
    noisy[wrong] = (labels[wrong] + random.randint(1, classes, len(wrong))) % classes
    return noisy


def nested_share(labels: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.int64]:
    """Draw a share of every class, to the nearest whole image and at least one; a larger share holds a smaller one.

    Args:
        labels: class of each image, ``(N,)``.
        share: above 0, up to 1, which keeps all.
        seed: of the draw.

    Returns:
        Indices into ``labels``, ascending.
    """
    random = np.random.RandomState(seed)
    orders = [random.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    return np.sort(np.concatenate([order[: max(1, int(share * len(order) + 0.5))] for order in orders]))


def stratified_sample(
    labels: npt.NDArray[np.int64], size: int, seed: int, balanced: bool = False
) -> npt.NDArray[np.int64]:
    """Draw ``size`` indices in which every class has its share.

    Args:
        labels: class of each image, ``(N,)``.
        size: how many to draw.
        seed: of the draw.
        balanced: every class gets an equal share rather than one in proportion to its size; all of it where it has
            fewer images, so that fewer are drawn.

    Returns:
        Indices into ``labels``, ascending.

    Raises:
        ValueError: a class has too few images.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = np.full(len(classes), size / len(classes)) if balanced else size * counts / counts.sum()
    quotas = np.floor(shares).astype(int)
    # Largest remainders: the seats that rounding down leaves go to the classes that lost most by it.
    quotas[np.argsort(quotas - shares, kind="stable")[: size - quotas.sum()]] += 1
    if balanced:
        quotas = np.minimum(quotas, counts)
    if (quotas > counts).any():
        raise ValueError(f"cannot draw {size} images: a class has only {counts.min()}")
    random = np.random.RandomState(seed)  # its stream is frozen by numpy's policy, a Generator's is not
    drawn = [
        random.choice(np.flatnonzero(labels == c), quota, replace=False)
        for c, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn))
