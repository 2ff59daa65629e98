"""Group convolutions on images: layers whose output rotates, or mirrors, along with their input.

Source: Cohen & Welling, "Group Equivariant Convolutional Networks", ICML 2016,
https://arxiv.org/abs/1602.07576.

A feature map on a group G is (B, C, |G|, H, W): per channel one plane for each element of G:

- p4, |G| = 4: element r rotates by r * 90 degrees counter-clockwise, as ``torch.rot90(x, r, (-2, -1))``;
- p4m, |G| = 8: element r + 4 * m first mirrors left to right if m = 1, then rotates by r * 90 degrees.

So p4 is the first half of p4m and one implementation serves both. Every layer f here satisfies
``f(g . x) = g . f(x)``, with ``g .`` the functions :func:`p4_action` and :func:`p4m_action`.

To take a plain 2d module in between, fold the group into the channels: ``x.flatten(1, 2)`` and back,
``x.unflatten(1, (-1, 4))``. Only what treats all planes of a channel alike keeps the equivariance:
activations do, and ``GroupBatchNorm`` in place of ``nn.BatchNorm2d``.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.operators import _check, _native


def p4_action(x: Tensor, k: int) -> Tensor:
    """Rotates an image or a p4 feature map by ``k`` * 90 degrees counter-clockwise.

    Args:
        x: (B, C, H, W), an image (a map on Z2); or (B, C, 4, H, W), a map on p4, whose planes rotate and
            change places.
        k: Any integer; taken modulo 4.

    Returns:
        The transformed map; H and W change places if ``k`` is odd.

    Raises:
        ValueError: if ``x`` has another shape.
    """
    return _act(x, k % 4, order=4)


def p4m_action(x: Tensor, g: int) -> Tensor:
    """Mirrors and rotates an image or a p4m feature map.

    Args:
        x: (B, C, H, W), an image (a map on Z2); or (B, C, 8, H, W), a map on p4m, whose planes move and
            change places.
        g: Element of p4m, 0 to 7: mirror left to right if ``g >= 4``, then rotate by ``g % 4`` * 90 degrees.

    Returns:
        The transformed map; H and W change places if ``g`` is odd.

    Raises:
        ValueError: if ``x`` has another shape or ``g`` is not an element.
    """
    if g not in range(8):
        raise ValueError(f"g must be an element of p4m, 0 to 7: got {g}")
    return _act(x, g, order=8)


class _GroupConv2d(nn.Module):
    """What the four group convolutions share: make the transformed copies of the filters, then one conv2d.

    Subclasses say which group (``order``) and whether the input is an image or already a map on the group
    (``in_planes``).
    """

    order: int
    in_planes: int
    index: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check.at_least(1, in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride)
        _check.at_least(0, padding=padding)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        planes = () if self.in_planes == 1 else (self.in_planes,)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *planes, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        # All copies hold the same weights in other places, so together they are one gather. No state to save.
        self.register_buffer("index", _copies(self.order, self.in_planes, kernel_size), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias as ``nn.Conv2d`` does, with fan-in ``in_channels * in_planes * K * K``."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def filters(self) -> Tensor:
        """The filter bank, made from the weights anew at every call.

        Returns:
            (out_channels, |G|, in_channels, in_planes, K, K): for each element of the group, the transformed
            filters.
        """
        out_channels, in_channels, size = self.out_channels, self.in_channels, self.kernel_size
        bank = self.weight.reshape(out_channels, in_channels, -1).index_select(2, self.index)
        return bank.view(out_channels, in_channels, self.order, self.in_planes, size, size).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C_in, H, W) or (B, C_in, |G|, H, W) to (B, C_out, |G|, H_out, W_out).

        Raises:
            ValueError: if ``x`` has another shape.
        """
        planes = () if self.in_planes == 1 else (self.in_planes,)
        if x.dim() != 4 + len(planes) or x.shape[1:-2] != (self.in_channels, *planes):
            expected = ", ".join(str(n) for n in (self.in_channels, *planes))
            raise ValueError(f"{type(self).__name__} takes (B, {expected}, H, W): got {tuple(x.shape)}")
        # One conv2d with the planes of input and output folded into their channels.
        weight = self.filters().permute(1, 0, 3, 2, 4, 5).flatten(2, 3).flatten(0, 1)
        bias = None if self.bias is None else self.bias.repeat(self.order)
        folded = _fold(x) if planes else _laid_out(x)
        return _unfold(F.conv2d(folded, weight, bias, self.stride, self.padding), self.order)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, bias={self.bias is not None}"
        )


