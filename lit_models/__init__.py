"""Architectures as plain modules, and the tasks (LightningModules) that train, validate and test them."""

from torch import nn

from lit_models import architectures
from lit_models.architectures import *  # noqa: F403  # found by their files, listed in its __all__
from lit_models.tasks import Classifier, Inpainter, Task

__all__ = ["Classifier", "Inpainter", "Task", *architectures.__all__]


def __getattr__(name: str) -> type[nn.Module]:  # for type checkers: the architectures are found, not written
    raise AttributeError(f"module 'lit_models' has no attribute {name!r}")
