"""Group convolutions: f(g . x) = g . f(x) for every g, and the definition of Cohen & Welling by value."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lit_models.operators import (
    GroupBatchNorm,
    GroupMaxPool2d,
    GroupPool,
    P4ConvP4,
    P4ConvZ2,
    P4MConvP4,
    P4MConvZ2,
    p4_action,
    p4m_action,
)

P4 = pytest.param(4, P4ConvZ2, P4ConvP4, p4_action, id="p4")
P4M = pytest.param(8, P4MConvZ2, P4MConvP4, p4m_action, id="p4m")
both_groups = pytest.mark.parametrize(("order", "lifting", "conv", "action"), [P4, P4M])

# The group as the paper has it: 2 x 2 integer matrices acting on (row, column). Counter-clockwise on a
# picture, whose rows run downwards, sends (row, column) to (-column, row); a mirror to (row, -column).
TURN, MIRROR = torch.tensor([[0, -1], [1, 0]]), torch.tensor([[1, 0], [0, -1]])
MATRICES = [
    torch.linalg.matrix_power(TURN.double(), g % 4).long() @ (MIRROR if g >= 4 else torch.eye(2, dtype=torch.long))
    for g in range(8)
]


def number(matrix):
    """Which element of p4m a matrix is."""
    (g,) = [g for g, other in enumerate(MATRICES) if torch.equal(matrix, other)]
    return g


def by_definition(x, weight, bias, order):
    """``[f * w](t, g) = sum over y, h of f(y, h) w(g^-1 (y - t), g^-1 h)``, for odd K."""
    on_image = x.dim() == 4
    f = x.unsqueeze(2) if on_image else x
    w = weight.unsqueeze(2) if on_image else weight
    (batch, _, planes, height, width), (out_channels, _, _, size, _) = f.shape, w.shape
    r = size // 2
    out = torch.zeros(batch, out_channels, order, height - 2 * r, width - 2 * r, dtype=x.dtype)
    out += bias.view(1, -1, 1, 1, 1)
    for g in range(order):
        inverse = MATRICES[g].T  # Orthogonal.
        for h in range(planes):
            plane = 0 if on_image else number(inverse @ MATRICES[h])
            for i in range(height - 2 * r):
                for j in range(width - 2 * r):
                    for di in range(-r, r + 1):
                        for dj in range(-r, r + 1):
                            a, b = (inverse @ torch.tensor([di, dj])).tolist()
                            pixel = f[:, :, h, i + r + di, j + r + dj]
                            out[:, :, g, i, j] += pixel @ w[:, :, plane, r + a, r + b].T
    return out


def random(*shape, seed=0):
    """Normal numbers in float64, the same each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@both_groups
def test_equals_the_definition(order, lifting, conv, action):
    torch.manual_seed(0)
    first, second = lifting(2, 2, 3).double(), conv(2, 2, 3).double()
    image, features = random(1, 2, 4, 5), random(1, 2, order, 3, 4)
    torch.testing.assert_close(
        first(image), by_definition(image, first.weight, first.bias, order), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(
        second(features), by_definition(features, second.weight, second.bias, order), rtol=1e-12, atol=1e-12
    )


def test_actions_move_pixels_and_planes():
    image = torch.tensor([[1.0, 2], [3, 4]]).view(1, 1, 2, 2)
    assert p4_action(image, 1).flatten().tolist() == [2, 4, 1, 3]  # Counter-clockwise.
    assert p4m_action(image, 4).flatten().tolist() == [2, 1, 4, 3]  # Left to right.
    assert p4m_action(image, 5).flatten().tolist() == [1, 3, 2, 4]  # Mirrored, then turned.
    planes = torch.arange(8.0).view(1, 1, 8, 1, 1)
    assert p4_action(planes[:, :, :4], 1).flatten().tolist() == [3, 0, 1, 2]
    assert p4m_action(planes, 1).flatten().tolist() == [3, 0, 1, 2, 7, 4, 5, 6]
    assert p4m_action(planes, 4).flatten().tolist() == [4, 7, 6, 5, 0, 3, 2, 1]
    assert torch.equal(p4_action(image, -1), p4_action(image, 3))


@pytest.mark.parametrize("planes", [None, 8])
def test_p4m_action_is_the_group_of_matrices(planes):
    x = random(1, 2, 3, 4) if planes is None else random(1, 2, planes, 3, 4)
    for g in range(8):
        for h in range(8):
            product = number(MATRICES[g] @ MATRICES[h])
            assert torch.equal(p4m_action(p4m_action(x, h), g), p4m_action(x, product))


@both_groups
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    channels=st.tuples(*[st.integers(1, 3)] * 3),
    size=st.integers(1, 4),
    padding=st.integers(0, 2),
    stride=st.integers(1, 3),
    steps=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    bias=st.booleans(),
)
def test_layers_are_equivariant(order, lifting, conv, action, channels, size, padding, stride, steps, bias):
    # Any size that the stride fits, (H + 2 * padding - K) % stride == 0, and that leaves a pixel to look at.
    height, width = (max(size + s * stride, 2 * padding + size) for s in steps)
    height, width = (n + (-(n + 2 * padding - size)) % stride for n in (height, width))
    torch.manual_seed(0)
    arguments = {"kernel_size": size, "stride": stride, "padding": padding, "bias": bias}
    first = lifting(channels[0], channels[1], **arguments)
    second = conv(channels[1], channels[2], **arguments)
    for layer, x in [
        (first, random(2, channels[0], height, width)),
        (second, random(2, channels[1], order, height, width)),
    ]:
        for dtype, tolerance in [(torch.float64, 1e-10), (torch.float32, 1e-5)]:
            typed = x.to(dtype)
            out = layer.to(dtype)(typed)
            assert out.shape[:3] == (2, layer.out_channels, order)
            for g in range(order):
                torch.testing.assert_close(layer(action(typed, g)), action(out, g), rtol=tolerance, atol=tolerance)


