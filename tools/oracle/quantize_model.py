"""Goldens for `bobby model quantize`: what mlx-lm's own converter makes of a tiny model, on the CPU.

    python tools/oracle/quantize_model.py      (needs mlx on the CPU, mlx-lm, and numpy)

The recipes are kept as mlx-lm's bits for every module of Qwen3s of several depths, and one of them as
tensors as well. The tiny Qwen3 has bf16 weights by the counter-based generator of quantize.py, so only the digests of
the converted tensors are kept. Its intermediate size fills groups of 32 but not of 64, so that one
of the two settings leaves down_proj dense.
"""

import json
import pathlib
import tempfile

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.convert import mixed_quant_predicate_builder
from mlx_lm.models import qwen3
from mlx_lm.utils import load_model, quantize_model

from manifest import REPOSITORY, write_manifest
from quantize import digest, normal_values, raw

CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 100,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}
SETTINGS = [{"bits": 4, "group_size": 64}, {"bits": 3, "group_size": 32}, {"bits": 4, "group_size": 32, "recipe": "mixed_3_6"}]
RECIPES = ("mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6")
DEPTHS = (1, 2, 7, 8, 9, 16, 28, 36)


def shapes() -> dict:
    hidden, inner, head = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["head_dim"]
    q, kv = head * CONFIG["num_attention_heads"], head * CONFIG["num_key_value_heads"]
    layer = {
        "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
        "self_attn.q_norm": (head,), "self_attn.k_norm": (head,),
        "self_attn.q_proj": (q, hidden), "self_attn.k_proj": (kv, hidden), "self_attn.v_proj": (kv, hidden),
        "self_attn.o_proj": (hidden, q), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }  # fmt: skip
    made = {f"model.layers.{i}.{k}.weight": s for i in range(CONFIG["num_hidden_layers"]) for k, s in layer.items()}
    made |= {"model.embed_tokens.weight": (CONFIG["vocab_size"], hidden), "lm_head.weight": (CONFIG["vocab_size"], hidden)}
    made["model.norm.weight"] = (hidden,)
    return dict(sorted(made.items()))


def weight(seed: int, shape: tuple) -> mx.array:
    count = shape[0] * (shape[1] if len(shape) == 2 else 1)
    return mx.array(normal_values(seed, count).reshape(shape)).astype(mx.bfloat16)


def recipe_bits(recipe: str, depth: int) -> dict:
    """Module kind → the bits of each layer's, one digit a layer; what stands in no layer: one digit."""
    model = qwen3.Model(qwen3.ModelArgs.from_dict({**CONFIG, "num_hidden_layers": depth}))
    predicate = mixed_quant_predicate_builder(recipe, model, 64)
    kinds: dict = {}
    for path, module in model.named_modules():
        if hasattr(module, "to_quantized"):
            kind = ".".join(part for part in path.split(".") if not part.isdigit())
            digits = kinds.setdefault(kind, {})
            digits[next((int(part) for part in path.split(".") if part.isdigit()), 0)] = predicate(path, module)["bits"]
    return {kind: "".join(str(digits[i]) for i in sorted(digits)) for kind, digits in sorted(kinds.items())}


def main() -> None:
    mx.set_default_device(mx.cpu)
    cases = []
    with tempfile.TemporaryDirectory() as name:
        source = pathlib.Path(name)
        weights = {name: weight(100 + i, shape) for i, (name, shape) in enumerate(shapes().items())}
        mx.save_safetensors(str(source / "model.safetensors"), weights, {"format": "mlx"})
        (source / "config.json").write_text(json.dumps(CONFIG))
        for setting in SETTINGS:
            model, config = load_model(source)
            recipe = setting.get("recipe")
            predicate = recipe and mixed_quant_predicate_builder(recipe, model, setting["group_size"])
            model, config = quantize_model(model, config, setting["group_size"], setting["bits"], quant_predicate=predicate)
            tensors = {key: digest(raw(value)) for key, value in sorted(tree_flatten(model.parameters()))}
            cases.append({**setting, "quantization": config["quantization"], "tensors": tensors})
    folder = REPOSITORY / "tests/parity/quantize_model/golden"
    folder.mkdir(parents=True, exist_ok=True)
    recipes = {recipe: {depth: recipe_bits(recipe, depth) for depth in DEPTHS} for recipe in RECIPES}
    golden = {"config": CONFIG, "shapes": shapes(), "cases": cases, "recipes": recipes}
    (folder / "quantize_model.json").write_text(json.dumps(golden, indent=1) + "\n")
    write_manifest(folder, __file__, ["mlx", "mlx-lm", "numpy"])


if __name__ == "__main__":
    main()
