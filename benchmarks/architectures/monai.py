"""Medical imaging networks of monai in one, two and three dimensions, at small sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from monai.networks import nets
from torch import Tensor, nn

Entry = tuple[str, Callable[[], nn.Module], Any]


def image(*shape: int) -> Tensor:
    """Return a batch of two random images of shape (channels, places...)."""
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))


LINE, FLAT, CUBE = image(1, 64), image(1, 64, 64), image(1, 32, 32, 32)
STEPS = {"channels": (8, 16, 32), "strides": (2, 2)}


def architectures() -> Iterator[Entry]:
    """Yield (name, constructor, inputs)."""
    yield from u_shaped()
    yield from classifiers()
    yield from transformers()
    yield from registration_and_generation()


def u_shaped() -> Iterator[Entry]:
    """Yield segmentation networks with skip connections."""
    yield "UNet-1d", lambda: nets.UNet(1, 1, 2, **STEPS, num_res_units=2), LINE
    yield "UNet-2d", lambda: nets.UNet(2, 1, 2, **STEPS, num_res_units=2), FLAT
    yield "UNet-3d", lambda: nets.UNet(3, 1, 2, **STEPS, norm="batch"), CUBE
    yield "VNet-2d", lambda: nets.VNet(2, 1, 2), image(1, 32, 32)
    yield "VNet-3d", lambda: nets.VNet(3, 1, 2), image(1, 16, 16, 16)
    for dim, x in ((2, FLAT), (3, CUBE)):
        name, wide = f"{dim}d", (8, 8, 16, 16, 32, 8)
        yield f"BasicUNet-{name}", lambda d=dim, w=wide: nets.BasicUNet(d, 1, 2, w), x
        yield f"AttentionUnet-{name}", lambda d=dim: nets.AttentionUnet(d, 1, 2, **STEPS), x
        yield f"SegResNet-{name}", lambda d=dim: nets.SegResNet(d, 8), x
        yield f"DynUNet-{name}", lambda d=dim: nets.DynUNet(
            d, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[8, 16, 32], res_block=d == 3
        ), x  # fmt: skip
        yield f"FlexibleUNet-{name}", lambda d=dim: nets.FlexibleUNet(
            1, 2, "efficientnet-b0", spatial_dims=d, decoder_channels=(32, 24, 16, 12, 8)
        ), x  # fmt: skip
        yield f"MedNeXt-{name}", lambda d=dim: nets.MedNeXt(
            d, 8, 1, 2, blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1, 1)
        ), x  # fmt: skip
    yield "BasicUNetPlusPlus", lambda: nets.BasicUNetPlusPlus(2, 1, 2, (8, 8, 16, 16, 32, 8)), FLAT
    yield "UNet-pixel-shuffle", lambda: nets.BasicUNet(
        3, 1, 2, (8, 8, 16, 16, 32, 8), upsample="pixelshuffle"
    ), CUBE  # fmt: skip
    yield "SegResNetVAE", lambda: nets.SegResNetVAE((32, 32), spatial_dims=2, in_channels=1), image(1, 32, 32)
    yield "SegResNetDS", lambda: nets.SegResNetDS(3, 8, 1, 2, blocks_down=(1, 1, 1)), CUBE
    yield "SegResNetDS2", lambda: nets.SegResNetDS2(3, 8, 1, 2, blocks_down=(1, 1, 1)), CUBE
    yield "DynUNet-supervised", lambda: nets.DynUNet(
        2, 1, 2, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[8, 16, 24, 32], deep_supervision=True
    ), FLAT  # fmt: skip
    yield "HighResNet", lambda: nets.HighResNet(3, 1, 2), image(1, 16, 16, 16)
    yield "AHNet-2d", lambda: nets.AHNet(spatial_dims=2, in_channels=1, out_channels=2), image(1, 128, 128)
    yield "AHNet-3d", lambda: nets.AHNet(
        spatial_dims=3, in_channels=1, out_channels=2, psp_block_num=2, upsample_mode="trilinear"
    ), image(1, 128, 128, 32)[:1]  # fmt: skip
    yield "HoVerNet", lambda: nets.HoVerNet("fast", out_classes=5), image(3, 256, 256)[:1]
    yield "Quicknat", lambda: nets.Quicknat(2, 1, 8), FLAT
    yield "DiNTS", dints, image(1, 32, 32, 32)


def dints() -> nn.Module:
    """Return a searched network of two resolutions."""
    space = nets.TopologyInstance(num_blocks=4, num_depths=2, use_downsample=True)
    return nets.DiNTS(space, 1, 2, use_downsample=True)


def classifiers() -> Iterator[Entry]:
    """Yield networks that put out a class."""
    for dim, x in ((1, LINE), (2, FLAT), (3, image(1, 32, 32, 32))):
        yield f"DenseNet-{dim}d", lambda d=dim: nets.DenseNet(d, 1, 3, 16, 8, (2, 3, 2)), x
        yield f"ResNet-basic-{dim}d", lambda d=dim: nets.ResNet(
            "basic", [1, 1, 1, 1], [8, 16, 24, 32], spatial_dims=d, n_input_channels=1, num_classes=3
        ), x  # fmt: skip
        yield f"EfficientNet-{dim}d", lambda d=dim: nets.EfficientNetBN(
            "efficientnet-b0", pretrained=False, spatial_dims=d, in_channels=1, num_classes=3
        ), x  # fmt: skip
    yield "ResNet-bottleneck", lambda: nets.ResNet(
        "bottleneck", [1, 1, 1, 1], [8, 16, 24, 32], spatial_dims=2, n_input_channels=1, num_classes=3,
        shortcut_type="A",
    ), FLAT  # fmt: skip
    for name in ("SEResNet50", "SEResNext50", "SENet154"):
        yield name, lambda n=name: getattr(nets, n)(spatial_dims=2, in_channels=1, num_classes=3), FLAT
    yield "DenseNet121", lambda: nets.DenseNet121(2, 1, 3), FLAT
    yield "MILModel-attention", lambda: nets.MILModel(
        3, "att", pretrained=False, backbone=backbone(), backbone_num_features=16
    ), image(4, 3, 32, 32)  # fmt: skip
    yield "MILModel-transformer", lambda: nets.MILModel(
        3, "att_trans", pretrained=False, backbone=backbone(), backbone_num_features=16, trans_blocks=2
    ), image(4, 3, 32, 32)  # fmt: skip
    yield "Regressor", lambda: nets.Regressor((1, 32, 32), (2,), (8, 16), (2, 2)), image(1, 32, 32)
    yield "FullyConnectedNet", lambda: nets.FullyConnectedNet(10, 3, [20, 16]), image(10)


def backbone() -> nn.Module:
    """Return a small network that puts out 16 features."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )  # fmt: skip