@both_groups
def test_equivariance_is_about_more_than_zeros(order, lifting, conv, action):
    """The planes differ, and the wrong element is noticed: otherwise the test above could not fail."""
    torch.manual_seed(0)
    layer, x = conv(2, 3, 3).double(), random(1, 2, order, 6, 6)
    out = layer(x)
    for g in range(order):
        for h in range(order):
            assert torch.allclose(layer(action(x, g)), action(out, h)) == (g == h)


@both_groups
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("height", "width"), [(14, 14), (14, 18)])
def test_network_is_equivariant_and_its_pooled_output_invariant(order, lifting, conv, action, height, width, training):
    torch.manual_seed(0)
    net = nn.Sequential(
        lifting(1, 4, 3), GroupBatchNorm(4), nn.ReLU(), GroupMaxPool2d(2), conv(4, 5, 3, padding=1),
        GroupBatchNorm(5), nn.SiLU(), conv(5, 6, 4), GroupMaxPool2d(3, 1),
    )  # fmt: skip
    for module in net.modules():
        if isinstance(module, GroupBatchNorm):
            nn.init.uniform_(module.weight)
            nn.init.uniform_(module.bias)
            module.running_mean = torch.rand(module.num_features)
    net.double().train(training)
    x = random(3, 1, height, width)
    features, pooled = net(x), GroupPool()(net(x))
    assert torch.equal(pooled, features.max(2).values)
    assert pooled.std() > 0.01
    for g in range(order):
        transformed = net(action(x, g))
        torch.testing.assert_close(transformed, action(features, g), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(GroupPool()(transformed), action(pooled, g), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(GroupPool()(transformed).amax((2, 3)), pooled.amax((2, 3)), rtol=1e-10, atol=1e-10)


@both_groups
@pytest.mark.parametrize("autocast", [True, False])
def test_equivariant_to_rounding_in_bfloat16(order, lifting, conv, action, autocast):
    torch.manual_seed(0)
    net = nn.Sequential(lifting(2, 4, 3), nn.ReLU(), conv(4, 4, 3))
    x = random(2, 2, 9, 9).float()
    if not autocast:
        net, x = net.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = net(x)
        assert out.dtype == torch.bfloat16
        for g in range(order):
            error = (net(action(x, g)).float() - action(out, g).float()).abs().max()
            assert error <= 2**-7 * out.float().abs().max()


@both_groups
def test_gradients_reach_the_weights(order, lifting, conv, action):
    """The gradient of an invariant loss does not depend on the orientation of the input either."""
    torch.manual_seed(0)
    layer, x = conv(2, 3, 3).double(), random(1, 2, order, 5, 5)
    gradients = []
    for g in range(order):
        layer.zero_grad()
        layer(action(x, g)).relu().sum().backward()
        gradients.append(layer.weight.grad.clone())
    assert gradients[0].abs().min() > 0
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-10, atol=1e-10)


@both_groups
def test_follows_the_weights(order, lifting, conv, action):
    """No filter bank outlives a step, and none is saved."""
    layer, x = conv(1, 1, 3, bias=False), random(1, 1, order, 5, 5).float()
    before = layer(x)
    with torch.no_grad():
        layer.weight.mul_(2)
    assert torch.equal(layer(x), 2 * before)
    assert list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize(("layer", "fan_in"), [(P4ConvZ2, 90), (P4ConvP4, 360), (P4MConvZ2, 90), (P4MConvP4, 720)])
def test_initial_scale_is_that_of_conv2d(layer, fan_in):
    torch.manual_seed(0)
    made, plain = layer(10, 50, 3), nn.Conv2d(fan_in, 50, 1)
    assert made.weight.abs().max() <= fan_in**-0.5
    assert made.weight.std().item() == pytest.approx(plain.weight.std().item(), rel=0.05)
    assert 0.8 * fan_in**-0.5 < made.bias.abs().max() <= fan_in**-0.5


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=st.integers(1, 4), stride=st.integers(1, 4), height=st.integers(1, 12), width=st.integers(1, 12))
def test_pooling_is_exact_or_refused(size, stride, height, width):
    pool, x = GroupMaxPool2d(size, stride), random(2, 2, 8, height, width)
    if any(n < size or (n - size) % stride for n in (height, width)):
        with pytest.raises(ValueError, match="exact equivariance"):
            pool(x)
        return
    out = pool(x)
    assert torch.equal(out[:, :, 3], nn.functional.max_pool2d(x[:, :, 3], size, stride))
    assert torch.equal(pool(x[:, :, 0]), out[:, :, 0])
    for g in range(8):
        assert torch.equal(pool(p4m_action(x, g)), p4m_action(out, g))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 1, 4, 7, 8),
            "height must be kernel_size=2 plus a multiple of stride=2 for exact equivariance: got 7; use 6 or 8",
        ),
        (
            (1, 1, 4, 8, 1),
            "width must be kernel_size=2 plus a multiple of stride=2 for exact equivariance: got 1; use 2",
        ),
    ],
)
def test_pooling_names_what_would_work(shape, message):
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        GroupMaxPool2d(2)(torch.zeros(shape))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@both_groups
def test_batch_norm_between_layers_is_batch_norm_3d(order, lifting, conv, action, layout):
    """Whatever lies next to what in memory; the plain layer gets a copy that is contiguous."""
    torch.manual_seed(0)
    first, second, norm = lifting(3, 5, 3).double(), conv(5, 4, 3).double(), GroupBatchNorm(5).double()
    plain = nn.BatchNorm3d(5).double()
    images = torch.randn(4, 3, 9, 9, dtype=torch.double).to(memory_format=layout)
    results = []
    for layer, copy in ((norm, lambda x: x), (plain, lambda x: x.contiguous())):
        output = second(layer(copy(first(images))))
        parameters = (first.weight, layer.weight, layer.bias, second.weight)
        gradients = torch.autograd.grad(output.pow(2).sum(), parameters)
        results.append((output, *gradients, layer.running_mean, layer.running_var))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected)


