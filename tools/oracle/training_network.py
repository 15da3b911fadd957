"""Goldens of a network's loss and gradients: mlx-lm's models with its LoRA and DoRA layers, by MLX's autograd.

    python tools/oracle/training_network.py

For each case a tiny model of tests/parity/models, dequantised to fp32 (so that nothing is rounded to bf16 on the way), gets mlx-lm's own
low-rank layers with random values. Sequences of different lengths with weights on their targets go through it one by one; the loss is the
sum of weight * cross entropy, in fp32. tests/parity/training/network/CASE.safetensors holds the batch, every trained tensor, its gradient,
and each sequence's loss; cases.json says what was adapted.
"""

import json
import pathlib

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama, qwen2, qwen3
from mlx_lm.tuner.utils import linear_to_lora_layers

from manifest import REPOSITORY, write_manifest

MODELS = REPOSITORY / "tests/parity/models"
GOLDENS = REPOSITORY / "tests/parity/training/network"
LENGTHS = (9, 1, 23, 14)

CASES = {
    "qwen3-lora": ("qwen3-4bit-g32", dict(dora=False, rank=3, scale=2.0, num_layers=0)),
    "qwen3-dora": ("qwen3-4bit-g32", dict(dora=True, rank=2, scale=2.0, num_layers=0)),
    "qwen3-last-qv": ("qwen3-bf16-tied", dict(dora=False, rank=4, scale=5.0, num_layers=2,
                                              keys=["self_attn.q_proj", "self_attn.v_proj"])),
    "qwen3-dora-down-o": ("qwen3-bf16-tied", dict(dora=True, rank=2, scale=1.5, num_layers=1,
                                                  keys=["mlp.down_proj", "self_attn.o_proj"])),
    "llama-lora": ("llama-4bit-bias", dict(dora=False, rank=2, scale=3.0, num_layers=0)),
    "llama-dora": ("llama-bias-llama3", dict(dora=True, rank=2, scale=1.0, num_layers=1)),
    "qwen2-lora": ("qwen2-bf16-tied", dict(dora=False, rank=2, scale=3.0, num_layers=0)),
    "qwen3-mxfp4-dora": ("qwen3-mxfp4", dict(dora=True, rank=2, scale=2.0, num_layers=1)),
}


def exact_model(folder):
    """The model in fp32, its quantised weights dequantised."""
    config = json.loads((folder / "config.json").read_text())
    stored = {}
    for path in sorted(folder.glob("*.safetensors")):
        stored.update(mx.load(str(path)))
    quantization = config.pop("quantization", None)
    config.pop("quantization_config", None)
    exact = {}
    for name, array in stored.items():
        path = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if path + ".scales" in stored:
            scales, biases = stored[path + ".scales"], stored.get(path + ".biases")
            if biases is not None:
                scales, biases = scales.astype(mx.float32), biases.astype(mx.float32)
            array = mx.dequantize(array, scales, biases, **quantization, dtype=mx.float32)
        exact[name] = array.astype(mx.float32)
    module = {"qwen3": qwen3, "qwen2": qwen2, "llama": llama}[config["model_type"]]
    if "rope_parameters" in config:
        config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    defaults = {"head_dim": config["hidden_size"] // config["num_attention_heads"]}
    model = module.Model(module.ModelArgs.from_dict(defaults | config))
    model.load_weights(list(exact.items()), strict=True)
    return model, config


def adapt(model, settings, rng):
    """mlx-lm's layers, filled with values that make the pairs matter."""
    parameters = {"rank": settings["rank"], "scale": settings["scale"], "dropout": 0.0}
    if "keys" in settings:
        parameters["keys"] = settings["keys"]
    model.freeze()
    linear_to_lora_layers(model, settings["num_layers"], parameters, use_dora=settings["dora"])
    values = {}
    for name, array in tree_flatten(model.trainable_parameters()):
        noise = rng.standard_normal(array.shape).astype(np.float32)
        if name.endswith("lora_a"):
            noise /= np.sqrt(array.shape[0])
        elif name.endswith("lora_b"):
            noise *= 0.3 / settings["scale"] / np.sqrt(settings["rank"])
        else:
            noise = np.array(array) * (1.0 + 0.2 * noise)
        values[name] = mx.array(noise.astype(np.float32))
    model.load_weights(list(values.items()), strict=False)
    return values


def main():
    GOLDENS.mkdir(parents=True, exist_ok=True)
    listed = []
    for index, (case, (name, settings)) in enumerate(CASES.items()):
        rng = np.random.default_rng(index + 1)
        model, config = exact_model(MODELS / name / "model")
        values = adapt(model, settings, rng)
        tokens = rng.integers(0, config["vocab_size"], size=(2, sum(LENGTHS))).astype(np.int32)
        weights = rng.uniform(0.02, 0.2, size=sum(LENGTHS)).astype(np.float32)
        weights[rng.random(sum(LENGTHS)) < 0.3] = 0.0

        def loss(model):
            losses, begin = [], 0
            for length in LENGTHS:
                rows = slice(begin, begin + length)
                begin += length
                logits = model(mx.array(tokens[0, rows])[None])[0]
                entropy = nn.losses.cross_entropy(logits, mx.array(tokens[1, rows]))
                losses.append((entropy * mx.array(weights[rows])).sum())
            losses = mx.stack(losses)
            return losses.sum(), losses

        (_, losses), gradients = nn.value_and_grad(model, loss)(model)
        golden = {"inputs": mx.array(tokens[0]), "targets": mx.array(tokens[1]), "weights": mx.array(weights),
                  "lengths": mx.array(LENGTHS, dtype=mx.int32), "sequence_loss": losses}
        gradients = dict(tree_flatten(gradients))
        assert gradients.keys() == values.keys()
        for tensor, value in values.items():
            golden["value/" + tensor] = value
            golden["gradient/" + tensor] = gradients[tensor]
        mx.save_safetensors(str(GOLDENS / f"{case}.safetensors"), golden)
        listed.append({"name": case, "model": name, **settings})
        print(case, [round(float(x), 5) for x in losses])
    (GOLDENS / "cases.json").write_text(json.dumps(listed, indent=1) + "\n")
    write_manifest(GOLDENS, __file__, ["mlx", "mlx-lm", "numpy"])


if __name__ == "__main__":
    main()
