"""Makes tests/parity/training_run: what mlx_lm.lora makes of tiny models in fp32, loss by loss; and compares
`bobby train` with it on a real model.

    python tools/oracle/train.py [--output tests/parity/training_run]
    python tools/oracle/train.py --demo ~/.local/share/bobby/models/demo --bobby build/release/bin/bobby

A golden is mlx_lm.lora's own train_model() on a model of tests/parity/models whose weights are dequantised
and cast to fp32, on token sequences drawn here. cases.json holds the settings, the sequences, every loss
as it is reported, and the noise floor: how far the adapter's change moves when the weights are disturbed
by one part in a million. CASE.safetensors is the final adapter. With --demo, mlx-lm and `bobby train`
read the same config and the same records, and the distances are printed; nothing is written.
"""

import argparse
import contextlib
import io
import json
import pathlib
import shutil
import subprocess
import tempfile
import types

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm import lora
from mlx_lm.models import llama, qwen3
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.datasets import load_dataset

from manifest import REPOSITORY, write_manifest

MODELS = REPOSITORY / "tests/parity/models"
ARCHITECTURES = {"qwen3": qwen3, "llama": llama}
DISTURBANCE = 1e-6


def load_fp32(folder, disturb=None):
    """mlx-lm's model of a folder, every weight dequantised and cast to fp32."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {}
    for file in sorted(folder.glob("model*.safetensors")):
        tensors |= mx.load(str(file))
    quantization = config.get("quantization") or {}
    weights = {}
    for name, value in tensors.items():
        path, leaf = name.rsplit(".", 1)
        if leaf in ("scales", "biases"):
            continue
        if path + ".scales" in tensors:
            scales, biases = (tensors[f"{path}.{part}"].astype(mx.float32) for part in ("scales", "biases"))
            own = quantization.get(path)
            settings = own if isinstance(own, dict) else quantization
            value = mx.dequantize(value, scales, biases, group_size=settings["group_size"],
                                  bits=settings["bits"])
        value = value.astype(mx.float32)
        if disturb is not None:
            noise = disturb.standard_normal(value.shape).astype(np.float32)
            value = value * (1 + DISTURBANCE * mx.array(noise))
        weights[name] = value
    module = ARCHITECTURES[config["model_type"]]
    model = module.Model(module.ModelArgs.from_dict(config))
    if config.get("tie_word_embeddings"):
        weights.pop("lm_head.weight", None)
    model.load_weights(list(weights.items()), strict=True)
    mx.eval(model.parameters())
    return model


class Sequences:
    """Token sequences in place of mlx-lm's datasets, which need a tokenizer."""

    def __init__(self, examples):
        self.examples = [{"tokens": tokens, "offset": offset} for tokens, offset in examples]

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return self.examples[index]

    def process(self, example):
        return list(example["tokens"]), example["offset"]


class Record(TrainingCallback):
    def __init__(self):
        self.train, self.validation = [], []

    def on_train_loss_report(self, info):
        self.train.append([info["iteration"], info["train_loss"], info["learning_rate"],
                           int(info["trained_tokens"])])

    def on_val_loss_report(self, info):
        self.validation.append([info["iteration"] + 1, info["val_loss"]])


def run_mlx(model, settings, train_set, valid_set, folder):
    """Runs lora.py's own train_model(); returns its reports and the final adapter."""
    arguments = {**lora.CONFIG_DEFAULTS, **settings, "train": True, "adapter_path": str(folder)}
    arguments["optimizer_config"] = {**lora.CONFIG_DEFAULTS["optimizer_config"],
                                     **settings.get("optimizer_config", {})}
    record = Record()
    np.random.seed(arguments["seed"])
    with contextlib.redirect_stdout(io.StringIO()):
        lora.train_model(types.SimpleNamespace(**arguments), model, train_set, valid_set, record)
    return record, {name: np.array(value) for name, value in
                    mx.load(str(folder / "adapters.safetensors")).items()}


def initial_adapter(model, settings):
    """What train_model() begins with."""
    arguments = {**lora.CONFIG_DEFAULTS, **settings}
    mx.random.seed(arguments["seed"])
    model.freeze()
    lora.linear_to_lora_layers(model, arguments["num_layers"], arguments["lora_parameters"],
                               use_dora=arguments["fine_tune_type"] == "dora")
    return {name: np.array(value) for name, value in tree_flatten(model.trainable_parameters())}


