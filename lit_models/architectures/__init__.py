"""Architectures as plain modules: one file each, named as its source names it.

Every file gives the class of its own name: ``simple_cnn.py`` gives ``SimpleCNN``. A new file needs no line elsewhere.
"""

from importlib import import_module
from pkgutil import iter_modules

from torch import nn


def _class_of(file: str) -> type[nn.Module] | None:
    """Return the class that is called as its file, but for case and underscores; a file of helpers has none."""
    module = import_module(f"{__name__}.{file}")
    names = [name for name in vars(module) if name.lower() == file.replace("_", "")]
    return getattr(module, names[0]) if names else None


_FOUND = [_class_of(file) for _, file, _ in iter_modules(__path__) if not file.startswith("_")]
ARCHITECTURES = {kind.__name__: kind for kind in _FOUND if kind is not None}
globals().update(ARCHITECTURES)
__all__ = sorted(ARCHITECTURES)


def __getattr__(name: str) -> type[nn.Module]:  # for type checkers, which cannot see what is found
    raise AttributeError(f"no architecture is named {name!r}; there are {', '.join(__all__)}")
