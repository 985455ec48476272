"""The smallest network of every family of pytorchcv, by the names its model provider knows.

Inputs are as small as an architecture takes them: most classifiers end in a pooling window of fixed extent
and take their native size only.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn


def _without_torchvision() -> None:
    """Stand in for the one class that pytorchcv imports from torchvision (for video inpainting, not here)."""
    for name in ("torchvision", "torchvision.ops"):
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            sys.modules[name] = module
    sys.modules["torchvision"].ops = sys.modules["torchvision.ops"]  # type: ignore[attr-defined]
    sys.modules["torchvision.ops"].DeformConv2d = nn.Module  # type: ignore[attr-defined]


_without_torchvision()

from pytorchcv.model_provider import get_model  # noqa: E402

NATIVE_SIZE = """
airnet50_1x64d_r16 airnext50_32x4d_r2 alexnetb bagnet9 bam_resnet18 bninception cbam_resnet18 channelnet
condensenet74_c4_g4 darknet_ref darknet_tiny darknet53 darts densenet121 diapreresnet10 diaresnet10
diracnet18v2 dla34 dla46c dla46xc dpn68 drnc26 drnd22 espnetv2_wd2 fbnet_cb fdmobilenet_wd4 fishnet99 ghostnet
hardnet39ds hrnet_w18_small_v1 ibn_densenet121 ibn_resnet50 ibn_resnext50_32x4d ibnb_resnet50 igcv3_wd4
inceptionresnetv1 inceptionresnetv2 inceptionv3 inceptionv4 irevnet301 isqrtcovresnet18 menet108_8x1_g3
mixnet_s mnasnet_small mobilenet_wd4 mobilenetb_wd4 mobilenetv2_wd4 mobilenetv2b_wd4 mobilenetv3_small_wd2
msdnet22 nasnet_4a1056 octresnet10_ad2 peleenet pnasnet5large polynet preresnet10 proxylessnas_cpu
pyramidnet101_a360 resattnet56 resnet10 resnet10_cub resnext14_16x4d selecsls42 senet16 sepreresnet10
seresnet10 seresnext50_32x4d sharesnet18 shufflenet_g1_wd4 shufflenet_g3_wd4 shufflenetv2_wd2
shufflenetv2b_wd2 sknet50 sparsenet121 spnasnet sqnxt23_w1 sqnxt23v5_w1 squeezenet_v1_0 squeezeresnet_v1_0
vgg11 vovnet27s wrn50_2 xception xdensenet121_2 zfnet revnet38
densenet40_k12_bc_cifar10 diapreresnet20_cifar10 fractalnet_cifar10 msdnet22_cifar10 nin_cifar10
preresnet20_cifar10 pyramidnet110_a48_cifar10 resdropresnet20_cifar10 resnet20_cifar10 resnext20_16x4d_cifar10
rir_cifar10 ror3_56_cifar10 sepreresnet20_cifar10 seresnet20_cifar10 shakedropresnet20_cifar10
shakeshakeresnet20_2x16d_cifar10 wrn16_10_cifar10 wrn20_10_1bit_cifar10 xdensenet40_2_k24_bc_cifar10
"""
ANY_SIZE = """
dicenet_wd5 efficientnet_b0 efficientnet_b0b efficientnet_edge_small_b regnetx002 regnety002 resnesta18
resnestabc14 resneta10 resnetd50b scnet50 scneta50 tresnet_m prnet
"""
GIVEN_SIZE = """
bisenet_resnet18_celebamaskhq cgnet_cityscapes ctxnet_cityscapes dabnet_cityscapes danet_resnetd50b_cityscapes
deeplabv3_resnetd50b_voc edanet_cityscapes enet_cityscapes erfnet_cityscapes esnet_cityscapes
espcnet_cityscapes fastscnn_cityscapes fcn8sd_resnetd50b_voc fpenet_cityscapes icnet_resnetd50b_cityscapes
lednet_cityscapes linknet_cityscapes pspnet_resnetd50b_voc segnet_cityscapes sinet_cityscapes sqnet_cityscapes
unet_cityscapes centernet_resnet18_voc ibppose_coco lwopenpose2d_mobilenet_cmupan_coco
lwopenpose3d_mobilenet_cmupan_coco simplepose_mobile_mobilenetv3_small_w1_coco simplepose_resnet18_coco
lffd20x5s320v2_widerface
"""


def architectures() -> Iterator[tuple[str, Callable[[], nn.Module], Any]]:
    """Yield name, constructor and inputs of every network."""
    for name in NATIVE_SIZE.split():
        yield name, lambda name=name: get_model(name), _native(name)
    for name in ANY_SIZE.split():
        yield name, lambda name=name: get_model(name), torch.randn(1, 3, 128, 128)
    for name in GIVEN_SIZE.split():
        size = (256, 256) if name.startswith("sinet") else (192, 192)
        yield name, lambda name=name, size=size: get_model(name, in_size=size), torch.randn(1, 3, *size)
    spectrum, lengths = torch.randn(2, 64, 96), torch.tensor([96, 80])
    for name in ("jasper5x3", "quartznet5x5_en_ls"):
        yield name, lambda name=name: get_model(name, from_audio=False), (spectrum, lengths)
    yield "pfpcnet", lambda: get_model("pfpcnet"), torch.randn(1, 1, 320, 240)
    yield (
        "raft_small",
        lambda: get_model("raft_small"),
        (torch.randn(1, 3, 128, 128), torch.randn(1, 3, 128, 128)),
    )
    yield "superpointnet", lambda: get_model("superpointnet"), torch.randn(1, 1, 64, 64)
    person = torch.full((2,), 3)
    yield "voca8flame", lambda: get_model("voca8flame"), (torch.randn(2, 1, 16, 29), person.float())
    yield "nvpattexp116bazel76", lambda: get_model("nvpattexp116bazel76"), (torch.randn(2, 8, 16, 29), person)
    faces = torch.full((34, 76), 3.0)
    yield "visemenet20", lambda: get_model("visemenet20"), (torch.randn(34, 8, 195), faces)


def _native(name: str) -> Callable[[], torch.Tensor]:
    def image() -> torch.Tensor:
        with torch.device("meta"):
            size = get_model(name).in_size
        return torch.randn(1, 3, *size)

    return image
