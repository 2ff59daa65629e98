"""Networks and a task of users' own: what works, and what must be refused before it is trained."""

import torch
import torch.nn.functional as F
from torch import nn

from lit_models import Classifier


class Plain(nn.Module):
    """Takes two of the facts: one without a default, and none that it has no argument for."""

    def __init__(self, num_classes: int, in_channels: int = 1, width: int = 4):
        super().__init__()
        self.width = width
        self.layer = nn.Linear(in_channels * width, num_classes)

    def forward(self, images):
        return self.layer(images.mean(3)[:, :, : self.width].flatten(1))


class Fixed(nn.Module):
    """Takes no fact at all."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 10)

    def forward(self, images):
        return self.layer(images.mean((2, 3)))


class OneOf(Fixed):
    """Says in its own words what it refuses, while it handles another error."""

    def __init__(self, kind: str = "wide"):
        super().__init__()
        try:
            self.width = {"wide": 4, "narrow": 2}[kind]
        except KeyError as error:
            said = ValueError(f"kind must be wide or narrow: got {kind}")
            if kind == "deep":
                raise said from error
            raise said  # noqa: B904  # without 'from', as users' networks do: that is the case under test


def make(num_classes: int, depth: int = 1) -> nn.Module:
    """A function that returns a network."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *[nn.ReLU()] * depth, nn.Linear(3, num_classes))


class LeNet(nn.Module):
    """As in every tutorial; it flattens by view, which images laid out channels last do not fit."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(in_channels, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Small(nn.Module):
    """One layer."""

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, num_classes))
        self.norm = nn.Identity()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images):
        if self.training:
            self.seen += len(images)
        return self.norm(self.layers(images))


class Normed(Small):
    """Cannot be trained on one image."""

    def __init__(self, num_classes: int = 10):
        super().__init__(num_classes)
        self.norm = nn.BatchNorm1d(num_classes)


class Mixup(Classifier):
    """Has a training step of its own, and logs what it likes."""

    def training_step(self, batch, batch_idx):
        images, labels = batch
        share, other = torch.rand(()).item(), torch.randperm(len(images))
        logits = self(share * images + (1 - share) * images[other])
        loss = share * F.cross_entropy(logits, labels) + (1 - share) * F.cross_entropy(logits, labels[other])
        self.log("train_mixed", loss, on_epoch=True, on_step=False)
        return {"loss": loss}


class Grey(Small):
    """Made for one channel, and told of no other."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 1, 3), *self.layers)


class AtMost28(Small):
    """Refuses larger images."""

    def __init__(self, image_size: int):
        super().__init__()
        if image_size > 28:
            raise ValueError(f"images of at most 28 pixels: got {image_size}")


class OneLogit(Small):
    """For two classes, as some write it."""

    def __init__(self):
        super().__init__(1)


class Nothing(nn.Module):
    """Has no parameters."""

    def forward(self, images):
        return images.flatten(1)[:, :10]


class Auxiliary(Small):
    """Has a second head while it is trained."""

    def forward(self, images):
        logits = super().forward(images)
        return (logits, logits) if self.training else logits


class InPlace(Small):
    """Overwrites what its gradient needs."""

    def forward(self, images):
        logits = super().forward(images).sigmoid()
        kept = logits * logits
        logits += 1
        return kept


class Detached(Small):
    """Has no gradient."""

    def forward(self, images):
        return super().forward(images).detach()


class Shrink(nn.Module):
    """An augmentation that loses a column."""

    def forward(self, images):
        return images[..., 1:]
