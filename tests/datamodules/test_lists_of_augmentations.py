"""Lists of augmentations, and every class of kornia's that takes images alone, by its path."""

import inspect
import re
from types import SimpleNamespace

import kornia.augmentation as K
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import nn

from datamodules.augmentation import Augment, augmentation, joined, move
from datamodules.crop import RandomTurnShift
from headtohead.cli.errors import UsageError
from headtohead.trial.networks import _always, _try_augmentation
from tests.conftest import ROOT
from tests.tiny import Few

COLOURS = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}
NEEDS = {
    "ColorJiggle": COLOURS,
    "ColorJitter": COLOURS,
    "RandomAutoContrast": {"p": 0.5},
    "RandomCutMixV2": {"use_correct_lambda": True},
    "RandomSnow": {"snow_coefficient": [0.1, 0.9]},
    "RandomBrightness": {"brightness": [0.5, 1.5]},
    "RandomContrast": {"contrast": [0.5, 1.5]},
    "RandomGamma": {"gamma": [0.5, 2]},
    "RandomHue": {"hue": [-0.2, 0.2]},
    "RandomSaturation": {"saturation": [0.5, 1.5]},
    "CenterCrop": {"size": 32},
    "Denormalize": {"mean": 0.5, "std": 0.5},
    "LongestMaxSize": {"max_size": 32},
    "Normalize": {"mean": 0.5, "std": 0.5},
    "PadTo": {"size": [32, 32]},
    "RandomAffine": {"degrees": 20},
    "RandomCrop": {"size": [32, 32], "padding": 4},
    "RandomGaussianBlur": {"kernel_size": 3, "sigma": [0.5, 2]},
    "RandomMotionBlur": {"kernel_size": 3, "angle": 30, "direction": 0.5},
    "RandomResizedCrop": {"size": [32, 32]},
    "RandomRotation": {"degrees": 20},
    "RandomRotation90": {"times": [0, 3]},
    "RandomShear": {"shear": 10},
    "RandomTranslate": {"translate_x": [-0.2, 0.2]},
    "Resize": {"size": [32, 32]},
    "SmallestMaxSize": {"max_size": 32},
}
SAME_FOR_ALL = {"CenterCrop", "Denormalize", "LongestMaxSize", "Normalize", "PadTo", "Resize", "SmallestMaxSize"}
RESIZES = {
    "CenterCrop": {"size": 24},
    "LongestMaxSize": {"max_size": 40},
    "PadTo": {"size": [40, 40]},
    "RandomCrop": {"size": [24, 24]},
    "RandomResizedCrop": {"size": [24, 24]},
    "Resize": {"size": [24, 24]},
    "SmallestMaxSize": {"max_size": 40},
}
REFUSED = {  # what the command line says of them
    "RandomDissolving": "RandomDissolving: Optional dependency 'diffusers' is not installed",
    "RandomFisheye": "RandomFisheye needs center_x, center_y, gamma",
}
OTHERS = {  # policies, and what takes tensors, which a function gives it
    "AutoAugment": {"class_path": "kornia.augmentation.auto.AutoAugment", "init_args": {"policy": "cifar10"}},
    "RandAugment": {"class_path": "kornia.augmentation.auto.RandAugment", "init_args": {"n": 2, "m": 10}},
    "TrivialAugment": {"class_path": "kornia.augmentation.auto.TrivialAugment"},
    "RandomFisheye": {"class_path": f"{__name__}.fisheye"},
}
MIXES = ["RandomMixUpV2", "RandomCutMixV2", "RandomMosaic", "RandomTransplantation", "PatchMix"]
BASES = {"AugmentationBase2D", "GeometricAugmentationBase2D", "IntensityAugmentationBase2D"}
BASES |= {"RigidAffineAugmentationBase2D"}
KINDS = {name: kind for name, kind in vars(K).items() if inspect.isclass(kind)}
SINGLE = [n for n, k in KINDS.items() if issubclass(k, K.AugmentationBase2D) and n not in BASES] + ["RandomJigsaw"]