def transformers() -> Iterator[Entry]:
    """Yield networks with attention."""
    small = {"hidden_size": 32, "mlp_dim": 48, "num_heads": 4}
    for dim in (2, 3):
        x = image(1, *[32] * dim)
        size = tuple(x.shape[2:])
        yield f"ViT-{dim}d", lambda d=dim, s=size: nets.ViT(
            1, s, 8, num_layers=2, spatial_dims=d, classification=True, num_classes=3, **small
        ), x  # fmt: skip
        yield f"ViTAutoEnc-{dim}d", lambda d=dim, s=size: nets.ViTAutoEnc(
            1, s, 16, num_layers=2, spatial_dims=d, **small
        ), x  # fmt: skip
        yield f"UNETR-{dim}d", lambda d=dim, s=size: nets.UNETR(
            1, 2, s, feature_size=8, spatial_dims=d, **small
        ), x  # fmt: skip
        yield f"SwinUNETR-{dim}d", lambda d=dim: nets.SwinUNETR(
            1, 2, feature_size=12, depths=(1, 1, 1, 1), num_heads=(2, 2, 4, 4), spatial_dims=d
        ), FLAT if dim == 2 else image(1, 64, 64, 64)[:1]  # fmt: skip
    yield "SwinUNETR-v2", lambda: nets.SwinUNETR(
        1, 2, feature_size=12, depths=(2, 2, 2, 2), num_heads=(2, 2, 4, 4), spatial_dims=2, use_v2=True
    ), FLAT  # fmt: skip
    yield "MaskedAutoEncoderViT", lambda: nets.MaskedAutoEncoderViT(
        1, (32, 32), 8, num_layers=2, spatial_dims=2, decoder_hidden_size=24, decoder_mlp_dim=32,
        decoder_num_layers=1, decoder_num_heads=4, **small,
    ), image(1, 32, 32)  # fmt: skip
    yield "DecoderOnlyTransformer", lambda: nets.DecoderOnlyTransformer(
        20, 12, 32, attn_layers_depth=2, attn_layers_heads=4
    ), torch.arange(24).reshape(2, 12) % 20  # fmt: skip


