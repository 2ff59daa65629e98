"""Architectures as plain modules, and the tasks (LightningModules) that train, validate and test them."""

from lit_models import architectures, tasks
from lit_models.architectures import *  # noqa: F403
from lit_models.tasks import *  # noqa: F403

__all__ = [*architectures.__all__, *tasks.__all__]
