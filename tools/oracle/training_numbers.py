"""Goldens for training's numbers: numpy's permutations, MLX's random numbers, schedules, optimizers.

    python tools/oracle/training_numbers.py [--out tests/parity/training/numbers]

Optimizers run 20 steps of mlx.optimizers on tensors shaped as an adapter's (lora_a, lora_b and
DoRA's m). Their first values and gradients come from a small generator that the test has as well, so
that only results are kept. lora_a's first values are those that mlx_lm.lora makes, by a digest.
"""

import argparse
import hashlib
import json
import pathlib

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from manifest import write_manifest
from mlx.utils import tree_flatten
from mlx_lm.models import llama, qwen3
from mlx_lm.tuner.utils import build_schedule, linear_to_lora_layers

SHAPES = {"q_proj.lora_a": (24, 4), "q_proj.lora_b": (4, 20), "q_proj.m": (20,), "v_proj.lora_a": (8, 12)}
STEPS = 20
KEPT = (1, STEPS)

SCHEDULES = [
    {"name": "exponential_decay", "arguments": [1e-3, 0.9]},
    {"name": "step_decay", "arguments": [1e-3, 0.5, 3]},
    {"name": "cosine_decay", "arguments": [1e-5, 40]},
    {"name": "cosine_decay", "arguments": [1e-5, 40, 1e-7]},
    {"name": "linear_schedule", "arguments": [1e-3, 1e-5, 30]},
    {"name": "cosine_decay", "arguments": [1e-5, 40, 1e-7], "warmup": 10},
    {"name": "cosine_decay", "arguments": [2e-4, 1000], "warmup": 3, "warmup_init": 1e-7},
    {"name": "linear_schedule", "arguments": [1e-3, 0.0, 12], "warmup": 1},
    {"name": "exponential_decay", "arguments": [0.1, 0.99], "warmup": 7},
    {"name": "step_decay", "arguments": [0.1, 0.9, 10], "warmup": 5, "warmup_init": 0.05},
]

OPTIMIZERS = [
    ("adam", {}),
    ("adam", {"betas": [0.8, 0.95], "eps": 1e-6}),
    ("adam", {"bias_correction": True}),
    ("adamw", {}),
    ("adamw", {"weight_decay": 0.1, "bias_correction": True, "betas": [0.9, 0.99]}),
    ("sgd", {}),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.01}),
    ("sgd", {"momentum": 0.9, "dampening": 0.3}),
    ("sgd", {"momentum": 0.8, "nesterov": True}),
    ("muon", {}),
    ("muon", {"momentum": 0.8, "weight_decay": 0.0, "nesterov": False, "ns_steps": 3}),
    ("adafactor", {}),
    ("adafactor", {"warmup_init": True, "beta_1": 0.9, "weight_decay": 0.01}),
    ("adafactor", {"relative_step": False, "scale_parameter": False, "clip_threshold": 0.5, "eps": [1e-20, 1e-2], "decay_rate": -0.6}),
]
CLASSES = {"adam": optim.Adam, "adamw": optim.AdamW, "muon": optim.Muon, "sgd": optim.SGD, "adafactor": optim.Adafactor}


class Numbers:
    """A linear congruential generator whose numbers fp32 holds exactly."""

    def __init__(self, state: int):
        self.state = state

    def array(self, shape: tuple[int, ...], scale: float) -> mx.array:
        values = []
        for _ in range(int(np.prod(shape))):
            self.state = (self.state * 1664525 + 1013904223) % 2**32
            values.append(((self.state >> 8) / 2**23 - 1.0) * scale)
        return mx.array(np.array(values, np.float32).reshape(shape))


def floats(array: mx.array) -> list[float]:
    return [float(f"{x:.9g}") for x in np.array(array, np.float32).flatten().tolist()]


def optimizer_case(name: str, options: dict) -> dict:
    # A gradient of 2^-3 down to 2^-12, so that eps and the clip have something to do.
    numbers = Numbers(20261128)
    parameters = {k: numbers.array(s, 0.25) for k, s in SHAPES.items()}
    optimizer = CLASSES[name](learning_rate=1e-2, **options)
    kept = {}
    for step in range(1, STEPS + 1):
        gradients = {k: numbers.array(s, 2.0 ** -(3 + step % 10)) for k, s in SHAPES.items()}
        parameters = optimizer.apply_gradients(gradients, parameters)
        mx.eval(parameters, optimizer.state)
        if step in KEPT:
            kept[str(step)] = {k: floats(v) for k, v in parameters.items()}
    return {"name": name, "options": options, "steps": kept}