class P4ConvZ2(_GroupConv2d):
    """Looks for the same patterns in an image in all four orientations, and keeps the four answers apart.

    It is the first layer of a p4 network: rotate the image and the output rotates, its four planes changing
    places.

    Cohen & Welling 2016, section 6.1, first layer. With ``stride > 1`` the equivariance is exact only if
    ``(H + 2 * padding - kernel_size) % stride == 0``, likewise for W; at other sizes the strided grid lies on
    other pixels after a rotation. Such sizes are not refused.

    Args:
        in_channels: C_in, of the image (B, C_in, H, W).
        out_channels: C_out, of the output (B, C_out, 4, H_out, W_out).
        kernel_size: K; even sizes are fine.
        stride: As for ``nn.Conv2d``.
        padding: As for ``nn.Conv2d``.
        bias: Whether to add one bias per output channel, the same for its four planes.

    Raises:
        ValueError: if a size is not positive or ``padding`` is negative.
    """

    order = 4
    in_planes = 1


class P4ConvP4(_GroupConv2d):
    """Looks for patterns among the orientations that an earlier layer found, again in all four orientations.

    It is every later layer of a p4 network: rotate its input (planes and places) and its output follows suit.

    Cohen & Welling 2016, section 6.1, later layers. Weights are (C_out, C_in, 4, K, K). For ``stride > 1``
    see :class:`P4ConvZ2`.

    Args:
        in_channels: C_in, of the input (B, C_in, 4, H, W).
        out_channels: C_out, of the output (B, C_out, 4, H_out, W_out).
        kernel_size: K; even sizes are fine.
        stride: As for ``nn.Conv2d``.
        padding: As for ``nn.Conv2d``.
        bias: Whether to add one bias per output channel, the same for its four planes.

    Raises:
        ValueError: if a size is not positive or ``padding`` is negative.
    """

    order = 4
    in_planes = 4


class P4MConvZ2(_GroupConv2d):
    """Looks for the same patterns in an image in all four orientations and their mirror images.

    It is the first layer of a p4m network: :class:`P4ConvZ2` with eight answers per channel in place of four.

    Cohen & Welling 2016, section 6.1, first layer. For ``stride > 1`` see :class:`P4ConvZ2`.

    Args:
        in_channels: C_in, of the image (B, C_in, H, W).
        out_channels: C_out, of the output (B, C_out, 8, H_out, W_out).
        kernel_size: K; even sizes are fine.
        stride: As for ``nn.Conv2d``.
        padding: As for ``nn.Conv2d``.
        bias: Whether to add one bias per output channel, the same for its eight planes.

    Raises:
        ValueError: if a size is not positive or ``padding`` is negative.
    """

    order = 8
    in_planes = 1


class P4MConvP4(_GroupConv2d):
    """Looks for patterns among the orientations and mirror images that an earlier layer found.

    It is every later layer of a p4m network: input and output are maps on p4m, with eight planes per channel.

    Cohen & Welling 2016, section 6.1, later layers. Weights are (C_out, C_in, 8, K, K). For ``stride > 1``
    see :class:`P4ConvZ2`.

    Args:
        in_channels: C_in, of the input (B, C_in, 8, H, W).
        out_channels: C_out, of the output (B, C_out, 8, H_out, W_out).
        kernel_size: K; even sizes are fine.
        stride: As for ``nn.Conv2d``.
        padding: As for ``nn.Conv2d``.
        bias: Whether to add one bias per output channel, the same for its eight planes.

    Raises:
        ValueError: if a size is not positive or ``padding`` is negative.
    """

    order = 8
    in_planes = 8