@both_groups
def test_channels_last_stay_last_without_a_copy(order, lifting, conv, action):
    images = torch.randn(2, 3, 10, 10).to(memory_format=torch.channels_last)
    x = lifting(3, 5, 3)(images)
    for layer in (GroupBatchNorm(5), nn.ReLU(), GroupMaxPool2d(2), conv(5, 4, 3)):
        x = layer(x)
        channels = x.shape[1]
        assert x.stride()[1:] == (1, channels, order * channels * x.shape[-1], order * channels), layer


@pytest.mark.parametrize("channels", [1, 3])
@both_groups
def test_several_threads_lay_the_planes_out_one_by_one(order, lifting, conv, action, channels):
    torch.manual_seed(0)
    first, norm, second = lifting(channels, 5, 3).double(), GroupBatchNorm(5).double(), conv(5, 4, 3).double()
    images = torch.randn(2, channels, 10, 10, dtype=torch.double).to(memory_format=torch.channels_last)
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            x = first(images)
            assert x.transpose(1, 2).is_contiguous() == (threads == 2)
            results.append([x, norm(x), second(norm(x)), *torch.autograd.grad(norm(x).pow(3).sum(), first.weight)])
    finally:
        torch.set_num_threads(1)  # as conftest.py has it
    torch.testing.assert_close(*results)


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (P4ConvP4(2, 3, 3), (1, 2, 8, 5, 5), "P4ConvP4 takes (B, 2, 4, H, W): got (1, 2, 8, 5, 5)"),
        (P4MConvZ2(2, 3, 3), (1, 3, 5, 5), "P4MConvZ2 takes (B, 2, H, W): got (1, 3, 5, 5)"),
        (lambda x: p4_action(x, 1), (1, 2, 8, 5, 5), "x must be (B, C, H, W) or (B, C, 4, H, W): got (1, 2, 8, 5, 5)"),
        (lambda x: p4m_action(x, 8), (1, 2, 5, 5), "g must be an element of p4m, 0 to 7: got 8"),
    ],
)
def test_refuses_maps_on_another_group(function, shape, message):
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        function(torch.zeros(shape))
