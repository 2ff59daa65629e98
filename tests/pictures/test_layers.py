"""Which layers are drawn."""

import lit_models
from headtohead.pictures.layers import convolutions
from tests.pictures.networks import Mine


def test_convolutions_are_not_what_they_are_made_of():
    assert list(convolutions(lit_models.INN(width=4))) == ["stem", "features.0", "features.3", "features.6"]
    assert list(convolutions(Mine())) == ["body.0", "body.1.depthwise", "body.1.pointwise", "body.3"]
