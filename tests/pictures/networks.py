"""Networks to look into, and what is shown to them."""

import torch
from torch import nn

from headtohead.pictures.images import Sample
from lit_models.operators import DepthwiseSeparableConv2d, Involution2d


class Mine(nn.Module):
    """A user's own architecture, with parts that no other file knows."""

    def __init__(self, in_channels=1, image_size=28, num_classes=10, width=3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, width, 4, stride=4),
            DepthwiseSeparableConv2d(width, 5, 3),
            nn.ReLU(inplace=True),
            Involution2d(5, 3),
        )
        self.head = nn.Linear(5, num_classes)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))


def image(seed=0, channels=1, size=28):
    return torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(seed))


def sample(pixels):
    return Sample("noise", pixels[0].permute(1, 2, 0).numpy().mean(2), (pixels,))


def saved(folder, model, facts=None, data=None, **changes):
    """Write a checkpoint as a trial does."""
    of = {"class_path": f"{type(model).__module__}.{type(model).__name__}", "init_args": {}}
    path = folder / "some.ckpt"
    weights = {f"net.{name}": value for name, value in model.state_dict().items()}
    facts = facts or {"in_channels": 1, "image_size": 28, "num_classes": 10}
    origin = {"model": of, "data": data or {}, "facts": facts}
    torch.save({"state_dict": weights, "trial": origin, **changes}, path)
    return path
