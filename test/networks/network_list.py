"""The networks that `npm run networks` tries: timm's and torchvision's own code, thin and shallow, whole with their
classifiers, as users export them. What stands in test/families is not repeated.

NETWORKS: name -> Network(build, side of the images in pixels, features). `features(network, image)` gives the last feature
map [N,C,H,W], as PyTorch has it: before the global pooling and the classifier, class and register tokens dropped.
"""

import dataclasses
import math
import typing

import timm
import torch
from timm.layers import GatedMlp
from timm.models import coat, convmixer, focalnet, metaformer, mlp_mixer
from torch import nn
from torchvision import models as torchvision_models


@dataclasses.dataclass(frozen=True)
class Network:
    build: typing.Callable[[], nn.Module]
    side: int
    features: typing.Callable[[nn.Module, torch.Tensor], torch.Tensor]
    is_transformer: bool = False


def as_map(tokens, prefix=0):
    """[N,T,C] -> [N,C,h,w], the first `prefix` tokens dropped; the grid is square."""
    n, count, channels = tokens.shape
    side = math.isqrt(count - prefix)
    assert side * side == count - prefix, tokens.shape
    return tokens[:, prefix:].transpose(1, 2).reshape(n, channels, side, side)


def timm_features(network, image):
    x = network.forward_features(image)
    if x.ndim == 3:
        return as_map(x, getattr(network, "num_prefix_tokens", 0) or 0)
    return x.permute(0, 3, 1, 2) if getattr(network, "output_fmt", None) == "NHWC" else x


def of_timm(name, side, is_transformer=False, **settings):
    return Network(lambda: timm.create_model(name, num_classes=7, **settings), side, timm_features, is_transformer)


def of_class(build, side, is_transformer=False):
    return Network(build, side, timm_features, is_transformer)


def vision_transformer_features(network, image):
    x = network._process_input(image)
    x = torch.cat([network.class_token.expand(x.shape[0], -1, -1), x], dim=1)
    return as_map(network.encoder(x), 1)


def torchvision_vit():
    return torchvision_models.VisionTransformer(64, 16, 2, 3, 48, 96, num_classes=7)


def torchvision_swin(version):
    block = {"v1": None, "v2": torchvision_models.swin_transformer.SwinTransformerBlockV2}[version]
    merging = torchvision_models.swin_transformer.PatchMergingV2
    more = {} if block is None else dict(block=block, downsample_layer=merging)
    return torchvision_models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=7, **more)


def swin_features(network, image):
    return network.permute(network.norm(network.features(image)))


def torchvision_maxvit():
    return torchvision_models.MaxVit((64, 64), 16, 4, [16, 32], [1, 1], 8, 0.0, num_classes=7)


def maxvit_features(network, image):
    x = network.stem(image)
    for block in network.blocks:
        x = block(x)
    return x


def of_torchvision(build, side, features, is_transformer=False):
    return Network(build, side, features, is_transformer)


def meta(mixers, norms, **settings):
    return metaformer.MetaFormer(
        depths=(1, 1, 1, 1), dims=(16, 24, 32, 48), token_mixers=mixers, norm_layers=norms, num_classes=7, **settings
    )


def mixer(block, **settings):
    return mlp_mixer.MlpMixer(
        num_classes=7, img_size=64, patch_size=16, num_blocks=3, embed_dim=48, block_layer=block, **settings
    )


def gated_mlp():
    return mixer(mlp_mixer.SpatialGatingBlock, mlp_ratio=4, mlp_layer=GatedMlp)


def residual_mlp():
    return mixer(mlp_mixer.ResBlock, mlp_ratio=4, norm_layer=mlp_mixer.Affine)


def hiera():
    network = timm.create_model(
        "hiera_tiny_224", num_classes=7, img_size=128, embed_dim=24, num_heads=1, stages=(1, 1, 2, 1)
    )
    # PyTorch exports its fused attention of four dimensions only; these are five.
    for layer in network.modules():
        if hasattr(layer, "fused_attn"):
            layer.fused_attn = False
    return network


THIN4 = dict(depths=(1, 1, 1, 1), dims=(16, 24, 32, 48))
VIT = dict(embed_dim=48, depth=2, num_heads=3)

