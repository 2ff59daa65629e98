"""Networks that are not written as most are: some work, and some give numbers that are not an image's own."""

import enum

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


class Flat(nn.Module):
    """One linear layer, and what a subclass makes of images before it."""

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.layer = nn.Linear(784, num_classes)

    def forward(self, images):
        return self.layer(self.before(images.flatten(1)))

    def before(self, pixels):
        return pixels


class AlwaysDrops(Flat):
    """F.dropout is in training unless it is told otherwise."""

    def before(self, pixels):
        return F.dropout(pixels, 0.5)


class Drops(Flat):
    """As it should be."""

    def before(self, pixels):
        return F.dropout(pixels, 0.5, self.training)


class Probabilities(Flat):
    """Has a softmax, which the loss has too."""

    def forward(self, images):
        return super().forward(images).softmax(1)


class LogProbabilities(Flat):
    """Has a log-softmax, which changes no loss."""

    def forward(self, images):
        return super().forward(images).log_softmax(1)


class Attention(Flat):
    """Attends, by PyTorch's default, to the other images of the batch."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(28, 4)

    def before(self, pixels):
        rows = pixels.unflatten(1, (28, 28))
        return self.attention(rows, rows, rows)[0].flatten(1)


class NoStatistics(Flat):
    """Normalises each batch by itself, in evaluation too."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, track_running_stats=False)

    def before(self, pixels):
        return self.norm(pixels.view(-1, 1, 28, 28)).flatten(1)


class PairsOnly(Flat):
    """Takes two images."""

    def forward(self, images):
        return self.layer(images.reshape(2, -1))


class Shuffled(Flat):
    """Looks at half of the pixels, which are drawn and kept nowhere."""

    def __init__(self):
        super().__init__()
        self.seen = torch.randperm(784)[:392]
        self.layer = nn.Linear(392, 10)

    def before(self, pixels):
        return pixels[:, self.seen]


class Warming(Flat):
    """Grows with each step, in a number that no checkpoint has."""

    def __init__(self):
        super().__init__()
        self.scale = 1.0

    def before(self, pixels):
        if self.training:
            self.scale += 0.1
        return pixels * self.scale


class Lazy(nn.Module):
    """Learns its shapes from the first images, of batch norm too."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyBatchNorm2d(momentum=None), nn.Flatten(), nn.LazyLinear(10))

    def forward(self, images):
        return self.layers(images)


class Normed(Flat):
    """Has a weight that is computed from two parameters."""

    def __init__(self):
        super().__init__()
        self.layer = weight_norm(self.layer)


class Looks(Flat):
    """Looks at values, which the meta device has not."""

    def before(self, pixels):
        return pixels if pixels.max().item() < 1e9 else pixels / 2


class Waves(Flat):
    """Has complex weights, and changes its input."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10, dtype=torch.cfloat)

    def forward(self, images):
        images.sub_(1)
        return super().forward(images.to(torch.cfloat)).real


class Hue(enum.Enum):
    """Of which one is an argument."""

    RED = 1
    BLUE = 2


class Coloured(Flat):
    """A classifier that may be given a mask, and a hue."""

    def __init__(self, hue: Hue = Hue.RED):
        super().__init__()
        assert isinstance(hue, Hue)

    def forward(self, images, mask=None):
        return super().forward(images)


class Overwrites(nn.Module):
    """Fills holes, and says of its mask, in place, that there are none left."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, images, mask):
        filled = self.layer(torch.cat([images, mask], 1))
        mask.fill_(1)
        return filled
