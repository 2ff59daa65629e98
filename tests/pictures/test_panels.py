"""How tiles are laid out."""

import numpy as np

from headtohead.pictures.panels import mosaic


def test_tiles_lie_row_by_row():
    nan = np.nan
    whole = mosaic(np.arange(3, dtype=np.float32).reshape(3, 1, 1), 2)
    expected = [[nan] * 5, [nan, 0, nan, 1, nan], [nan] * 5, [nan, 2, nan, nan, nan], [nan] * 5]
    assert np.array_equal(whole, np.array(expected), equal_nan=True)