def distance_of_change(found, expected, initial):
    """|found - expected| / |expected - initial| over all tensors."""
    difference = sum(float(np.sum((found[n].astype(np.float64) - expected[n]) ** 2)) for n in expected)
    change = sum(float(np.sum((expected[n].astype(np.float64) - initial[n]) ** 2)) for n in expected)
    return float(np.sqrt(difference / change))


def draw_sequences(rng, vocabulary, count, longest):
    """Sequences with some order in them, so that there is something to learn; some longer than 32."""
    examples = []
    for _ in range(count):
        length = int(rng.integers(4, longest + 1))
        steps = rng.integers(1, 4, length)
        tokens = 3 + (int(rng.integers(0, vocabulary)) + np.cumsum(steps)) % (vocabulary - 3)
        examples.append([[int(t) for t in tokens], int(rng.integers(1, min(length, 4)))])
    return examples


def cases():
    base = {"iters": 10, "batch_size": 2, "steps_per_report": 1, "steps_per_eval": 4, "val_batches": 2,
            "save_every": 1000, "max_seq_length": 64, "num_layers": 1, "learning_rate": 1e-3, "seed": 3,
            "lora_parameters": {"rank": 2, "dropout": 0.0, "scale": 10.0}}
    cosine = {"name": "cosine_decay", "arguments": [2e-3, 4, 1e-4], "warmup": 2, "warmup_init": 1e-5}
    return {
        "adam": ("qwen3-f32", True, {}),
        "adam-unmasked-truncated": ("qwen3-f32", False, {"max_seq_length": 33}),
        "adamw-accumulation-warmup": ("qwen3-f32", True, {
            "optimizer": "adamw", "grad_accumulation_steps": 3, "lr_schedule": cosine, "num_layers": 2}),
        "muon": ("qwen3-f32", True, {"optimizer": "muon"}),
        "sgd": ("qwen3-f32", True, {"optimizer": "sgd", "learning_rate": 0.05,
                                    "optimizer_config": {"sgd": {"momentum": 0.9}}}),
        "adafactor": ("qwen3-f32", True, {"optimizer": "adafactor",
                                          "optimizer_config": {"adafactor": {"relative_step": False}}}),
        "dora": ("qwen3-f32", True, {"fine_tune_type": "dora"}),
        "keys-4bit": ("qwen3-4bit-g32", True, {
            "num_layers": -1, "lora_parameters": base["lora_parameters"] | {
                "keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]}}),
        "llama-bias": ("llama-bias-llama3", True, {}),
    }, base


def make_goldens(output):
    if output.exists():
        for old in [*output.glob("*.safetensors"), *output.glob("*.json")]:
            old.unlink()
    output.mkdir(parents=True, exist_ok=True)
    chosen, base = cases()
    goldens = []
    for number, (name, (model_name, masked, changes)) in enumerate(chosen.items()):
        rng = np.random.default_rng(100 + number)
        settings = base | changes
        folder = MODELS / model_name / "model"
        vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
        train = draw_sequences(rng, vocabulary, 9, 40)
        valid = draw_sequences(rng, vocabulary, 5, 40)
        if not masked:
            train, valid = ([[t, 0] for t, _ in part] for part in (train, valid))
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            record, adapter = run_mlx(load_fp32(folder), settings, Sequences(train), Sequences(valid), scratch)
            _, disturbed = run_mlx(load_fp32(folder, np.random.default_rng(1)), settings, Sequences(train),
                                   Sequences(valid), scratch)
            initial = initial_adapter(load_fp32(folder), settings)
        floor = distance_of_change(disturbed, adapter, initial)
        print(f"{name:28} losses {record.train[0][1]:.4f} -> {record.train[-1][1]:.4f}  noise floor {floor:.1e}")
        mx.save_safetensors(str(output / f"{name}.safetensors"),
                            {n: mx.array(v) for n, v in adapter.items()})
        goldens.append({"name": name, "model": model_name, "settings": settings, "train": train,
                        "valid": valid, "train_reports": record.train, "val_reports": record.validation,
                        "noise_floor": floor})
    (output / "cases.json").write_text(json.dumps(goldens) + "\n")
    write_manifest(output, __file__, ["mlx-cpu", "mlx-lm", "numpy"])


def demo_records(rng, count):
    topics = "coffee trains the sea debugging bread winter maps radio gardens chess rivers queues".split()
    shapes = ["{0} again. I keep coming back to {1}, and it keeps letting me.",
              "Nobody tells you that {0} is mostly waiting, like {1} with better marketing.",
              "Three things I trust: {0}, {1}, and the sound of a kettle that is about to boil over.",
              "{0} at six in the morning. {1} by noon. By evening I had forgotten which one was work."]
    for _ in range(count):
        a, b = rng.choice(topics, 2, replace=False)
        text = str(rng.choice(shapes)).format(a, b).capitalize()
        yield {"messages": [{"role": "user", "content": f"Write a post about {a}"},
                            {"role": "assistant", "content": text}]}


def demo_cases():
    base = {"iters": 10, "batch_size": 2, "steps_per_report": 1, "steps_per_eval": 5, "val_batches": 2,
            "save_every": 1000, "max_seq_length": 128, "num_layers": 4, "learning_rate": 1e-4, "seed": 0,
            "mask_prompt": True, "lora_parameters": {"rank": 8, "dropout": 0.0, "scale": 20.0}}
    warm = {"name": "cosine_decay", "arguments": [2e-4, 5], "warmup": 2}
    return {
        "adam": base,
        "adam-unmasked": base | {"mask_prompt": False},
        "adamw-accumulation-warmup": base | {"optimizer": "adamw", "grad_accumulation_steps": 2,
                                             "lr_schedule": warm},
        "muon": base | {"optimizer": "muon"},
        "sgd": base | {"optimizer": "sgd", "learning_rate": 0.01},
        "adafactor": base | {"optimizer": "adafactor"},
        "dora": base | {"fine_tune_type": "dora"},
    }


def compare_demo(folder, bobby, only):
    from mlx_lm.utils import load_tokenizer

    tokenizer = load_tokenizer(folder)
    rng = np.random.default_rng(5)
    for name, settings in demo_cases().items():
        if only and name not in only:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            for split, count in (("train", 16), ("valid", 6)):
                lines = "".join(json.dumps(r) + "\n" for r in demo_records(rng, count))
                (scratch / f"{split}.jsonl").write_text(lines)
            arguments = types.SimpleNamespace(data=str(scratch), train=True, test=False,
                                              mask_prompt=settings["mask_prompt"])
            train_set, valid_set, _ = load_dataset(arguments, tokenizer)
            record, adapter = run_mlx(load_fp32(folder), settings, train_set, valid_set, scratch / "mlx")
            _, disturbed = run_mlx(load_fp32(folder, np.random.default_rng(1)), settings, train_set, valid_set,
                                   scratch / "disturbed")
            initial = initial_adapter(load_fp32(folder), settings)
            config = settings | {"model": str(folder), "data": str(scratch), "compat": "mlx",
                                 "adapter_path": str(scratch / "ours")}
            (scratch / "config.yaml").write_text(json.dumps(config))
            done = subprocess.run([bobby, "train", "--config", str(scratch / "config.yaml"), "--json", "-q"],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
            reports = [json.loads(line) for line in done.stdout.splitlines()]
            losses = [r["train_loss"] for r in reports if "train_loss" in r]
            validations = [r["val_loss"] for r in reports if "val_loss" in r]
            ours = {n: np.array(v) for n, v in mx.load(str(scratch / "ours/adapters.safetensors")).items()}
            far = max(abs(a - e[1]) / e[1] for a, e in
                      [*zip(losses, record.train, strict=True), *zip(validations, record.validation, strict=True)])
            change = distance_of_change(ours, adapter, initial)
            floor = distance_of_change(disturbed, adapter, initial)
            verdict = "good" if far <= 1e-3 and change <= max(1e-2, 3 * floor) else "TOO FAR"
            print(f"{name:28} losses {losses[0]:.4f} -> {losses[-1]:.4f}, at most {far:.1e} off; "
                  f"adapter's change {change:.1e} off (noise floor {floor:.1e}): {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=REPOSITORY / "tests/parity/training_run")
    parser.add_argument("--demo", type=pathlib.Path, help="a model folder to compare on")
    parser.add_argument("--bobby", default=str(REPOSITORY / "build/release/bin/bobby"))
    parser.add_argument("--case", action="append", help="with --demo: these cases alone")
    arguments = parser.parse_args()
    if arguments.demo:
        compare_demo(arguments.demo, shutil.which(arguments.bobby) or arguments.bobby, arguments.case)
    else:
        make_goldens(arguments.output)


if __name__ == "__main__":
    main()
