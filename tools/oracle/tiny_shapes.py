"""The shapes and formats of tiny_models.py. A change here asks for its goldens to be made again."""


def qwen3_config(**changes):
    config = {
        "model_type": "qwen3", "hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 40,
        "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 10, "vocab_size": 101,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "tie_word_embeddings": False, "hidden_act": "silu", "attention_bias": False,
        "use_sliding_window": False, "sliding_window": None, "eos_token_id": 2,
    }
    return config | changes


def qwen2_config(**changes):
    """As published: no head_dim, no word of the biases, and a sliding window that is off."""
    config = {
        "model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 71,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "tie_word_embeddings": False, "hidden_act": "silu", "use_sliding_window": False,
        "sliding_window": 32, "max_window_layers": 1, "bos_token_id": 1, "eos_token_id": [3, 1],
    }
    return config | changes


def llama_config(**changes):
    config = {
        "model_type": "llama", "hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 56,
        "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 89,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": True, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
        "rope_scaling": None, "eos_token_id": [2, 3], "bos_token_id": 1,
    }
    return config | changes


def mixed_quantization():
    """Every bit width, a group size of its own, `true`, `false`, and paths left to the shapes."""
    entry = lambda bits, group_size=32: {"group_size": group_size, "bits": bits, "mode": "affine"}
    return {
        "group_size": 32, "bits": 4, "mode": "affine",
        "model.layers.0.self_attn.q_proj": entry(2), "model.layers.0.self_attn.k_proj": entry(3),
        "model.layers.0.self_attn.v_proj": entry(5), "model.layers.0.self_attn.o_proj": entry(6, 64),
        "model.layers.0.mlp.gate_proj": entry(8), "model.layers.0.mlp.up_proj": False,
        "model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 3},
        "model.layers.1.self_attn.q_proj": True, "lm_head": entry(6),
    }


def mixed_modes():
    """Every mode beside the others: entries in full, by their mode alone, and without one (affine)."""
    return {
        "group_size": 16, "bits": 4, "mode": "nvfp4",
        "model.layers.0.self_attn.q_proj": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
        "model.layers.0.self_attn.k_proj": {"mode": "mxfp8"}, "model.layers.0.self_attn.v_proj": False,
        "model.layers.0.mlp.gate_proj": {"group_size": 64, "bits": 4},
        "model.layers.0.mlp.up_proj": True, "model.layers.1.self_attn.q_proj": {"mode": "nvfp4"},
    }


# name: (config, dtype of the weights, MLX quantization or None, extra: quantised otherwise but not listed)
def models():
    affine = lambda bits, group_size: {"group_size": group_size, "bits": bits, "mode": "affine"}
    mode = lambda name, bits, group_size: {"group_size": group_size, "bits": bits, "mode": name}
    nested = qwen3_config(
        hidden_size=40, num_hidden_layers=3, intermediate_size=72, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, vocab_size=97, tie_word_embeddings=True,
        rope_parameters={"rope_theta": 5000.0, "rope_type": "default"})
    del nested["rope_theta"]
    return {
        "qwen3-f32": (qwen3_config(), "float32", None, {}),
        "qwen3-bf16-tied": (nested, "bfloat16", None, {}),
        "qwen3-4bit-g32": (
            qwen3_config(hidden_size=96, intermediate_size=160, num_attention_heads=6,
                         num_key_value_heads=2, head_dim=32, vocab_size=130),
            "bfloat16", affine(4, 32), {}),
        "qwen3-4bit-g64-tied": (
            qwen3_config(hidden_size=128, intermediate_size=192, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=48, vocab_size=99, tie_word_embeddings=True),
            "float16", affine(4, 64), {}),
        "qwen3-mixed": (
            qwen3_config(hidden_size=64, intermediate_size=192, num_attention_heads=6,
                         num_key_value_heads=3, head_dim=32, vocab_size=103),
            "bfloat16", mixed_quantization(), {"model.layers.1.mlp.up_proj": (8, 64, "affine")}),
        "qwen3-8bit-g128": (
            qwen3_config(hidden_size=128, intermediate_size=128, num_attention_heads=2,
                         num_key_value_heads=1, head_dim=64, vocab_size=67, num_hidden_layers=1),
            "float32", affine(8, 128), {}),
        "llama-f16-linear": (
            llama_config(rope_scaling={"type": "linear", "factor": 4.0}), "float16", None, {}),
        "llama-bias-llama3": (
            llama_config(hidden_size=64, intermediate_size=96, num_attention_heads=8,
                         num_key_value_heads=2, head_dim=24, attention_bias=True, mlp_bias=True,
                         tie_word_embeddings=False,
                         rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                       "high_freq_factor": 4.0,
                                       "original_max_position_embeddings": 32}),
            "float32", None, {}),
        "llama-4bit-bias": (
            llama_config(hidden_size=64, intermediate_size=128, num_attention_heads=4,
                         num_key_value_heads=1, attention_bias=True, vocab_size=77),
            "bfloat16", affine(4, 64), {}),
        "qwen2-bf16-tied": (
            qwen2_config(hidden_size=40, intermediate_size=56,
                         tie_word_embeddings=True, layer_types=["full_attention"] * 2),
            "bfloat16", None, {}),
        "qwen2-4bit-g64": (qwen2_config(intermediate_size=128), "bfloat16", affine(4, 64), {}),
        "llama-llama32": (
            llama_config(hidden_size=64, intermediate_size=96, num_attention_heads=6, num_key_value_heads=2,
                         head_dim=16, vocab_size=73, rope_theta=500000.0,
                         rope_scaling={"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
                                       "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
            "bfloat16", affine(4, 32), {}),
        "qwen3-mxfp4": (
            qwen3_config(hidden_size=64, intermediate_size=96, head_dim=32, vocab_size=79),
            "bfloat16", mode("mxfp4", 4, 32), {}),
        "llama-mxfp8-tied": (
            llama_config(hidden_size=64, intermediate_size=64, vocab_size=67),
            "bfloat16", mode("mxfp8", 8, 32), {}),
        "qwen2-nvfp4-mixed": (
            qwen2_config(intermediate_size=64), "bfloat16", mixed_modes(),
            {"model.layers.1.mlp.up_proj": (8, 32, "mxfp8"), "model.layers.1.mlp.down_proj": (6, 32, "affine"),
             "lm_head": (4, 32, "mxfp4")}),
    }