def clip_case(max_norm: float) -> dict:
    numbers = Numbers(5)
    gradients = {k: numbers.array(s, 0.5) for k, s in SHAPES.items()}
    clipped, norm = optim.clip_grad_norm(gradients, max_norm)
    return {"max_norm": max_norm, "norm": floats(norm)[0], "clipped": floats(clipped["q_proj.lora_b"])}


def permutations() -> list[dict]:
    cases = []
    for seed in (0, 1, 42, 2**32 - 1):
        np.random.seed(seed)
        counts = [1, 5, 2, 33, 6, 100]
        drawn = [np.random.permutation(n).tolist() for n in counts]
        long = np.random.permutation(70000)
        cases.append({"seed": seed, "drawn": drawn, "long_sha256": hashlib.sha256(long.astype("<i8").tobytes()).hexdigest()})
    return cases


def uniforms() -> list[dict]:
    cases = []
    for seed in (0, 7, 2**40 + 3):
        mx.random.seed(seed)
        mx.random.normal((3,))
        cases.append({"seed": seed, "drawn": [{"low": -0.25, "high": 0.25, "values": floats(mx.random.uniform(-0.25, 0.25, (n,)))} for n in (1, 2, 5, 8)]})
    return cases


def digest(array: mx.array) -> str:
    return hashlib.sha256(np.array(array, np.float32).astype("<f4").tobytes()).hexdigest()[:16]


def adapters() -> list[dict]:
    shared = dict(
        hidden_size=64, num_hidden_layers=3, intermediate_size=128, num_attention_heads=4, rms_norm_eps=1e-6,
        vocab_size=96, num_key_value_heads=2,
    )
    made = {
        "qwen3": lambda: qwen3.Model(qwen3.ModelArgs(model_type="qwen3", max_position_embeddings=128, rope_theta=1e6, head_dim=16, tie_word_embeddings=False, **shared)),
        "llama": lambda: llama.Model(llama.ModelArgs(model_type="llama", **shared)),
    }
    runs = [
        ("qwen3", 0, 2, None, 4, False), ("qwen3", 11, -1, ["self_attn.v_proj", "mlp.up_proj", "lm_head", "model.embed_tokens"], 5, False),
        ("qwen3", 3, 1, ["self_attn.q_proj", "self_attn.o_proj"], 3, True), ("llama", 2**33 + 5, 2, None, 8, False),
    ]
    cases = []
    for family, seed, layers, keys, rank, dora in runs:
        model = made[family]()
        nn.quantize(model, 64, 4, class_predicate=lambda path, m: isinstance(m, nn.Linear) and not dora)
        mx.random.seed(seed)
        linear_to_lora_layers(model, layers, {"rank": rank, "scale": 20.0, "dropout": 0.0, "keys": keys}, use_dora=dora)
        found = {k.removesuffix(".lora_a"): v for k, v in tree_flatten(model.parameters()) if k.endswith(".lora_a")}
        cases.append({
            "family": family, "seed": seed, "rank": rank,
            "modules": {k: {"inputs": v.shape[0], "sha256": digest(v), "first": floats(v.flatten()[:3])} for k, v in sorted(found.items())},
        })
    return cases


def schedule_case(config: dict) -> dict:
    schedule = build_schedule(config)
    steps = [*range(0, 45), 100, 999, 1003, 25000]
    return {"config": config, "steps": steps, "rates": [floats(schedule(mx.array(s, mx.uint64)))[0] for s in steps]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="tests/parity/training/numbers")
    folder = pathlib.Path(parser.parse_args().out)
    folder.mkdir(parents=True, exist_ok=True)
    goldens = {
        "random.json": {"permutations": permutations(), "uniforms": uniforms(), "adapters": adapters()},
        "schedules.json": [schedule_case(config) for config in SCHEDULES],
        "optimizers.json": {
            "optimizers": [optimizer_case(name, options) for name, options in OPTIMIZERS],
            "clips": [clip_case(m) for m in (0.5, 2.0, 1000.0)],
        },
    }
    for name, golden in goldens.items():
        (folder / name).write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    write_manifest(folder, __file__, ["mlx", "mlx-cpu", "mlx-lm", "numpy"])


if __name__ == "__main__":
    main()
