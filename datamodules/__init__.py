"""Data sets as LightningDataModules: in memory as uint8, augmented on the device.

Every data set is a file that gives the class of its own name: ``mnist.py`` gives ``MNIST``. A new file needs no line
elsewhere.
"""

from importlib import import_module
from pkgutil import iter_modules

from datamodules.image import ImageDataModule

_MODULES = {file: import_module(f"{__name__}.{file}") for _, file, _ in iter_modules(__path__) if file != "__main__"}
DATA_SETS: dict[str, type[ImageDataModule]] = {
    name: kind
    for file, module in _MODULES.items()
    for name, kind in vars(module).items()
    if name.lower() == file and isinstance(kind, type) and issubclass(kind, ImageDataModule)
}
globals().update(DATA_SETS)
__all__ = ["ImageDataModule", *sorted(DATA_SETS)]


def __getattr__(name: str) -> type[ImageDataModule]:  # for type checkers, which cannot see what is found
    raise AttributeError(f"no data set is named {name!r}; there are {', '.join(sorted(DATA_SETS))}")
