"""Batch norm with the addition and the ReLU after it, computed by compiled passes: against PyTorch's own in float64."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models import P4CNN, Z2CNN, ResNet
from lit_models.operators import GroupBatchNorm, _native, batch_norm, vectors
from lit_models.operators.batch_norm import NormedSequential, norm_relu

LAYOUTS = (torch.contiguous_format, torch.channels_last)
WIDTHS = [name for name, width in _native.WIDTHS.items() if width <= _native.WIDTHS.get(vectors(), 0)]
# What is compared is the compiled passes; the tests of PyTorch's own in their place run everywhere.
compiled = pytest.mark.skipif(not vectors(), reason="without a C compiler PyTorch's own runs")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the compiled passes were asked for."""
    seen: list[str] = []
    for name in ("batch_norm", "batch_norm_grad"):
        real = getattr(_native, name)
        monkeypatch.setattr(_native, name, lambda *a, _name=name, _real=real: seen.append(_name) or _real(*a))
    return seen


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def norm_of(channels: int, kind: Callable[[int], Any] = nn.BatchNorm2d) -> Any:
    norm = kind(channels)
    nn.init.uniform_(norm.weight, -1, 2)
    nn.init.normal_(norm.bias)
    return norm


def plainly(norm: nn.Module, x: Tensor, skip: Tensor | None = None) -> Tensor:
    output: Tensor = norm(x)
    return F.relu(output if skip is None else output + skip)


def results(
    function: Callable[..., Tensor], norm: Any, x: Tensor, skip: Tensor | None, grad: Tensor, dtype: torch.dtype
) -> list[Tensor]:
    """Return output, running statistics and all gradients."""
    norm = copy.deepcopy(norm).to(dtype if dtype == torch.float64 else torch.float32)
    inputs = [t.detach().to(dtype).requires_grad_() for t in (x, skip) if t is not None]
    output = function(norm, *inputs)
    output.backward(grad.to(dtype))
    found = [output, norm.running_mean, norm.running_var, norm.weight.grad, norm.bias.grad, *(t.grad for t in inputs)]
    assert int(norm.num_batches_tracked) == 1
    return [t.detach().double() for t in found]


def steady(norm: Any, x: Tensor, skip: Tensor | None, margin: float) -> Tensor:
    """A gradient that is zero where the ReLU's argument is so near zero that rounding decides."""
    value = copy.deepcopy(norm).double()(x.double())
    value = value if skip is None else value + skip.double()
    return torch.where(value.detach().abs() < margin, 0, torch.randn(x.shape))


