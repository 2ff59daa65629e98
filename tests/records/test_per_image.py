"""What is packed is unpacked to the bit, takes what it promises, and is refused where it does not fit."""

import base64

import numpy as np
import pytest
from pydantic import ValidationError

from headtohead.records.per_image import PerImage, of_classifier, of_inpainter


@pytest.mark.parametrize("images", [1, 7, 8, 9, 10_000])
def test_bits_come_back(images):
    random = np.random.default_rng(images)
    right = {angle: random.random(images) < 0.7 for angle in (0, 90, 180, 270)}
    packed = of_classifier("abc", right)
    assert (packed.images, packed.test_set, packed.error) == (images, "abc", None)
    for angle, found in right.items():
        assert np.array_equal(packed.values(str(angle)), found)
    assert packed.values("45") is None
    assert packed.values("error") is None
    assert {len(base64.b64decode(text)) for text in packed.right.values()} == {(images + 7) // 8}


def test_the_first_image_is_the_highest_bit():
    packed = of_classifier("abc", {0: [True, False, False, False, False, False, False, True, True]})
    assert base64.b64decode(packed.right["0"]) == bytes([0b10000001, 0b10000000])


def test_errors_come_back_as_float16():
    packed = of_inpainter("abc", [0.1, 0.25, 1.0])
    assert packed.values("error").tolist() == [float(np.float16(0.1)), 0.25, 1.0]
    assert base64.b64decode(packed.error) == np.array([0.1, 0.25, 1.0], "<f2").tobytes()
    assert packed.values("0") is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"right": {"0": "AA=="}}, "0 has 1 bytes, not the 2 of 10 images"),
        ({"right": {"90": "not base64!"}}, "90 is not base64"),
        ({"error": "AAAA"}, "error has 3 bytes, not the 20 of 10 images"),
        ({"images": True}, "valid integer"),
        ({"right": {"0": 3}}, "valid string"),
    ],
)
def test_what_does_not_fit_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        PerImage(**{"images": 10, "test_set": "abc", **fields})
