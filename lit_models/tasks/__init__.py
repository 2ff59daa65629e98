"""Tasks: the LightningModules that wrap an architecture and train, validate and test it."""

from lit_models.tasks.classifier import Classifier
from lit_models.tasks.inpainter import Inpainter
from lit_models.tasks.task import Task

__all__ = ["Classifier", "Inpainter", "Task"]
