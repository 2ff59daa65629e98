"""What every task shares: the recipe by which a network is trained, and which of its checkpoints is the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self, cast

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric

IGNORED = -1  # the label of an image that pads a shard: counted nowhere

MOMENTUM = 0.9  # of sgd, where nothing else is asked for

Batch = tuple[Tensor, Tensor]
Optimizer = Literal["adamw", "adam", "sgd", "rmsprop"]
Schedule = Literal["constant", "cosine"]


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Compute in float32 proper: without autocast and, on a GPU, without TF32, which keeps 10 bits of each factor."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


class Task(LightningModule):
    """Trains any network by a recipe that does not depend on what the network is for.

    :class:`~lit_models.tasks.classifier.Classifier` and :class:`~lit_models.tasks.inpainter.Inpainter` subclass it and
    add the loss, the metrics and the test. The recipe (optimiser, learning rate, schedule) must not differ between two
    architectures under comparison, so it lives here and not in them.

    A subclass says with ``monitor`` and ``mode`` which checkpoint is the best, logs that number in validation, and
    leaves in ``test_report`` what its test found.

    Args:
        net: the network, any ``nn.Module``.
        optimizer: ``adamw``, ``adam``, ``sgd`` or ``rmsprop``, with PyTorch's defaults for all that is not named here.
        lr: learning rate, constant or the peak of the schedule.
        weight_decay: decoupled for ``adamw``, an L2 penalty for the others.
        momentum: for ``sgd`` only.
        schedule: ``constant``, or ``cosine`` from ``lr`` to 0 over the whole run, a step at a time.
        l1: weight of an L1 penalty, the sum of the absolute values of all parameters. It is in the gradients, not in
            the loss that is logged.
        warmup: steps in which the learning rate rises from ``lr / warmup`` to ``lr``; a cosine begins after them.

    Raises:
        ValueError: an argument is out of its range.
    """

    monitor: ClassVar[str] = "val_acc"  # the logged number by which the best checkpoint is chosen
    mode: ClassVar[Literal["min", "max"]] = "max"
    test_report: dict[str, Any]  # what the last test found: the scalars that it logged, and more
    per_image: Tensor  # (numbers, images), what the last test found of each image, in the data set's order

    def __init__(
        self,
        net: nn.Module,
        optimizer: Optimizer = "adamw",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = MOMENTUM,
        schedule: Schedule = "cosine",
        l1: float = 0.0,
        warmup: int = 0,
    ) -> None:
        super().__init__()
        if not (lr > 0 and math.isfinite(lr)):
            raise ValueError(f"lr must be a positive number: got {lr}; 0.001 is the default")
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise ValueError(f"weight_decay must be 0 or more: got {weight_decay}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1): got {momentum}")
        if optimizer != "sgd" and momentum != MOMENTUM:
            raise ValueError(f"momentum is for sgd, and changes nothing of {optimizer}: got {momentum}; leave it out")
        if not (l1 >= 0 and math.isfinite(l1)):
            raise ValueError(f"l1 must be 0 or more: got {l1}")
        if warmup < 0:
            raise ValueError(f"warmup must be 0 steps or more: got {warmup}")
        self.net = net
        self.optimizer, self.lr, self.weight_decay = optimizer, lr, weight_decay
        self.momentum, self.schedule = momentum, schedule
        self.l1, self.warmup = l1, warmup

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the network makes of its inputs."""
        output: Tensor = self.net(*inputs)
        # A network that replays CUDA graphs writes its next output over the last, and a test compares several.
        return output if self.training or self.net._compiled_call_impl is None else output.clone()

    def inputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what the network takes for images ``(B, C, H, W)``, to be tried and timed with."""
        return (images,)

    def check(self, images: Tensor) -> str | None:
        """Try the network on one batch before anything is trained; a task that knows its output says more.

        Args:
            images: as the data module yields them, ``(B, C, H, W)``.

        Returns:
            What is wrong with the network's output, in a few words, or None.
        """
        self.net(*self.inputs(images))
        return None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Convert or move what belongs to the task; what metrics add up stays in float32 at least.

        Under precision=bf16-true Lightning converts all of it, and a sum in bfloat16 stands still: 256 + 1 is 256.
        """
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch gives it no types
        for metric in (module for module in self.modules() if isinstance(module, Metric)):
            for name, value in metric._defaults.items():
                if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
                    metric._defaults[name] = value.float()
                    setattr(metric, name, getattr(metric, name).float())
        return self

    def setup(self, stage: str) -> None:
        """Give every process its own metrics: those that are spawned begin with their parent's, in shared memory."""
        self.reset_metrics()

    def reset_metrics(self) -> None:
        """Begin all metrics anew."""
        for module in self.modules():
            if isinstance(module, Metric):
                module.reset()

    def in_order(self, found: list[Tensor]) -> Tensor:
        """Join what each process found of its images, a batch at a time, into the order of the data set.

        It rests on how samplers deal out a data set that is not shuffled: image i goes to process i modulo their
        number, and what fills the last round, marked by NaN, has no image.

        Args:
            found: per batch ``(numbers, B)``, on every process as many.

        Returns:
            ``(numbers, images)`` on the CPU, the same on every process.
        """
        mine = torch.cat(found, 1)
        gathered = cast("Tensor", self.all_gather(mine))  # (processes, numbers, images); of one process as it is
        whole = gathered.view(-1, *mine.shape).permute(1, 2, 0).flatten(1).cpu()
        return whole[:, ~whole[0].isnan()]

    @torch.no_grad()
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Add the gradient of the L1 penalty, once for a step of several batches, and before gradients are clipped."""
        for parameter in self.parameters() if self.l1 else ():
            if parameter.grad is not None:
                parameter.grad.add_(parameter.sign(), alpha=self.l1)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; under autocast Lightning refuses it with a fused optimiser, also where no gradient is scaled."""
        if gradient_clip_val is None or self._scaled():
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(self.trainer.precision_plugin, optimizer, gradient_clip_val, algorithm)

    def _scaled(self) -> bool:
        """Tell whether the loss is scaled, as precision=16-mixed does, so that small gradients do not vanish."""
        plugin = getattr(self._trainer, "precision_plugin", None)
        return getattr(plugin, "scaler", None) is not None

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser and schedule that the recipe names."""
        # One pass over the weights in place of ten. None, PyTorch's choice, where gradients are looked at in between
        # while 16-mixed has them scaled: a fused step undoes that only at its end.
        looked_at = bool(self.l1) or getattr(self._trainer, "gradient_clip_val", None) is not None
        fused = True if self.device.type in ("cpu", "cuda") and not (looked_at and self._scaled()) else None
        if not all(parameter.is_floating_point() for parameter in self.parameters()):  # complex ones have no such pass
            fused = None
        shared: dict[str, Any] = {"lr": self.lr, "weight_decay": self.weight_decay, "fused": fused}
        optimizer: torch.optim.Optimizer
        if self.optimizer == "sgd":
            optimizer = torch.optim.SGD(self.parameters(), momentum=self.momentum, **shared)
        elif self.optimizer == "adam":
            optimizer = torch.optim.Adam(self.parameters(), **shared)
        elif self.optimizer == "rmsprop":
            optimizer = torch.optim.RMSprop(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        else:
            optimizer = torch.optim.AdamW(self.parameters(), **shared)
        if self.schedule == "constant":
            return self._scheduled(optimizer, lambda _: 1.0) if self.warmup else optimizer
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise MisconfigurationException(
                "task.schedule=cosine needs an end: set trainer.max_epochs or trainer.max_steps, or schedule=constant"
            )
        if self.warmup:
            rest = int(steps) - self.warmup
            if rest < 1:
                raise MisconfigurationException(
                    f"task.warmup must be fewer than the steps of the run, {int(steps)}: got {self.warmup}"
                )
            return self._scheduled(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1, step / rest))))
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, int(steps)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _scheduled(self, optimizer: torch.optim.Optimizer, after: Callable[[int], float]) -> OptimizerLRScheduler:
        """Let the learning rate rise, and then be ``after(steps since)`` times the highest."""
        warmup = self.warmup

        def factor(step: int) -> float:
            return (step + 1) / warmup if step < warmup else after(step - warmup)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