class GroupMaxPool2d(nn.Module):
    """Takes the maximum over small windows of every plane, as ``nn.MaxPool2d`` does, and stays equivariant.

    A window grid that does not end at the image's edge would start there after a rotation, so such sizes are
    refused.

    Cohen & Welling 2016, section 6.3 (subsampling on a subgroup).

    Args:
        kernel_size: Size of the window.
        stride: Step between windows; by default ``kernel_size``.

    Raises:
        ValueError: if a size is not positive.
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        _check.at_least(1, kernel_size=kernel_size, stride=stride)
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, |G|, H, W), or an image (B, C, H, W), to the same with smaller H and W.

        Raises:
            ValueError: if the windows do not cover H and W exactly; names the nearest sizes that they do.
        """
        for name, size in zip(("height", "width"), x.shape[-2:], strict=True):
            rest = (size - self.kernel_size) % self.stride
            if size < self.kernel_size or rest:
                below, above = size - rest, size - rest + self.stride
                choices = f"{below} or {above}" if below >= self.kernel_size else f"{self.kernel_size}"
                raise ValueError(
                    f"{name} must be kernel_size={self.kernel_size} plus a multiple of stride={self.stride} "
                    f"for exact equivariance: got {size}; use {choices}"
                )
        if x.dim() == 4:
            return F.max_pool2d(x, self.kernel_size, self.stride)
        return _unfold(F.max_pool2d(_fold(x), self.kernel_size, self.stride), x.shape[2])

    def extra_repr(self) -> str:
        """The arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class GroupPool(nn.Module):
    """Keeps, for every channel and pixel, the strongest answer of all orientations.

    What is left is an ordinary feature map, (B, C, |G|, H, W) to (B, C, H, W), that rotates with the image;
    its maximum or mean over the pixels does not change at all.

    Cohen & Welling 2016, section 6.3 (coset pooling).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, |G|, H, W) to (B, C, H, W)."""
        return x.amax(2)


def _laid_out(x: Tensor) -> Tensor:
    """Lays an image out plane by plane where batch norm is slow otherwise; all that follows keeps the layout.

    That is where it is PyTorch's, for want of compiled passes: on a CPU its threads get in each other's way where the
    channels come last and are as few as in a group network: two threads took 15 ms for a layer of P4CNN, forward and
    backward, in place of one's 7 ms and of 2 ms in this layout. A training step takes 98 ms instead of 156 ms; on one
    thread 165 ms instead of 145 ms.
    """
    if x.device.type == "cpu" and torch.get_num_threads() > 1 and not _native.takes(x):
        return x.clone(memory_format=torch.contiguous_format)  # contiguous() leaves the strides of one channel alone
    return x


def _fold(x: Tensor) -> Tensor:
    """Views (B, C, |G|, H, W) as (B, |G| * C, H, W), plane by plane.

    So it is a view whether or not the channels come last, and so batch norm, whose statistics are those of a channel
    over all its planes, finds its channels side by side.
    """
    return x.transpose(1, 2).flatten(1, 2)


def _unfold(x: Tensor, order: int) -> Tensor:
    """Views (B, |G| * C, H, W) as (B, C, |G|, H, W)."""
    return x.view(len(x), order, -1, *x.shape[2:]).transpose(1, 2)


def _act(x: Tensor, g: int, order: int) -> Tensor:
    """Applies element ``g`` to a map on Z2 or on the group of ``order`` elements."""
    if x.dim() == 5 and x.shape[2] == order:
        return _move(x[:, :, _sources(g, order)], g)
    if x.dim() == 4:
        return _move(x, g)
    raise ValueError(f"x must be (B, C, H, W) or (B, C, {order}, H, W): got {tuple(x.shape)}")


def _move(x: Tensor, g: int) -> Tensor:
    """Moves the pixels of the last two dimensions of ``x`` as element ``g`` does."""
    return torch.rot90(x.flip(-1) if g >= 4 else x, g % 4, (-2, -1))


def _sources(g: int, order: int) -> list[int]:
    """For each element h of the group, the number of ``g^-1 h``: the plane that comes to lie at h."""
    sources = []
    for h in range(order):
        rotation = h % 4 - g % 4
        # A mirror is passed by turning the other way: m r^k = r^-k m.
        sources.append((-rotation if g >= 4 else rotation) % 4 + 4 * (g // 4 ^ h // 4))
    return sources


def _copies(order: int, in_planes: int, kernel_size: int) -> Tensor:
    """For each element, plane and pixel, which of a filter's weights the transformed filter has there.

    Returns:
        (order * in_planes * K * K,), numbers below in_planes * K * K: ``(g . w)(h) = g . (w(g^-1 h))``. A
        filter on an image has one plane, and nothing to permute.
    """
    weights = torch.arange(in_planes * kernel_size**2).view(in_planes, kernel_size, kernel_size)
    copies = [_move(weights[_sources(g, order)] if in_planes > 1 else weights, g) for g in range(order)]
    return torch.stack(copies).flatten()