def fisheye() -> nn.Module:
    return K.RandomFisheye(*(torch.tensor(pair) for pair in ([-0.3, 0.3], [-0.3, 0.3], [0.9, 1.0])), p=1.0)


def parsed(*elements):
    """What the command line makes of a list."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--augment", type=list[Augment | nn.Module])
    return parser.instantiate(parser.parse_object({"augment": list(elements)})).augment


def element(name, arguments=None):
    return {"class_path": f"kornia.augmentation.{name}", "init_args": arguments or NEEDS.get(name, {})}


def training(augment, **more):
    data = Few(augment=augment, val_size=10, normalize=False, memory_format="contiguous", **more)
    data.trainer = SimpleNamespace(training=True, global_rank=0, world_size=1)
    return data


def seen(data, images):
    return data.on_after_batch_transfer((images, torch.zeros(len(images))), 0)[0]


def images(count=2):
    """One image of smooth colours and some noise, as often as wanted, ``(count, 3, 32, 32)`` uint8."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    image = 20 + 200 * nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    return image.byte().expand(count, -1, -1, -1).clone()


def test_the_list_is_kornias_own():
    assert len(SINGLE) > 50
    assert set(NEEDS) - set(MIXES) | SAME_FOR_ALL | set(RESIZES) | set(REFUSED) <= set(SINGLE)


@pytest.mark.parametrize("name", [name for name in SINGLE if name not in REFUSED])
def test_each_takes_a_batch_and_changes_each_image_in_its_own_way(name):
    torch.manual_seed(1)
    data = training(parsed("none", element(name)))
    assert type(data.augment).__name__ == name
    _try_augmentation(data.augment, images().float() / 255)
    differ = False
    for _ in range(30):
        made = seen(data, images())
        assert made.shape == (2, 3, 32, 32)
        assert made.isfinite().all()
        differ |= not torch.equal(made[0], made[1])
    assert differ == (name not in SAME_FOR_ALL)


@pytest.mark.parametrize("before", [[], ["flip"]])
@pytest.mark.parametrize("name", OTHERS)
def test_policies_and_what_a_function_builds_change_images_too(name, before):
    torch.manual_seed(1)
    data = training(parsed(*before, OTHERS[name]))
    assert type([*data.augment.children()][1] if before else data.augment).__name__ == name
    _try_augmentation(data.augment, images().float() / 255)
    changed = differ = 0
    for _ in range(30):
        made = seen(data, images(4))
        assert made.shape == (4, 3, 32, 32)
        assert not made.requires_grad  # kornia keeps parameters for those who learn a policy
        assert 0 <= made.min() <= made.max() <= 1
        changed += not torch.equal(made, images(4) / 255)
        differ += len({image.numpy().tobytes() for image in made}) > 1
    assert changed > 20
    assert differ > 5  # strengths and signs are drawn for each image


@pytest.mark.parametrize("name", RESIZES)
def test_another_size_is_refused_and_the_element_named(name):
    augment = training(parsed("flip", element(name, RESIZES[name]), "crop_flip")).augment
    with pytest.raises(UsageError, match=rf"^--data.augment: {name} must return images of shape \(2, 3, 32, 32\): got"):
        _try_augmentation(augment, torch.rand(2, 3, 32, 32))


def test_a_crop_that_is_resized_again_may_stand():
    data = training(parsed(element("CenterCrop", {"size": 24}), element("Resize")))
    _try_augmentation(data.augment, torch.rand(2, 3, 32, 32))
    inner = nn.functional.interpolate(images()[..., 4:28, 4:28] / 255, (32, 32), mode="bilinear", align_corners=False)
    assert seen(data, images()).shape == inner.shape
    assert (seen(data, images()) - inner).abs().max() < 0.05  # kornia may align corners


