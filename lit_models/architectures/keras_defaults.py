"""Weights and batch norm as Keras starts them, for the networks whose source is written in it."""

from __future__ import annotations

from torch import nn


def keras_defaults(network: nn.Module) -> None:
    """Start a network and its batch norm as Keras would.

    Weights of convolutions and linear layers are drawn anew from Glorot's uniform distribution, whose limit is
    sqrt(6 / (fan in + fan out)); their biases start at 0 (PyTorch draws both within 1 / sqrt(fan in)). Batch norm
    adds 0.001 to the variance and moves its statistics by a hundredth a step (PyTorch: 0.00001 and a tenth).

    Source: the Keras documentation of ``Conv2D``, ``Dense`` and ``BatchNormalization``.

    Args:
        network: changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 1e-3, 0.01
