"""Image models of timm, at least one of every family, small ones, on images as small as they take.

timm imports torchvision, of which there is not a build for every version of PyTorch. No model here calls it,
so that empty stand-ins take its place while timm is imported, and are gone afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = 10
TORCHVISION = (
    "torchvision",
    *(
        f"torchvision.{name}"
        for name in (
            "datasets",
            "models",
            "models.feature_extraction",
            "ops",
            "ops.misc",
            "transforms",
            "transforms.functional",
            "utils",
        )
    ),
)

ANY_SIDE = {
    32: """
        test_resnet test_efficientnet test_efficientnet_gn test_efficientnet_ln test_efficientnet_evos
        test_byobnet test_convnext test_mambaout test_nfnet
    """,
    64: """
        resnet18 resnet10t resnet26d resnet50 resnext50_32x4d seresnet50 ecaresnet26t resnetblur18 resnetaa50d
        seresnext26t_32x4d resnet50_gn resnet32ts resnet51q seresnet33ts eca_resnet33ts gcresnet33ts
        resnext26ts legacy_seresnet18 legacy_seresnext26_32x4d res2net50_26w_4s res2net50d res2next50
        resnest14d resnest50d_4s2x40d skresnet18 skresnext50_32x4d resnetv2_18 resnetv2_50d_gn
        resnetv2_50x1_bit regnetx_002 regnety_002 regnetz_b16 regnetv_040 densenet121 densenetblur121d
        rdnet_tiny
        dla34 dla46x_c dla60_res2net dpn48b dpn68b hrnet_w18_small vgg11 vgg11_bn selecsls42
        ese_vovnet19b_slim_dw ese_vovnet19b_slim vovnet39a eca_vovnet39b legacy_xception
        xception41 xception41p mobilenetv1_100 mobilenetv2_050 efficientnet_lite0 efficientnet_b0
        tf_efficientnet_b0
        tf_efficientnetv2_b0 efficientnet_es efficientnet_blur_b0 efficientnet_b0_g8_gn efficientnet_cc_b0_4e
        mnasnet_050 semnasnet_075 spnasnet_100 fbnetc_100 fbnetv3_b mixnet_s tf_mixnet_s tinynet_e
        mobilenet_edgetpu_v2_xs mobilenetv3_small_050 mobilenetv3_large_075 tf_mobilenetv3_small_minimal_100
        mobilenetv4_conv_small_035 mobilenetv4_conv_medium mobilenetv4_conv_blur_medium
        mobilenetv4_hybrid_medium_075 lcnet_035 lcnetv2_small hardcorenas_a ghostnet_050 ghostnetv2_100
        ghostnetv3_050 repghostnet_050 rexnet_100 rexnetr_100 repvgg_a0 mobileone_s0 mobileone_s1 gernet_s
        repvit_m0_9 convnext_atto convnext_atto_ols convnext_zepto_rms convnextv2_atto inception_next_atto
        convmixer_768_32 cs3darknet_focus_s cs3darknet_s cs3sedarknet_l cs3se_edgenet_x cspresnext50 darknet53
        cspnext_tiny hgnet_tiny hgnetv2_b0 nf_resnet26 nf_seresnet26 nf_ecaresnet26 nf_regnet_b0 nfnet_l0
        dm_nfnet_f0 starnet_s050 mambaout_femto fasternet_t0 tresnet_m poolformer_s12 poolformerv2_s12
        convformer_s18 caformer_s18 efficientvit_b0 efficientvit_l1 focalnet_tiny_srf focalnet_tiny_lrf
        edgenext_xx_small edgenext_small_rw pvt_v2_b0 pvt_v2_b2_li fastvit_t8 fastvit_sa12 shvit_s1
        cpubone_nano lowformer_b0 swiftformer_xs lambda_resnet26t iformer_t nextvit_small
        xcit_nano_12_p16_224 mobilevitv2_050 mobilevit_xxs davit_tiny
        csatv2 efficientvim_m1 twins_svt_small twins_pcpvt_small
        tiny_vit_5m_224
    """,
    96: "inception_v3 inception_v4 inception_resnet_v2 nasnetalarge pnasnet5large",
    128: "efficientvit_m0 sam2_hiera_tiny",
}
"""Networks that take images of any side, by the side (in pixels) of the images they get here."""

MADE_FOR = {
    64: """
        vit_tiny_patch16_224 test_vit test_vit2 test_vit3 test_vit4 vit_small_patch16_18x2_224
        vit_dpwee_patch16_reg1_gap_256 vit_xsmall_patch16_clip_224 vit_pwee_patch16_reg1_gap_256
        vit_wee_patch16_reg1_gap_256 vit_base_patch16_rpn_224 vit_tiny_r_s16_p8_224 vit_small_resnet26d_224
        test_vit_relpos vit_relpos_small_patch16_224 vit_relpos_small_patch16_rpn_224
        vit_srelpos_small_patch16_224 deit_tiny_patch16_224 deit_tiny_distilled_patch16_224
        deit3_small_patch16_224 beit_base_patch16_224 beitv2_base_patch16_224
        vit_small_patch16_rope_224 vit_small_patch16_rope_mixed_224 vit_tiny_patch16_dinov3_qkvb
        vit_pe_core_tiny_patch16_384 vit_small_patch16_dinov3 samvit_base_patch16_224
        cait_xxs24_224 mixer_s16_224 gmixer_12_224 resmlp_12_224 gmlp_ti16_224 pit_ti_224
        pit_ti_distilled_224 tnt_s_patch16_224 mvitv2_tiny nest_tiny sequencer2d_s levit_128s levit_conv_128s
        coat_tiny volo_d1_224 efficientformerv2_s0 test_coatnet
        visformer_tiny convit_tiny coat_lite_tiny naflexvit_base_patch16_gap
    """,
    56: "eva02_tiny_patch14_224 vit_small_patch14_dinov2 vit_small_patch14_reg4_dinov2",
    128: """
        hiera_tiny_224 test_maxvit maxvit_pico_rw_256 maxxvit_rmlp_nano_rw_256 coatnet_pico_rw_224
        coatnet_nano_cc_224 coatnext_nano_rw_224 botnet26t_256 vitamin_small_224
    """,
    240: "crossvit_tiny_240 crossvit_9_dagger_240",
}
"""Networks made for images of one side, by that side."""

SMALL_WINDOWS: tuple[int, dict[str, Any]] = (64, {"img_size": 64, "window_size": 4})
OTHERS: dict[str, tuple[int, dict[str, Any]]] = {
    "swin_tiny_patch4_window7_224": SMALL_WINDOWS,
    "swin_s3_tiny_224": SMALL_WINDOWS,
    "swinv2_tiny_window8_256": SMALL_WINDOWS,
    "swinv2_cr_tiny_224": SMALL_WINDOWS,
    "swinv2_cr_tiny_ns_224": SMALL_WINDOWS,
    "halonet26t": (256, {}),
    "bat_resnext26ts": (256, {}),
    "efficientformer_l1": (224, {}),
    "gcvit_xxtiny": (128, {"window_size": (4, 4, 4, 4)}),
}
"""Networks with options of their own: the side of the images and the options."""


def architectures() -> Iterator[tuple[str, Callable[[], nn.Module], Tensor]]:
    """Yield a name, a constructor and an input for every network."""
    for side, names in ANY_SIDE.items():
        for name in names.split():
            yield name, partial(build, name), images(side)
    for side, names in MADE_FOR.items():
        for name in names.split():
            yield name, partial(build, name, img_size=side), images(side)
    for name, (side, options) in OTHERS.items():
        yield name, partial(build, name, **options), images(side)


def images(side: int) -> Tensor:
    """Return two images."""
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def build(name: str, **options: Any) -> nn.Module:
    """Return a network in which no parameter is constant.

    Many start with scales of zero or 1e-6 on their residual branches, under which a wrong branch would not
    show in the output.
    """
    with absent_torchvision():
        from timm import create_model

    model: nn.Module = create_model(name, num_classes=CLASSES, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                middle = 1.0 if float(parameter.flatten()[0]) > 0 else 0.0
                parameter.normal_(middle, 0.2)
    return model.eval()


class _Absent(ModuleType):
    """A module that has every name, of which nothing can be used."""

    __path__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        modes = "NEAREST NEAREST_EXACT BILINEAR BICUBIC BOX HAMMING LANCZOS"
        value = Enum(name, modes) if name == "InterpolationMode" else type(name, (), {})
        setattr(self, name, value)
        return value


@contextmanager
def absent_torchvision() -> Iterator[None]:
    """Let ``import torchvision`` pass for a while where it is not installed."""
    missing = [name for name in TORCHVISION if name not in sys.modules]
    for name in missing:
        sys.modules[name] = _Absent(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