@pytest.mark.parametrize("name", MIXES)
def test_what_mixes_images_is_refused(name):
    augment = training(parsed("flip", element(name))).augment
    with pytest.raises(UsageError, match=f"^--data.augment: {name} mixes images"):
        _try_augmentation(augment, torch.rand(2, 3, 32, 32))


def test_a_rare_failure_is_found_at_once():
    class Bad(K.IntensityAugmentationBase2D):
        def apply_transform(self, input, params, flags, transform=None):
            raise ValueError("never works")

    bad = Bad(p=0.001)
    with pytest.raises(UsageError, match=r"Bad cannot take images .*never works"):
        _try_augmentation(joined(["flip", bad]), torch.rand(2, 3, 32, 32))
    assert (bad.p, bad.p_batch) == (0.001, 1.0)
    with _always(crop := K.RandomCrop((16, 16), p=0.2)):  # kornia keeps its share of images in this one
        assert (crop.p, crop.p_batch) == (1.0, 1.0)
    assert (crop.p, crop.p_batch) == (1.0, 0.2)
    with _always(never := K.RandomErasing(p=0.0)):
        assert never.p == 0.0


@pytest.mark.parametrize("name", ["none", "flip", "shift", "crop_flip", "quarter_turns", "rotate", "color"])
def test_a_list_of_one_draws_what_its_name_draws(name):
    results = []
    for augment in (name, [name], [name, "none"]):
        torch.manual_seed(3)
        results.append(seen(training(augment), images(8)))
    assert all(torch.equal(results[0], other) for other in results[1:])
    torch.manual_seed(3)
    by_hand = augmentation(name)(images(8).float() / 255)
    assert (results[0] - by_hand).abs().max() < 1e-6


def test_parts_are_applied_in_their_order_before_normalisation():
    class Half(nn.Module):
        def forward(self, images):
            return images / 2

    class Less(nn.Module):
        def forward(self, images):
            return images - 0.75

    data = training([Half(), Less()])
    expected = images() / 255 / 2 - 0.75  # below 0, and not clamped
    assert torch.allclose(seen(data, images()), expected)
    data = Few(augment=[Half(), Less()])
    data.memory_format, data.trainer = "contiguous", SimpleNamespace(training=True)
    assert torch.allclose(seen(data, images()), (expected - 0.3) / 0.3, atol=1e-6)
    data.trainer = SimpleNamespace(training=False)
    assert torch.allclose(seen(data, images()), (images() / 255 - 0.3) / 0.3, atol=1e-6)


def test_default_in_a_list_is_the_data_sets_own():
    class Own(Few):
        default_augment = "rotate"

    parts = list(Own(augment=["default", "flip"]).augment.children())
    assert [type(part) for part in parts] == [RandomTurnShift, K.RandomHorizontalFlip]
    assert isinstance(Own(augment=[]).augment, nn.Identity)


def test_tensors_move_and_draws_do_not():
    """The device meta stands in for a GPU."""
    augment = joined(["flip", K.RandomPlanckianJitter(p=0.5)])
    move(augment, torch.device("cpu"))
    move(augment, torch.device("meta"))
    assert {buffer.device.type for buffer in augment.buffers()} == {"meta"}
    assert [part.device.type for part in augment.children()] == ["cpu", "cpu"]  # where it draws


def test_every_element_in_the_table_of_the_docs_works():
    table = re.findall(r"^\| ([^|-]+?) \| (.+) \|$", (ROOT / "docs" / "augmentation.md").read_text(), re.MULTILINE)[1:]
    assert len(table) == 18
    for operation, said in table:
        elements = [yaml.safe_load(one) for one in re.findall(r"`([^`]+)`", said)]
        together = [elements] if "then" in said else [[one] for one in elements]
        for augment in together:
            data = training(parsed(*augment))
            _try_augmentation(data.augment, torch.rand(2, 3, 32, 32))
            torch.manual_seed(0)
            changed = any(not torch.equal(seen(data, images()), images() / 255) for _ in range(30))
            assert changed, (operation, augment)
