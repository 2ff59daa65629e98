"""What tests of checkpoints share with those of pictures."""

from tests.pictures.conftest import trained

__all__ = ["trained"]