TRANSFORMERS = {
    "vit": of_timm("vit_tiny_patch16_224", 64, True, img_size=64, **VIT),
    "torchvision-vit": of_torchvision(torchvision_vit, 64, vision_transformer_features, True),
    "dinov2-registers": of_timm("vit_small_patch14_reg4_dinov2", 70, True, img_size=70, **VIT),
    "dinov3": of_timm("vit_small_patch16_dinov3", 64, True, img_size=64, **VIT),
    "deit3": of_timm("deit3_small_patch16_224", 64, True, img_size=64, **VIT),
    "deit-distilled": of_timm("deit_tiny_distilled_patch16_224", 64, True, img_size=64, **VIT),
    "siglip-gap": of_timm("vit_base_patch16_siglip_gap_224", 64, True, img_size=64, **VIT),
    "vit-hybrid": of_timm("vit_tiny_r_s16_p8_224", 128, True, img_size=128, **VIT),
    "beit": of_timm("beit_base_patch16_224", 64, True, img_size=64, **VIT),
    "eva02": of_timm("eva02_tiny_patch14_224", 56, True, img_size=56, **VIT),
    "swin": of_timm(
        "swin_tiny_patch4_window7_224", 64, True, img_size=64, window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4)
    ),
    "swinv2": of_timm(
        "swinv2_tiny_window8_256", 64, True, img_size=64, window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4)
    ),
    "swinv2-cr": of_timm(
        "swinv2_cr_tiny_224", 64, True, img_size=64, window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4)
    ),
    "torchvision-swin": of_torchvision(lambda: torchvision_swin("v1"), 64, swin_features, True),
    "torchvision-swinv2": of_torchvision(lambda: torchvision_swin("v2"), 64, swin_features, True),
    "torchvision-maxvit": of_torchvision(torchvision_maxvit, 64, maxvit_features, True),
    "pvt-v2": of_timm("pvt_v2_b0", 128, True, depths=(1, 1, 1, 1), embed_dims=(16, 32, 40, 64), num_heads=(1, 2, 5, 8)),
    "hiera": of_class(hiera, 128, True),
    "cait": of_timm("cait_xxs24_224", 64, True, img_size=64, **VIT),
    "xcit": of_timm("xcit_nano_12_p16_224", 64, True, img_size=64, embed_dim=32, depth=2, num_heads=2),
    "coat": of_class(
        lambda: coat.CoaT(
            img_size=128, patch_size=4, num_classes=7, embed_dims=(16, 24, 32, 48), serial_depths=(1, 1, 1, 1),
            parallel_depth=0, num_heads=4, mlp_ratios=(2, 2, 2, 2),
        ),
        128,
        True,
    ),
    "levit": of_timm(
        "levit_128s", 224, True, img_size=224, embed_dim=(32, 48, 64), key_dim=16, num_heads=(2, 3, 4), depth=(2, 2, 2)
    ),
    "efficientformer": of_timm("efficientformer_l1", 224, True, embed_dims=(16, 24, 32, 48), depths=(1, 1, 1, 2)),
    "efficientformerv2": of_timm(
        "efficientformerv2_s0", 128, True, img_size=128, embed_dims=(16, 24, 32, 48), depths=(1, 1, 2, 2)
    ),
    "davit": of_timm(
        "davit_tiny", 128, True, embed_dims=(16, 32, 48, 64), depths=(1, 1, 1, 1), num_heads=(1, 2, 3, 4)
    ),
    "twins-svt": of_timm(
        "twins_svt_small", 128, True, img_size=128, embed_dims=(16, 32, 48, 64), num_heads=(1, 2, 3, 4), depths=(1, 1, 2, 1)
    ),
    "convit": of_timm("convit_tiny", 64, True, img_size=64, depth=3, local_up_to_layer=2),
    "caformer": of_class(
        lambda: meta(
            [metaformer.SepConv, metaformer.SepConv, metaformer.Attention, metaformer.Attention],
            [metaformer.LayerNorm2dNoBias] * 2 + [metaformer.LayerNormNoBias] * 2,
        ),
        128,
        True,
    ),
    "edgenext": of_timm("edgenext_xx_small", 128, True, dims=(16, 24, 40, 56), depths=(1, 2, 2, 2)),
    "mobilevit": of_timm("mobilevit_xxs", 128, True),
    "mobilevitv2": of_timm("mobilevitv2_050", 128, True),
    "efficientvit": Network(
        lambda: timm.create_model("efficientvit_b0", num_classes=7),
        128,
        lambda network, image: network.head.in_conv(network.forward_features(image)),
        True,
    ),
    "tiny-vit": of_timm(
        "tiny_vit_5m_224", 224, True, embed_dims=(16, 32, 40, 64), depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 4)
    ),
    "visformer": of_timm("visformer_tiny", 128, True, img_size=128, embed_dim=48, num_heads=3, depth=2),
    "tnt": of_timm(
        "tnt_s_legacy_patch16_224", 64, True,
        img_size=64, embed_dim=48, inner_dim=12, depth=2, num_heads_outer=3, num_heads_inner=2,
    ),
    "swiftformer": of_timm("swiftformer_xs", 128, True, layers=(1, 1, 1, 1), embed_dims=(16, 24, 32, 48)),
    "vitamin": of_timm("vitamin_small_224", 64, True, img_size=64, depths=(1, 1, 1), embed_dim=(16, 32, 48)),
}