def registration_and_generation() -> Iterator[Entry]:
    """Yield networks that put out a deformation or an image."""
    yield "RegUNet", lambda: nets.RegUNet(2, 1, 8, 2, out_channels=2), image(1, 32, 32)
    yield "LocalNet", lambda: nets.LocalNet(3, 2, 8, (0, 1, 2)), image(2, 16, 16, 16)
    yield "GlobalNet", lambda: nets.GlobalNet([32, 32], 2, 2, 8, 3), image(2, 32, 32)
    yield "VoxelMorphUNet", lambda: nets.VoxelMorphUNet(2, 2, 8, (8, 8, 16, 16), (8, 8)), image(2, 32, 32)
    for dim, x in ((1, LINE), (2, FLAT), (3, CUBE)):
        yield f"AutoEncoder-{dim}d", lambda d=dim: nets.AutoEncoder(
            d, 1, 1, (8, 16, 32), (2, 2, 2), inter_channels=(32, 32), num_res_units=1
        ), x  # fmt: skip
    yield (
        "VarAutoEncoder",
        lambda: nets.VarAutoEncoder(2, (1, 32, 32), 1, 6, (8, 16), (2, 2)),
        image(1, 32, 32),
    )
    yield "VarFullyConnectedNet", lambda: nets.VarFullyConnectedNet(10, 3, 4, [16, 12], [12, 16]), image(10)
    yield "Generator", lambda: nets.Generator((6,), (16, 8, 8), (16, 8, 1), (2, 2, 1)), image(6)
    yield "Discriminator", lambda: nets.Discriminator((1, 32, 32), (8, 16), (2, 2)), image(1, 32, 32)
    yield "Critic", lambda: nets.Critic((1, 32, 32), (8, 16), (2, 2)), image(1, 32, 32)
    some = {"num_res_blocks": 1, "norm_num_groups": 4, "channels": (8, 16), "attention_levels": (False, True)}
    yield "AutoencoderKL", lambda: nets.AutoencoderKL(2, 1, 1, latent_channels=4, **some), image(1, 16, 16)
    yield "DiffusionModelUNet", lambda: nets.DiffusionModelUNet(2, 1, 1, num_head_channels=4, **some), (
        image(1, 16, 16), torch.tensor([3, 7]),
    )  # fmt: skip
    yield "DiffusionModelUNet-conditioned", lambda: nets.DiffusionModelUNet(
        2, 1, 1, num_head_channels=4, with_conditioning=True, cross_attention_dim=6, **some
    ), {"x": image(1, 16, 16), "timesteps": torch.tensor([3, 7]), "context": image(5, 6)}  # fmt: skip
    yield "ControlNet", lambda: nets.ControlNet(
        2, 1, num_head_channels=4, conditioning_embedding_num_channels=(8, 16), **some
    ), (image(1, 16, 16), torch.tensor([3, 7]), image(1, 32, 32))  # fmt: skip
    yield "VQVAE", lambda: nets.VQVAE(
        2, 1, 1, channels=(8, 16), num_res_channels=(8, 16), num_embeddings=12, embedding_dim=6,
        downsample_parameters=((2, 4, 1, 1),) * 2, upsample_parameters=((2, 4, 1, 1, 0),) * 2,
    ), image(1, 16, 16)  # fmt: skip
    yield "SPADENet", lambda: nets.SPADENet(2, 1, 1, 2, (32, 32), [8, 16], z_dim=8), (
        image(2, 32, 32), image(1, 32, 32),
    )  # fmt: skip
