from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import netsmith.tasks
import netsmith.zoo
from netsmith.errors import NetsmithError, UnknownNameError

MODULES = [
    "netsmith.zoo",
    *(f"netsmith.zoo.{found.name}" for found in pkgutil.iter_modules(netsmith.zoo.__path__)),
]
IMAGES = netsmith.zoo.names("images")
GREY, COLOUR, PHOTO = (1, 28, 28), (3, 32, 32), (3, 224, 224)

# Parameters: sums over the papers' tables, as torchvision and the papers' own code also give them.
# Multiply-adds at that input size: published figures (1.81 G, 0.30 G, 15.5 G), by hand for LeNet-5. ResNet-20
# and ResNet-56 are 40,551,040 and 125,485,696 without shortcuts; the two 1x1 convolutions of either add
# 16 * 32 * 16^2 + 32 * 64 * 8^2.
KNOWN = [
    ("lenet-300-100", {}, 10, GREY, 266_610, 266_200),
    ("lenet5", {}, 10, GREY, 431_080, 2_293_000),
    ("resnet20", {"shortcut": "A"}, 10, COLOUR, 269_722, 40_551_040 + 262_144),
    ("resnet20", {"shortcut": "B"}, 10, COLOUR, 272_474, 40_551_040 + 262_144),
    ("eca-resnet20", {"shortcut": "B"}, 10, COLOUR, 272_474 + 27, 40_551_040 + 262_144 + 9 * 112),
    ("resnet56", {"shortcut": "A"}, 10, COLOUR, 853_018, 125_485_696 + 262_144),
    ("resnet18", {}, 1000, PHOTO, 11_689_512, 1_814_073_344),
    ("vgg16-bn", {}, 10, COLOUR, 14_728_266, 313_201_664),
    ("vgg16-bn", {"classifier": "imagenet"}, 1000, PHOTO, 138_365_992, 15_470_264_320),
    ("mobilenetv2", {}, 1000, PHOTO, 3_504_872, 300_774_272),
    ("mobilenetv2", {}, 10, COLOUR, 2_236_682, 87_976_448),
    ("small-cnn", {}, 10, (1, 8, 8), 56_554, 1_788_544),
]

INPUTS = {name: [(1, 8, 8), GREY, COLOUR, (3, 64, 48)] for name in IMAGES}
INPUTS["lenet5"] = [(1, 16, 16), GREY, COLOUR, (3, 64, 48)]
INPUTS["resnet18"] = [COLOUR, (3, 64, 48)]


@pytest.mark.parametrize(("name", "options", "classes", "shape", "parameters", "macs"), KNOWN)
def test_known_parameters_and_multiply_adds(
    name: str, options: dict[str, str], classes: int, shape: tuple[int, ...], parameters: int, macs: int
) -> None:
    with torch.device("meta"):
        model = netsmith.zoo.build(name, classes=classes, input_shape=shape, **options).eval()
        inputs = torch.zeros(1, *shape)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    with FlopCounterMode(display=False) as counter:
        assert model(inputs).shape == (1, classes)
    assert counter.get_total_flops() == 2 * macs


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet5"])
def test_weights_alone_are_those_of_the_pruning_literature(name: str) -> None:
    model = netsmith.zoo.build(name, classes=10, input_shape=GREY)
    weights = sum(p.numel() for key, p in model.named_parameters() if key.endswith("weight"))
    assert weights == {"lenet-300-100": 266_200, "lenet5": 430_500}[name]


@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name in INPUTS for shape in INPUTS[name]])
def test_shape_and_gradient_at_a_quarter_width(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = netsmith.zoo.build(name, classes=7, input_shape=shape, width=0.25)
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, 7)
    F.cross_entropy(logits, torch.arange(4)).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", IMAGES)
def test_initial_logits_are_neither_vanishing_nor_exploding(name: str) -> None:
    torch.manual_seed(0)
    model = netsmith.zoo.build(name, classes=10, input_shape=COLOUR)
    spread = float(model(torch.randn(16, *COLOUR)).detach().std())
    assert 0.1 < spread < 10


@pytest.mark.parametrize("name", IMAGES)
def test_half_width_is_smaller_and_no_module_is_used_twice(name: str) -> None:
    with torch.device("meta"):
        whole = netsmith.zoo.build(name, classes=10, input_shape=COLOUR)
        half = netsmith.zoo.build(name, classes=10, input_shape=COLOUR, width=0.5)
    count = [sum(p.numel() for p in model.parameters()) for model in (whole, half)]
    assert 0.2 < count[1] / count[0] < 0.75
    assert len(list(whole.modules())) == len(list(whole.named_modules(remove_duplicate=False)))


def test_small_cnn_learns_the_digits() -> None:
    task = netsmith.tasks.load("digits")
    images, targets = task.train.tensors
    torch.manual_seed(0)
    model = netsmith.zoo.build("small-cnn", classes=10, input_shape=task.input_shape)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10 * 20)
    for _ in range(10):
        for index in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            task.loss(model(images[index]), targets[index]).backward()
            optimizer.step()
            schedule.step()
    assert task.evaluate(model) >= 0.98


def test_mistakes() -> None:
    with pytest.raises(UnknownNameError, match="unknown model 'resnet-20'; did you mean resnet20"):
        netsmith.zoo.build("resnet-20", classes=10, input_shape=COLOUR)
    with pytest.raises(NetsmithError, match=r"reads images, not inputs of shape \(64,\)"):
        netsmith.zoo.build("lenet5", classes=10, input_shape=(64,))
    with pytest.raises(NetsmithError, match="lenet5 cannot read images of 8x8; give at least 16x16"):
        netsmith.zoo.build("lenet5", classes=10, input_shape=(1, 8, 8))
    with pytest.raises(UnknownNameError, match="unknown shortcut 'C'"):
        netsmith.zoo.build("resnet20", classes=10, input_shape=COLOUR, shortcut="C")
    with pytest.raises(UnknownNameError, match="unknown classifier 'imagnet'; did you mean imagenet"):
        netsmith.zoo.build("vgg16-bn", classes=10, input_shape=COLOUR, classifier="imagnet")
    with pytest.raises(UnknownNameError, match="unknown strides 'imagnet'; did you mean imagenet"):
        netsmith.zoo.build("mobilenetv2", classes=10, input_shape=COLOUR, strides="imagnet")


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_width(name: str, width: float) -> None:
    with pytest.raises(NetsmithError, match="cannot scale a network; give a positive number"):
        netsmith.zoo.build(name, classes=10, input_shape=COLOUR, width=width)


def test_classes_of_modules_are_torchs_or_ours() -> None:
    """A saved file names classes; only torch.nn's and our own may occur."""
    own = set()
    for name in IMAGES:
        model = netsmith.zoo.build(name, classes=10, input_shape=COLOUR, width=0.1)
        own |= {type(module).__name__ for module in model.modules() if not is_torchs(module)}
    assert own == {"BasicBlock", "EfficientChannelAttention", "InvertedResidual"}


def is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


@pytest.mark.parametrize("name", MODULES)
def test_zoo_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
