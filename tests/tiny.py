"""A data set small enough to train on in a second: what a user's own data set looks like."""

import numpy as np

from datamodules import ImageDataModule
from datamodules.pool import Images
from datamodules.sources import Arrays


class Tiny(ImageDataModule):
    """Noisy bars of ten heights, 28x28, grey: learnable, and not the same when turned."""

    in_channels = 1
    image_size = 28
    num_classes = 10
    class_names = tuple("0123456789")
    mean = (0.3,)
    std = (0.3,)

    def load(self) -> Arrays:
        return bars(self.in_channels, self.image_size, 600, 200)

    def setup(self, stage: str | None = None) -> None:
        """With 50 images to turn by every angle: 24 angles of all 200 are a third of a tiny trial's time."""
        super().setup(stage)
        self.rotation_sweep = Images(self._pool, self.test.indices[:-1][:50].numpy())


class Few(ImageDataModule):
    """The same in three channels of 32x32, which every architecture takes, and so few that a large one is quick."""

    in_channels = 3
    image_size = 32
    num_classes = 10
    class_names = Tiny.class_names
    mean = (0.3,) * 3
    std = (0.3,) * 3

    def load(self) -> Arrays:
        return bars(self.in_channels, self.image_size, 60, 20)


def bars(channels: int, size: int, train: int, test: int) -> Arrays:
    random = np.random.RandomState(0)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 10
        images = random.randint(0, 60, (count, channels, size, size))
        for image, label in zip(images, labels, strict=True):
            image[0, 2 : 5 + 2 * label, 4:12] += 180
        return images.astype(np.uint8), labels.astype(np.int64)

    return Arrays(*draw(train), *draw(test))


TINY = ["--data=tests.tiny.Tiny", "--data.val_size=100"]
COMMAND = '["${env}", "${interpreter}", "${program}", fit, "${args}"]'


def a_sweep(**specs: str) -> str:
    """Return a sweep file of these parameters, ``__`` for a dot, and of one epoch on that data set."""
    usual = {"data": "{value: tests.tiny.Tiny}", "data.val_size": "{value: 100}"}
    usual |= {"trainer.max_epochs": "{value: 1}", "trainer.accelerator": "{value: cpu}"}
    given = {name.replace("__", "."): spec for name, spec in specs.items()}
    lines = [f"  {name}: {spec}" for name, spec in {**given, **usual, **given}.items()]
    return "\n".join(["program: train.py", "method: grid", "parameters:", *lines, f"command: {COMMAND}", ""])