OTHERS = {
    "gmlp": of_class(gated_mlp, 64),
    "mixer": of_class(lambda: mixer(mlp_mixer.MixerBlock), 64),
    "resmlp": of_class(residual_mlp, 64),
    "poolformer": of_class(
        lambda: meta([metaformer.Pooling] * 4, [metaformer.GroupNorm1] * 4, mlp_act=nn.GELU, use_mlp_head=False), 128
    ),
    "focalnet": of_class(
        lambda: focalnet.FocalNet(num_classes=7, embed_dim=16, depths=(1, 1, 1, 1), focal_levels=(2, 2, 2, 2)), 128
    ),
    "convmixer": of_class(
        lambda: convmixer.ConvMixer(dim=48, depth=3, kernel_size=7, patch_size=7, num_classes=7), 70
    ),
    "inception-next": of_timm("inception_next_atto", 128, depths=(1, 1, 1, 1), dims=(16, 32, 48, 64)),
    "convnextv2": of_timm("convnextv2_atto", 128, **THIN4),
    "mambaout": of_timm("mambaout_femto", 128, **THIN4),
    "repvit": of_timm("repvit_m0_9", 128, embed_dim=(16, 24, 32, 48), depth=(1, 1, 2, 1)),
    "ghostnet": of_timm("ghostnet_050", 128),
    "rexnet": of_timm("rexnet_100", 128, width_mult=0.35),
    "lcnet": of_timm("lcnet_035", 128),
    "mobilenetv4": of_timm("mobilenetv4_conv_small_035", 128),
    "mobileone": of_timm("mobileone_s0", 128),
    "hgnetv2": of_timm("hgnetv2_b0", 128),
    "hrnet": of_timm("hrnet_w18_small", 128),
    "dla": of_timm("dla46x_c", 128),
    "dpn": of_timm("dpn48b", 96),
    "res2net": of_timm("res2net50_26w_4s", 96, layers=(1, 1, 1, 1)),
    "resnest": of_timm("resnest14d", 96),
    "resnetv2": of_timm("resnetv2_50", 96, layers=(1, 1, 1, 1)),
    "seresnet": of_timm("seresnet18", 96, layers=(1, 1, 1, 1)),
    "skresnet": of_timm("skresnet18", 96, layers=(1, 1, 1, 1)),
    "ecaresnet": of_timm("ecaresnet26t", 96, layers=(1, 1, 1, 1)),
    "tresnet": of_timm("tresnet_m", 96, layers=(1, 1, 1, 1)),
    "vovnet": of_timm("ese_vovnet19b_slim_dw", 96),
    "gernet": of_timm("gernet_s", 96),
    "regnetz": of_timm("regnetz_b16", 96),
    "botnet": of_timm("botnet26t_256", 96, True, img_size=96, layers=(1, 1, 1, 1)),
    "halonet": of_timm("halonet26t", 256, True, layers=(1, 1, 1, 1)),
    "csatv2": of_timm("csatv2", 128),
}

# Small enough to lie in the repository (test/fixtures/networks): one of each kind that needs something of its own.
FIXTURES = {
    # A class token and registers, expanded to the batch; position embeddings; layer scales.
    "fixture-vit": of_timm(
        "vit_small_patch14_reg4_dinov2", 16, True, img_size=16, patch_size=4, embed_dim=8, depth=1, num_heads=2
    ),
    # Windows merged with the batch, shifted ones with a mask, patch merging, maps [N,H,W,C].
    "fixture-swin": of_timm(
        "swin_tiny_patch4_window7_224", 32, True,
        img_size=32, window_size=4, embed_dim=8, depths=(2, 1), num_heads=(2, 2), mlp_ratio=1,
    ),
    # Windows and grids cut out of maps [N,C,H,W] and put back.
    "fixture-maxvit": of_torchvision(
        lambda: torchvision_models.MaxVit((16, 16), 4, 2, [4], [1], 2, 0.0, num_classes=3, mlp_ratio=1), 16, maxvit_features, True
    ),
    # Linear layers along the tokens.
    "fixture-mixer": of_class(
        lambda: mlp_mixer.MlpMixer(num_classes=3, img_size=16, patch_size=4, num_blocks=2, embed_dim=8), 16
    ),
}

NETWORKS = {**TRANSFORMERS, **OTHERS, **FIXTURES}