@compiled
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "shape", [(8, 10, 7, 9), (2, 16, 32, 32), (3, 1, 4, 4), (40, 5, 1, 1), (1, 37, 3, 2), (1, 200, 9, 9)]
)
@pytest.mark.parametrize("added", [False, True])
def test_values_are_those_of_float64(
    shape: tuple[int, int, int, int],
    layout: torch.memory_format,
    added: bool,
    width: str,
    calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPERATOR_VECTORS", width)
    torch.manual_seed(0)
    norm, x = norm_of(shape[1]), (torch.randn(shape) * 3 + 2).to(memory_format=layout)
    skip = torch.randn(shape) if added else None  # of one layout, whichever the input has
    grad = steady(norm, x, skip, 1e-4)
    ours = results(norm_relu, norm, x, skip, grad, torch.float32)
    assert calls == ["batch_norm", "batch_norm_grad"]
    right = results(plainly, norm, x, skip, grad, torch.float64)
    for mine, theirs in zip(ours, right, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=2e-6 * max(1, theirs.abs().max().item()))


@compiled
@pytest.mark.parametrize("layout", LAYOUTS)
def test_little_cancels_where_the_mean_is_large(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    norm, x = norm_of(8), (torch.randn(8, 8, 16, 16) * 0.1 + 1000).to(memory_format=layout)
    x[0] += 1  # so that the first numbers tell little of the others
    norm.bias.data += 100  # nothing is cut off
    grad = torch.randn(x.shape)
    ours = results(norm_relu, norm, x, None, grad, torch.float32)
    theirs = results(plainly, norm, x, None, grad, torch.float32)
    right = results(plainly, norm, x, None, grad, torch.float64)
    for mine, other, best in zip(ours, theirs, right, strict=True):
        assert (mine - best).norm() <= 1.5 * (other - best).norm() + 1e-6 * best.norm()


@compiled
@pytest.mark.parametrize("order", [4, 8])
@pytest.mark.parametrize("last", [False, True])
def test_planes_of_a_group_share_their_statistics(order: int, last: bool, calls: list[str]) -> None:
    torch.manual_seed(0)
    shape = (3, order, 5, 6, 6)
    planes = torch.randn(3, 6, 6, order, 5).permute(0, 3, 4, 1, 2) if last else torch.randn(shape)
    x, norm = planes.transpose(1, 2), norm_of(5, GroupBatchNorm)
    skip = torch.randn(x.shape)
    grad = steady(norm, x, skip, 1e-4)
    ours = results(norm_relu, norm, x, skip, grad, torch.float32)
    alone = results(lambda norm, x: norm(x), norm, x, None, grad, torch.float32)
    assert calls == ["batch_norm", "batch_norm_grad"] * 2
    reference = nn.BatchNorm3d(5)
    reference.load_state_dict(norm.state_dict())
    for mine, right in zip(ours, results(plainly, reference, x, skip, grad, torch.float64), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-5)
    for mine, right in zip(
        alone, results(lambda norm, x: norm(x), reference, x, None, grad, torch.float64), strict=True
    ):
        torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-5)


@compiled
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("added", [False, True])
def test_bfloat16_is_summed_in_float32(layout: torch.memory_format, added: bool, calls: list[str]) -> None:
    torch.manual_seed(0)
    norm, x = norm_of(6), torch.randn(4, 6, 9, 9).bfloat16().to(memory_format=layout)
    skip = torch.randn(x.shape).bfloat16() if added else None
    grad = steady(norm, x, skip, 0.02).bfloat16()
    ours = results(norm_relu, norm, x, skip, grad, torch.bfloat16)
    assert calls
    right = results(plainly, norm, x, skip, grad, torch.float64)
    for index, (mine, theirs) in enumerate(zip(ours, right, strict=True)):
        # output and gradients of images are rounded to bfloat16, once
        rounding = {"rtol": 2**-8, "atol": 1e-3} if index in (0, 5, 6) else {"rtol": 1e-5, "atol": 1e-5}
        torch.testing.assert_close(mine, theirs, **rounding)


@compiled
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_number_of_threads_changes_no_bit(layout: torch.memory_format, two_threads: None) -> None:
    torch.manual_seed(0)
    norm, x = norm_of(10), torch.randn(16, 10, 28, 28).to(memory_format=layout)
    skip, grad, found = torch.randn(x.shape), torch.randn(x.shape), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(results(norm_relu, norm, x, skip, grad, torch.float32))
    assert x.numel() >= 2 * _native._SHARE  # enough for two threads
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@compiled
def test_nan_passes_through() -> None:
    x = torch.randn(2, 3, 4, 4)
    x[0, 1, 2, 2] = torch.nan
    assert torch.equal(norm_relu(nn.BatchNorm2d(3), x).isnan().any(3).any(2).any(0), torch.tensor([False, True, False]))


@compiled
@pytest.mark.parametrize("added", [False, True])
def test_gradients_have_gradients(added: bool) -> None:
    torch.manual_seed(0)
    norm, x = norm_of(4), torch.randn(3, 4, 5, 5, requires_grad=True)
    skip = torch.randn(x.shape, requires_grad=True) if added else None
    found = []
    for function in (norm_relu, plainly):
        (grad,) = torch.autograd.grad(function(norm, x, skip).square().sum(), x, create_graph=True)
        wanted = [x, norm.weight, norm.bias] + ([skip] if skip is not None else [])
        found.append(torch.autograd.grad(grad.square().sum(), wanted))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def hooked(norm: nn.Module) -> nn.Module:
    norm.register_forward_hook(lambda module, inputs, output: output + 1)
    return norm


@pytest.mark.parametrize(
    ("norm", "dtype"),
    [
        (nn.BatchNorm2d(4).eval(), torch.float32),
        (nn.BatchNorm2d(4).double(), torch.float64),
        (nn.BatchNorm2d(4, momentum=None), torch.float32),
        (nn.BatchNorm2d(4, track_running_stats=False), torch.float32),
        (nn.BatchNorm2d(4, affine=False), torch.float32),
        (type("Own", (nn.BatchNorm2d,), {"forward": lambda self, x: x - 1})(4), torch.float32),
        (hooked(nn.BatchNorm2d(4)), torch.float32),
        (nn.InstanceNorm2d(4), torch.float32),
    ],
)
def test_other_norms_are_called_as_they_are(norm: nn.Module, dtype: torch.dtype, calls: list[str]) -> None:
    x = torch.randn(3, 4, 5, 5, dtype=dtype)
    other = copy.deepcopy(norm)
    assert torch.equal(norm_relu(norm, x), plainly(other, x))
    assert all(torch.equal(*pair) for pair in zip(norm.buffers(), other.buffers(), strict=True))
    assert not calls


def test_transforms_and_compilers_see_pytorchs_operations(calls: list[str]) -> None:
    norm, x = nn.BatchNorm2d(4), torch.randn(3, 4, 5, 5)
    layers = NormedSequential(norm, nn.ReLU())
    gradient = torch.func.grad(lambda x: F.batch_norm(x, None, None, training=True).relu().square().sum())(x)
    norm.track_running_stats = True
    buffers = dict(norm.named_buffers())
    call = torch.func.functional_call
    ours = torch.func.grad(
        lambda x: call(layers, {f"0.{k}": b.clone() for k, b in buffers.items()}, (x,)).square().sum()
    )
    torch.testing.assert_close(ours(x), gradient)
    graph = torch.compile(layers, backend="eager", fullgraph=True)
    torch.testing.assert_close(graph(x), plainly(nn.BatchNorm2d(4), x))
    exported = torch.export.export(layers, (x,)).module()
    torch.testing.assert_close(exported(x), plainly(nn.BatchNorm2d(4), x))
    assert not calls


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (2, 3, 5, 5), (0, 4, 5, 5)])
def test_wrong_inputs_meet_pytorchs_own_words(shape: tuple[int, int, int, int]) -> None:
    said = []
    for function in (norm_relu, plainly):
        try:
            said.append(str(tuple(function(nn.BatchNorm2d(4), torch.randn(shape)).shape)))
        except (ValueError, RuntimeError) as error:
            said.append(str(error))
    assert said[0] == said[1]


