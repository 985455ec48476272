"""Hugging Face transformers at tiny sizes, from configurations: nothing is downloaded.

``architectures()`` yields ``(name, constructor, inputs)``, the form ``coverage.py`` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

Inputs = dict[str, Any]
Architecture = tuple[str, Callable[[], nn.Module], Callable[[], Inputs]]

SIZE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**SIZE, "num_key_value_heads": 2, "use_cache": False}
# By default experts are multiplied by an operator of the library's own, which ONNX has nothing for.
EXPERTS = {**GROUPED, "experts_implementation": "batched_mm"}
PAIR = {
    "vocab_size": 64,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "use_cache": False,
}
PATCHES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
SPEECH = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 2, 2),
    "conv_kernel": (10, 3, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "num_feat_extract_layers": 3,
}
FORECAST = {
    "prediction_length": 4,
    "context_length": 12,
    "lags_sequence": [1, 2],
    "num_time_features": 2,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "use_cache": False,
}


def ids(length: int = 16, start: int = 3, **more: Any) -> Inputs:
    return {"input_ids": torch.randint(start, 64, (2, length)), **more}


def masked(length: int = 16) -> Inputs:
    mask = torch.ones(2, length, dtype=torch.long)
    mask[1, length // 2 :] = 0
    return {"input_ids": torch.randint(3, 64, (2, length)), "attention_mask": mask}


def both() -> Inputs:
    return ids(12, decoder_input_ids=torch.randint(3, 64, (2, 8)))


def image(size: int = 32, **more: Any) -> Inputs:
    return {"pixel_values": torch.randn(2, 3, size, size), **more}


def wave(length: int = 1600) -> Inputs:
    return {"input_values": torch.randn(2, length)}


def captioned(size: int = 32, length: int = 12) -> Inputs:
    return {**masked(length), "pixel_values": torch.randn(2, 3, size, size)}


def series() -> Inputs:
    past = 14
    return {
        "past_values": torch.randn(2, past),
        "past_time_features": torch.randn(2, past, 2),
        "past_observed_mask": torch.ones(2, past),
        "future_values": torch.randn(2, 4),
        "future_time_features": torch.randn(2, 4, 2),
    }


Row = tuple[str, Callable[[], Inputs], dict[str, Any]]

ENCODERS: list[Row] = [
    ("BertForSequenceClassification", masked, SIZE),
    ("RobertaForTokenClassification", masked, {**SIZE, "max_position_embeddings": 66}),
    ("XLMRobertaXLForSequenceClassification", masked, {**SIZE, "max_position_embeddings": 66}),
    ("RobertaPreLayerNormForMaskedLM", masked, {**SIZE, "max_position_embeddings": 66}),
    ("CamembertForQuestionAnswering", masked, {**SIZE, "max_position_embeddings": 66}),
    ("DistilBertForSequenceClassification", masked,
     {"vocab_size": 64, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}),
    ("AlbertForMaskedLM", masked, {**SIZE, "embedding_size": 16}),
    ("ElectraForSequenceClassification", masked, {**SIZE, "embedding_size": 16}),
    ("DebertaForSequenceClassification", masked,
     {**SIZE, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    ("DebertaV2ForSequenceClassification", masked,
     {**SIZE, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8,
      "share_att_key": True, "norm_rel_ebd": "layer_norm"}),
    ("MPNetForMaskedLM", masked, {**SIZE, "max_position_embeddings": 66, "pad_token_id": 1}),
    ("MobileBertForSequenceClassification", masked,
     {**SIZE, "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16}),
    ("SqueezeBertForSequenceClassification", masked, {**SIZE, "embedding_size": 32}),
    ("FunnelForSequenceClassification", masked,
     {"vocab_size": 64, "block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48}),
    ("LongformerForSequenceClassification", masked,
     {**SIZE, "attention_window": [4, 4], "max_position_embeddings": 66, "pad_token_id": 1}),
    ("BigBirdForSequenceClassification", masked, {**SIZE, "attention_type": "original_full"}),
    ("NystromformerForSequenceClassification", ids,
     {**SIZE, "num_landmarks": 4, "segment_means_seq_len": 16}),
    ("YosoForSequenceClassification", masked, {**SIZE, "use_expectation": True}),
    ("MraForMaskedLM", partial(masked, 64),
     {**SIZE, "max_position_embeddings": 66, "approx_mode": "full", "block_per_row": 2}),
    ("FNetForMaskedLM", ids, SIZE),
    ("XLNetForSequenceClassification", masked,
     {"vocab_size": 64, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "use_mems_eval": False}),
    ("XLMWithLMHeadModel", masked, {"vocab_size": 64, "emb_dim": 32, "n_layers": 2, "n_heads": 4}),
    ("ConvBertForSequenceClassification", masked,
     {**SIZE, "embedding_size": 32, "head_ratio": 2, "conv_kernel_size": 3}),
    ("RemBertForSequenceClassification", masked,
     {**SIZE, "input_embedding_size": 16, "output_embedding_size": 24}),
    ("RoFormerForSequenceClassification", masked, {**SIZE, "embedding_size": 16}),
    ("ModernBertForSequenceClassification", masked,
     {**SIZE, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 4, "global_attn_every_n_layers": 2}),
    ("EsmForMaskedLM", masked, {**SIZE, "position_embedding_type": "rotary", "mask_token_id": 3}),
    ("MegatronBertForSequenceClassification", masked, SIZE),
    ("ErnieForSequenceClassification", masked, SIZE),
    ("NomicBertForMaskedLM", masked, SIZE),
    ("EuroBertForMaskedLM", masked, GROUPED),
    ("CanineForSequenceClassification", masked,
     {**SIZE, "downsampling_rate": 4, "local_transformer_stride": 8, "num_hash_buckets": 16,
      "max_position_embeddings": 64}),
    ("LayoutLMForTokenClassification", masked, {**SIZE, "max_2d_position_embeddings": 64}),
    ("LiltForTokenClassification", masked,
     {**SIZE, "hidden_size": 48, "max_2d_position_embeddings": 64, "max_position_embeddings": 66,
      "channel_shrink_ratio": 2}),
    ("XmodForSequenceClassification", masked,
     {**SIZE, "max_position_embeddings": 66, "languages": ["en"], "default_language": "en"}),
    ("IBertForSequenceClassification", masked, {**SIZE, "max_position_embeddings": 66}),
    ("SplinterForQuestionAnswering", masked, SIZE),
    ("RoCBertForSequenceClassification", masked,
     {**SIZE, "pronunciation_vocab_size": 64, "shape_vocab_size": 64, "pronunciation_embed_dim": 8,
      "shape_embed_dim": 8}),
    ("LukeForSequenceClassification", masked,
     {**SIZE, "max_position_embeddings": 66, "entity_vocab_size": 16, "entity_emb_size": 16}),
    ("PerceiverForMaskedLM", partial(masked, 64),
     {"vocab_size": 64, "d_model": 32, "d_latents": 24, "num_latents": 6, "num_blocks": 1,
      "num_self_attends_per_block": 2, "num_self_attention_heads": 4, "num_cross_attention_heads": 4,
      "max_position_embeddings": 64, "qk_channels": 16, "v_channels": 24}),
]  # fmt: skip

DECODERS: list[Row] = [
    ("GPT2LMHeadModel", masked,
     {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "use_cache": False}),
    ("GPTNeoForCausalLM", masked,
     {"vocab_size": 64, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 4,
      "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 64, "use_cache": False}),
    ("GPTNeoXForCausalLM", masked, {**SIZE, "use_cache": False}),
    ("GPTJForCausalLM", masked,
     {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4,
      "use_cache": False}),
    ("GPTBigCodeForCausalLM", masked,
     {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "use_cache": False}),
    ("CodeGenForCausalLM", masked,
     {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4,
      "use_cache": False}),
    ("OpenAIGPTLMHeadModel", masked,
     {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    ("CTRLLMHeadModel", masked,
     {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "dff": 48, "n_positions": 64,
      "use_cache": False}),
    ("OPTForCausalLM", masked,
     {**SIZE, "ffn_dim": 48, "word_embed_proj_dim": 16, "use_cache": False}),
    ("BloomForCausalLM", masked,
     {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4, "use_cache": False}),
    ("MptForCausalLM", masked,
     {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64, "use_cache": False}),
    ("BioGptForCausalLM", masked, {**SIZE, "use_cache": False}),
    ("XGLMForCausalLM", masked,
     {**SIZE, "d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48, "use_cache": False}),
    ("LlamaForCausalLM", masked, GROUPED),
    ("MistralForCausalLM", masked, {**GROUPED, "sliding_window": 8}),
    ("MixtralForCausalLM", masked, {**EXPERTS, "num_local_experts": 4, "num_experts_per_tok": 2}),
    ("Qwen2ForCausalLM", masked, GROUPED),
    ("Qwen2MoeForCausalLM", masked,
     {**EXPERTS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
      "shared_expert_intermediate_size": 24}),
    ("Qwen3ForCausalLM", masked, {**GROUPED, "head_dim": 16}),
    ("Qwen3MoeForCausalLM", masked,
     {**EXPERTS, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}),
    ("Qwen3NextForCausalLM", masked,
     {**EXPERTS, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
      "shared_expert_intermediate_size": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
      "linear_key_head_dim": 8, "linear_value_head_dim": 8,
      "layer_types": ["linear_attention", "full_attention"]}),
    ("GemmaForCausalLM", masked, {**GROUPED, "head_dim": 8}),
    ("Gemma2ForCausalLM", masked, {**GROUPED, "head_dim": 8, "query_pre_attn_scalar": 8}),
    ("Gemma3ForCausalLM", masked, {**GROUPED, "head_dim": 8, "query_pre_attn_scalar": 8}),
    ("RecurrentGemmaForCausalLM", masked,
     {**GROUPED, "lru_width": 32, "attention_window_size": 8, "num_hidden_layers": 3}),
    ("PhiForCausalLM", masked, {**GROUPED, "partial_rotary_factor": 0.5}),
    ("Phi3ForCausalLM", masked, GROUPED),
    ("PhimoeForCausalLM", masked, {**EXPERTS, "num_local_experts": 4, "num_experts_per_tok": 2}),
    ("FalconForCausalLM", masked, {**SIZE, "multi_query": True, "parallel_attn": True, "use_cache": False}),
    ("FalconMambaForCausalLM", ids,
     {**SIZE, "state_size": 4, "time_step_rank": 4, "use_cache": False}),
    ("StableLmForCausalLM", masked, GROUPED),
    ("OlmoForCausalLM", masked, GROUPED),
    ("Olmo2ForCausalLM", masked, GROUPED),
    ("OlmoeForCausalLM", masked, {**EXPERTS, "num_experts": 4, "num_experts_per_tok": 2}),
    ("CohereForCausalLM", masked, GROUPED),
    ("GlmForCausalLM", masked, {**GROUPED, "head_dim": 8}),
    ("GraniteForCausalLM", masked, GROUPED),
    ("GraniteMoeForCausalLM", masked, {**EXPERTS, "num_local_experts": 4, "num_experts_per_tok": 2}),
    ("NemotronForCausalLM", masked, {**GROUPED, "head_dim": 8}),
    ("PersimmonForCausalLM", masked, {**SIZE, "use_cache": False}),
    ("Starcoder2ForCausalLM", masked, GROUPED),
    ("SmolLM3ForCausalLM", masked, GROUPED),
    ("HeliumForCausalLM", masked, {**GROUPED, "head_dim": 8}),
    ("ArceeForCausalLM", masked, GROUPED),
    ("Ernie4_5ForCausalLM", masked, {**GROUPED, "head_dim": 8}),
    ("DiffLlamaForCausalLM", masked, GROUPED),
    ("DeepseekV2ForCausalLM", masked,
     {**EXPERTS, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
      "qk_rope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 4, "n_shared_experts": 1,
      "num_experts_per_tok": 2, "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_group": 1,
      "topk_group": 1, "num_key_value_heads": 4, "head_dim": 4}),
    ("GptOssForCausalLM", masked,
     {**EXPERTS, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8}),
    ("MambaForCausalLM", ids, {**SIZE, "state_size": 4, "time_step_rank": 4, "use_cache": False}),
    ("Mamba2ForCausalLM", ids,
     {**SIZE, "state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 4,
      "use_cache": False}),
    ("RwkvForCausalLM", ids, {**SIZE, "attention_hidden_size": 32, "use_cache": False}),
    ("xLSTMForCausalLM", ids,
     {"vocab_size": 64, "hidden_size": 32, "num_blocks": 2, "num_heads": 4, "use_cache": False}),
    ("BambaForCausalLM", masked,
     {**GROUPED, "num_hidden_layers": 2, "attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8,
      "mamba_d_state": 4, "mamba_n_groups": 2, "mamba_chunk_size": 4}),
    ("ReformerModelWithLMHead", ids,
     {**SIZE, "attn_layers": ["local", "local"], "axial_pos_shape": [4, 4], "axial_pos_embds_dim": [16, 16],
      "attention_head_size": 8, "feed_forward_size": 48, "is_decoder": True, "use_cache": False,
      "local_attn_chunk_length": 4, "num_buckets": 4}),
    ("ProphetNetForCausalLM", masked,
     {"vocab_size": 64, "hidden_size": 32, "num_decoder_layers": 2, "num_decoder_attention_heads": 4,
      "decoder_ffn_dim": 48, "max_position_embeddings": 64, "is_decoder": True,
      "add_cross_attention": False, "use_cache": False, "ngram": 2, "num_buckets": 8,
      "relative_max_distance": 16}),
]  # fmt: skip

T5 = {
    "vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4,
    "pad_token_id": 0, "decoder_start_token_id": 0, "use_cache": False,
}  # fmt: skip

PAIRS: list[Row] = [
    ("T5ForConditionalGeneration", both, T5),
    ("MT5EncoderModel", masked, {**T5, "feed_forward_proj": "gated-gelu"}),
    ("UMT5ForConditionalGeneration", both, {**T5, "feed_forward_proj": "gated-gelu"}),
    ("LongT5ForConditionalGeneration", both,
     {**T5, "encoder_attention_type": "transient-global", "local_radius": 3, "global_block_size": 4}),
    ("SwitchTransformersForConditionalGeneration", both,
     {**T5, "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1,
      "expert_capacity": 64}),
    ("Pop2PianoForConditionalGeneration", both, T5),
    ("BartForConditionalGeneration", both, PAIR),
    ("MBartForConditionalGeneration", both, PAIR),
    ("PegasusForConditionalGeneration", both, PAIR),
    ("PegasusXForConditionalGeneration", both, {**PAIR, "block_size": 4, "num_global_tokens": 4}),
    ("BigBirdPegasusForConditionalGeneration", both, {**PAIR, "attention_type": "original_full"}),
    ("MarianMTModel", both, PAIR),
    ("M2M100ForConditionalGeneration", both, PAIR),
    ("BlenderbotForConditionalGeneration", both, PAIR),
    ("PLBartForConditionalGeneration", both, PAIR),
    ("NllbMoeForConditionalGeneration", both,
     {**PAIR, "num_experts": 4, "encoder_sparse_step": 2, "decoder_sparse_step": 2, "expert_capacity": 16}),
    ("LEDForConditionalGeneration", both,
     {**PAIR, "attention_window": 4, "max_encoder_position_embeddings": 64,
      "max_decoder_position_embeddings": 64}),
    ("MvpForConditionalGeneration", both, {**PAIR, "use_prompt": True, "prompt_length": 3,
                                           "prompt_mid_dim": 16}),
    ("ProphetNetForConditionalGeneration", both,
     {"vocab_size": 64, "hidden_size": 32, "num_encoder_layers": 2, "num_decoder_layers": 2,
      "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4, "encoder_ffn_dim": 48,
      "decoder_ffn_dim": 48, "max_position_embeddings": 64, "use_cache": False, "ngram": 2,
      "num_buckets": 8, "relative_max_distance": 16}),
    ("FSMTForConditionalGeneration", both,
     {**PAIR, "src_vocab_size": 64, "tgt_vocab_size": 64, "langs": ["en", "de"]}),
]  # fmt: skip

STAGES = {
    "depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 2, 3, 4],
}  # fmt: skip

IMAGES: list[Row] = [
    ("ViTForImageClassification", image, PATCHES),
    ("DeiTForImageClassificationWithTeacher", image, PATCHES),
    ("BeitForImageClassification", image, {**PATCHES, "use_relative_position_bias": True}),
    ("Data2VecVisionForImageClassification", image, {**PATCHES, "use_shared_relative_position_bias": True}),
    ("ViTMSNForImageClassification", image, PATCHES),
    ("Dinov2ForImageClassification", image, {**PATCHES, "use_swiglu_ffn": True}),
    ("Dinov2WithRegistersForImageClassification", image, PATCHES),
    ("DINOv3ViTModel", image, PATCHES),
    ("IJepaForImageClassification", image, PATCHES),
    ("YolosForObjectDetection", image, {**PATCHES, "image_size": [32, 32], "num_detection_tokens": 5}),
    ("DPTForSemanticSegmentation", image,
     {**PATCHES, "num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3], "fusion_hidden_size": 16,
      "neck_hidden_sizes": [8, 8, 16, 16], "num_labels": 3}),
    ("VitDetModel", image, {**PATCHES, "window_size": 2, "window_block_indices": [0],
                            "use_relative_position_embeddings": True}),
    ("SwinForImageClassification", image,
     {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
      "window_size": 4}),
    ("Swinv2ForImageClassification", image,
     {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
      "window_size": 4}),
    ("Swin2SRForImageSuperResolution", image,
     {"image_size": 16, "patch_size": 1, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2],
      "window_size": 4, "upscale": 2}),
    ("DonutSwinForImageClassification", image,
     {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
      "window_size": 4}),
    ("ConvNextForImageClassification", image, {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}),
    ("ConvNextV2ForImageClassification", image, {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}),
    ("ResNetForImageClassification", image,
     {"embedding_size": 8, "depths": [1, 1, 1, 1], "hidden_sizes": [16, 24, 32, 40]}),
    ("RegNetForImageClassification", image,
     {"embedding_size": 8, "depths": [1, 1, 1, 1], "hidden_sizes": [16, 24, 32, 40], "groups_width": 8}),
    ("BitForImageClassification", image,
     {"embedding_size": 16, "depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 48, 64], "num_groups": 4}),
    ("MobileViTForImageClassification", image,
     {"image_size": 32, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [4, 8, 8, 12, 16, 20, 24],
      "num_attention_heads": 2, "intermediate_size": 32, "mlp_ratio": 2.0}),
    ("MobileViTV2ForImageClassification", partial(image, 64),
     {"image_size": 64, "width_multiplier": 0.25}),
    ("MobileNetV1ForImageClassification", image, {"depth_multiplier": 0.25, "image_size": 32}),
    ("MobileNetV2ForImageClassification", image, {"depth_multiplier": 0.25, "image_size": 32}),
    ("SegformerForSemanticSegmentation", image,
     {**STAGES, "decoder_hidden_size": 16, "sr_ratios": [4, 2, 2, 1]}),
    ("PvtForImageClassification", image,
     {**STAGES, "image_size": 32, "sequence_reduction_ratios": [4, 2, 2, 1]}),
    ("PvtV2ForImageClassification", image,
     {**STAGES, "image_size": 32, "sr_ratios": [4, 2, 2, 1], "mlp_ratios": [2, 2, 2, 2]}),
    ("PoolFormerForImageClassification", image,
     {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}),
    ("FocalNetForImageClassification", image,
     {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "focal_levels": [2, 2],
      "focal_windows": [3, 3], "use_layerscale": True}),
    ("CvtForImageClassification", image,
     {"embed_dim": [8, 16, 32], "num_heads": [1, 2, 4], "depth": [1, 2, 3]}),
    ("EfficientNetForImageClassification", image,
     {"image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320}),
    ("LevitForImageClassification", partial(image, 64),
     {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4], "depths": [1, 1, 1],
      "key_dim": [8, 8, 8]}),
    ("HieraForImageClassification", image,
     {"image_size": [32, 32], "patch_kernel": [7, 7], "patch_stride": [4, 4], "patch_padding": [3, 3],
      "embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 4], "query_stride": [2, 2],
      "num_query_pool": 2, "masked_unit_size": [4, 4]}),
    ("SwiftFormerForImageClassification", image,
     {"image_size": 32, "depths": [1, 1, 1, 1], "embed_dims": [8, 16, 24, 32]}),
    ("TextNetForImageClassification", image,
     {"stem_out_channels": 8, "conv_layer_kernel_sizes": [[[3, 3]], [[3, 1]], [[1, 3]], [[3, 3]]],
      "conv_layer_strides": [[2], [2], [2], [2]], "hidden_sizes": [8, 8, 16, 24, 32]}),
    ("HGNetV2ForImageClassification", partial(image, 64),
     {"stem_channels": [3, 8, 8], "embedding_size": 8, "stage_in_channels": [8, 16, 24, 32],
      "stage_mid_channels": [8, 8, 16, 16], "stage_out_channels": [16, 24, 32, 40],
      "stage_num_blocks": [1, 1, 1, 1], "stage_numb_of_layers": [2, 2, 2, 2],
      "hidden_sizes": [16, 24, 32, 40]}),
    ("ImageGPTForImageClassification", ids,
     {"vocab_size": 65, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "use_cache": False}),
    ("GLPNForDepthEstimation", image,
     {**STAGES, "decoder_hidden_size": 16, "sr_ratios": [4, 2, 2, 1]}),
    ("TimesformerForVideoClassification", lambda: {"pixel_values": torch.randn(2, 2, 3, 32, 32)},
     {**PATCHES, "num_frames": 2}),
    ("VideoMAEForVideoClassification", lambda: {"pixel_values": torch.randn(2, 4, 3, 32, 32)},
     {**PATCHES, "num_frames": 4}),
    ("VivitForVideoClassification", lambda: {"pixel_values": torch.randn(2, 4, 3, 32, 32)},
     {**PATCHES, "num_frames": 4, "tubelet_size": [2, 8, 8]}),
]  # fmt: skip

SOUNDS: list[Row] = [
    ("Wav2Vec2ForCTC", wave, SPEECH),
    ("Wav2Vec2ConformerForCTC", wave,
     {**SPEECH, "position_embeddings_type": "relative", "conv_depthwise_kernel_size": 3}),
    ("HubertForSequenceClassification", wave, {**SPEECH, "do_stable_layer_norm": True,
                                               "feat_extract_norm": "layer"}),
    ("WavLMForSequenceClassification", wave, {**SPEECH, "num_buckets": 8, "max_bucket_distance": 16}),
    ("UniSpeechForCTC", wave, SPEECH),
    ("SEWForCTC", wave, {**SPEECH, "squeeze_factor": 2}),
    ("SEWDForCTC", wave, {**SPEECH, "squeeze_factor": 2, "position_buckets": 8}),
    ("Data2VecAudioForCTC", wave, {**SPEECH, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3}),
    ("WhisperForConditionalGeneration",
     lambda: {"input_features": torch.randn(2, 8, 40), "decoder_input_ids": torch.randint(3, 64, (2, 6))},
     {**PAIR, "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 16}),
    ("Speech2TextForConditionalGeneration",
     lambda: {"input_features": torch.randn(2, 40, 8), "decoder_input_ids": torch.randint(3, 64, (2, 6))},
     {**PAIR, "input_feat_per_channel": 8, "conv_channels": 16, "max_source_positions": 40,
      "max_target_positions": 16}),
    ("MoonshineForConditionalGeneration",
     lambda: {"input_values": torch.randn(2, 4000), "decoder_input_ids": torch.randint(3, 64, (2, 6))},
     {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "encoder_num_hidden_layers": 2,
      "decoder_num_hidden_layers": 2, "encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4,
      "use_cache": False, "pad_token_id": 0}),
    ("ASTForAudioClassification", lambda: {"input_values": torch.randn(2, 32, 16)},
     {**PATCHES, "max_length": 32, "num_mel_bins": 16, "frequency_stride": 4, "time_stride": 4}),
]  # fmt: skip

TOWERS = {
    "text_config": {**SIZE, "max_position_embeddings": 16},
    "vision_config": {**PATCHES},
    "projection_dim": 16,
}

BOTH: list[Row] = [
    ("CLIPModel", captioned, TOWERS),
    ("SiglipModel", captioned, TOWERS),
    ("AltCLIPModel", captioned, {**TOWERS, "text_config": {**SIZE, "project_dim": 16}}),
    ("ChineseCLIPModel", captioned, TOWERS),
    ("CLIPSegForImageSegmentation", captioned,
     {**TOWERS, "reduce_dim": 8, "extract_layers": [0, 1], "decoder_num_attention_heads": 2,
      "decoder_intermediate_size": 16, "conditional_layer": 0}),
    ("BlipForImageTextRetrieval", captioned,
     {**TOWERS, "text_config": {**SIZE, "encoder_hidden_size": 32}, "image_text_hidden_size": 16}),
    ("ViltForQuestionAnswering", captioned, {**PATCHES, **SIZE, "image_size": 32, "num_labels": 3}),
    ("FlavaModel", captioned,
     {"text_config": SIZE, "image_config": PATCHES, "multimodal_config": {**PATCHES},
      "hidden_size": 32, "projection_dim": 16}),
    ("LxmertModel",
     lambda: {**masked(), "visual_feats": torch.randn(2, 5, 8), "visual_pos": torch.rand(2, 5, 4)},
     {**SIZE, "l_layers": 1, "x_layers": 1, "r_layers": 1, "visual_feat_dim": 8}),
    ("VisualBertModel", lambda: {**masked(), "visual_embeds": torch.randn(2, 4, 24)},
     {**SIZE, "visual_embedding_dim": 24}),
    ("GroupViTModel", captioned,
     {"text_config": SIZE, "projection_dim": 16, "projection_intermediate_dim": 24,
      "vision_config": {**PATCHES, "depths": [1, 1, 1], "num_group_tokens": [8, 4, 0],
                        "num_output_groups": [8, 4, 4]}}),
    ("LlavaForConditionalGeneration",
     lambda: {"input_ids": torch.cat([torch.full((2, 16), 60), torch.randint(3, 50, (2, 6))], 1),
              "pixel_values": torch.randn(2, 3, 32, 32)},
     {"text_config": {**GROUPED, "model_type": "llama"},
      "vision_config": {**PATCHES, "model_type": "clip_vision_model"}, "image_token_index": 60,
      "vision_feature_layer": -1}),
    ("DecisionTransformerModel",
     lambda: {"states": torch.randn(2, 4, 5), "actions": torch.randn(2, 4, 3),
              "rewards": torch.randn(2, 4, 1), "returns_to_go": torch.randn(2, 4, 1),
              "timesteps": torch.arange(4)[None].repeat(2, 1), "attention_mask": torch.ones(2, 4)},
     {"state_dim": 5, "act_dim": 3, "hidden_size": 32, "n_layer": 2, "n_head": 4, "max_ep_len": 16}),
]  # fmt: skip

SERIES: list[Row] = [
    ("PatchTSTForPrediction", lambda: {"past_values": torch.randn(2, 32, 3)},
     {"num_input_channels": 3, "context_length": 32, "patch_length": 4, "patch_stride": 4, "d_model": 16,
      "num_attention_heads": 2, "ffn_dim": 24, "num_hidden_layers": 2, "prediction_length": 4}),
    ("PatchTSMixerForPrediction", lambda: {"past_values": torch.randn(2, 32, 3)},
     {"num_input_channels": 3, "context_length": 32, "patch_length": 4, "patch_stride": 4, "d_model": 16,
      "num_layers": 2, "prediction_length": 4, "mode": "mix_channel"}),
    ("TimeSeriesTransformerForPrediction", series, FORECAST),
    ("InformerForPrediction", series, {**FORECAST, "sampling_factor": 2}),
    ("AutoformerForPrediction", series, {**FORECAST, "moving_average": 3, "autocorrelation_factor": 2}),
    ("TimesFmModelForPrediction",
     lambda: {"past_values": [torch.randn(32), torch.randn(32)], "freq": [0, 0]},
     {"patch_length": 8, "context_length": 32, "horizon_length": 8, "hidden_size": 32,
      "intermediate_size": 32, "head_dim": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
      "quantiles": [0.1, 0.5, 0.9], "freq_size": 3}),
]  # fmt: skip


def build(name: str, settings: dict[str, Any]) -> nn.Module:
    import transformers

    kind = getattr(transformers, name)
    model: nn.Module = kind(kind.config_class(**settings))
    return model.eval()


def architectures() -> Iterator[Architecture]:
    for rows in (ENCODERS, DECODERS, PAIRS, IMAGES, SOUNDS, BOTH, SERIES):
        for name, inputs, settings in rows:
            yield name, partial(build, name, settings), inputs
