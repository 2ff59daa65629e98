"""Speed, side by side with what a user would pick instead: ``python -m benchmarks NAME``.

A benchmark is a module with two functions: ``run(tiny)`` measures and returns rows, ``tiny`` with sizes that prove
nothing but that it works; ``check()`` raises AssertionError unless both sides compute the same. Where the other side
has to be installed, a third, ``available()``, raises :class:`~benchmarks.timing.Missing` when it is not.
"""

NAMES = (
    "involution",
    "depthwise",
    "equivariant",
    "group",
    "augment",
    "augmentations",
    "train",
    "convmixer",
    "overhead",
    "sweep",
    "ddp",
    "matmul",
)