def test_a_sequence_calls_what_is_watched(calls: list[str]) -> None:
    seen: list[Tensor] = []
    layers = NormedSequential(nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4), nn.Sigmoid())
    layers[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    x = torch.randn(3, 4, 5, 5)
    torch.testing.assert_close(layers(x), nn.Sequential(*layers)(x))
    assert len(seen) == 2
    assert not calls


@compiled
@pytest.mark.parametrize(
    ("make", "shape", "norms"),
    [
        (lambda: ResNet(depth=8, width=4), (4, 3, 16, 16), 7),
        (lambda: ResNet(depth=8, width=4, operator="involution"), (4, 3, 16, 16), 13),
        (lambda: ResNet(depth=8, width=4, operator="p4"), (4, 3, 16, 16), 7),
        (P4CNN, (4, 1, 28, 28), 6),
        (lambda: Z2CNN(dropout=0.0), (4, 1, 28, 28), 6),
    ],
)
def test_networks_train_as_before(
    make: Callable[[], nn.Module],
    shape: tuple[int, ...],
    norms: int,
    calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in float64: where max pooling chooses between two numbers that are nearly equal, float32 may go either way."""
    torch.manual_seed(0)
    network = make()
    twin = copy.deepcopy(network).double()
    images = torch.rand(shape).to(memory_format=torch.channels_last)
    F.cross_entropy(network(images), torch.arange(4)).backward()
    assert calls == ["batch_norm"] * norms + ["batch_norm_grad"] * norms
    monkeypatch.setattr(batch_norm, "_takes", lambda *_: False)
    F.cross_entropy(twin(images.double()), torch.arange(4)).backward()
    assert len(calls) == 2 * norms
    for (name, mine), theirs in zip(network.named_parameters(), twin.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-3, atol=1e-4, msg=name)
    for (name, mine), theirs in zip(network.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs.to(mine.dtype), rtol=1e-4, atol=1e-5, msg=name)


def test_synchronised_norms_stand_in_for_those_of_a_network(calls: list[str]) -> None:
    torch.manual_seed(0)
    network = ResNet(depth=8, width=4).eval()
    images = torch.rand(2, 3, 16, 16)
    expected = network(images)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    assert isinstance(converted.norm, nn.SyncBatchNorm)
    assert torch.equal(converted(images), expected)
    converted.train()(images)  # in one process as nn.BatchNorm2d
    assert int(converted.norm.num_batches_tracked) == 1
    assert not calls
