"""Architectures as LightningModules: one file each, named as its source names it."""

from lit_models.classifier import Classifier
from lit_models.eq_cnn import EqCNN
from lit_models.simple_cnn import SimpleCNN

__all__ = ["Classifier", "EqCNN", "SimpleCNN"]
