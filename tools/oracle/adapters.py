"""Lets mlx-lm and PEFT read what `bobby adapter export` writes; notes the files that they agreed to.

    python tools/oracle/adapters.py --bobby build/release/bin/bobby --peft-python PYTHON

Every adapter of tests/parity/models goes through one or two other dialects. Where that ends in mlx-lm's,
mlx-lm's own load_adapters puts it on the model; where it ends in PEFT's, PeftModel.from_pretrained of
PYTHON does (adapters_peft.py). Their logits must be those of the model's golden.safetensors, which are of
the adapter as it was. exports.json then holds each case with the SHA-256 of every file, so that
adapters_parity_test knows without either library whether Bobby still writes what they read.

Needs the packages mlx-cpu and mlx-lm here, torch, transformers and peft there.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import tempfile

import mlx.core as mx
import numpy as np
from mlx_lm.tuner.utils import load_adapters

from manifest import write_manifest
from tiny_models import logits_of, mlx_model, relative_l2

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MODELS = pathlib.Path("tests/parity/models")
# model, adapter, the dialects it goes through, whether the base is named.
CASES = [
    ("qwen3-4bit-g32", "mlx-all", ["peft"], False),
    ("qwen3-4bit-g32", "mlx-all", ["gguf", "peft"], True),
    ("qwen3-4bit-g32", "mlx-all", ["gguf", "mlx"], True),
    ("qwen3-4bit-g32", "mlx-last-qv-bf16", ["peft"], False),
    ("qwen3-4bit-g32", "mlx-head", ["peft"], True),
    ("qwen3-4bit-g32", "mlx-head", ["gguf", "mlx"], True),
    ("qwen3-4bit-g32", "mlx-dora", ["peft"], False),
    ("qwen3-4bit-g32", "peft-twin", ["mlx"], False),
    ("qwen3-f32", "peft-rslora-patterns", ["mlx"], True),
    ("qwen3-f32", "peft-rslora-patterns", ["peft"], False),
    ("qwen3-f32", "peft-rslora-patterns", ["gguf", "mlx"], True),
    ("qwen3-f32", "peft-dora", ["mlx"], False),
    ("qwen3-f32", "mlx-all", ["peft"], True),
    ("qwen3-4bit-g64-tied", "mlx-embed", ["peft"], True),
    ("qwen3-4bit-g64-tied", "mlx-embed", ["peft", "mlx"], True),
    ("llama-bias-llama3", "mlx-dora", ["peft"], False),
    ("llama-bias-llama3", "peft-head", ["mlx"], True),
    ("llama-bias-llama3", "peft-head", ["gguf", "mlx"], True),
    ("llama-bias-llama3", "peft-head", ["gguf", "peft"], True),
    ("qwen3-mixed", "mlx-all", ["peft"], True),
]
# Two float32 forwards that sum in other orders; b rounded once more where a scale was folded in.
TOLERANCE = 1e-5


def exact_weights(folder):
    """The model's weights in fp32, dequantised: name -> array."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= mx.load(str(file))
    exact = {}
    for name, value in tensors.items():
        path, leaf = name.rsplit(".", 1)
        if leaf in ("scales", "biases"):
            continue
        if path + ".scales" not in tensors:
            exact[name] = value.astype(mx.float32)
            continue
        entry = config["quantization"].get(path, True)
        settings = config["quantization"] if entry is True else entry
        scales, biases = (tensors[f"{path}.{leaf}"].astype(mx.float32) for leaf in ("scales", "biases"))
        bits, group_size = settings["bits"], settings["group_size"]
        if path == "model.layers.1.mlp.up_proj" and folder.parent.name == "qwen3-mixed":
            bits, group_size = 8, 64  # not listed: from the shapes
        exact[name] = mx.dequantize(value, scales, biases, group_size=group_size, bits=bits)
    return config, exact


def convert(bobby, source, chain, base, work):
    """The adapter at the end of the chain."""
    for number, dialect in enumerate(chain):
        out = work / (f"{number}.gguf" if dialect == "gguf" else str(number))
        command = [bobby, "adapter", "export", str(source), "--to", dialect, "--out", str(out)]
        subprocess.run(command + (["--model", str(base)] if base else []), check=True, cwd=REPOSITORY,
                       stderr=subprocess.DEVNULL)
        source = out
    return source


def mlx_logits(config, exact, adapter, tokens):
    model = load_adapters(mlx_model(config, exact), str(adapter))
    model.set_dtype(mx.float32)
    model.eval()
    return logits_of(model, tokens)


def peft_logits(python, config, exact, adapter, tokens, work):
    mx.save_safetensors(str(work / "exact.safetensors"), exact)
    np.save(work / "tokens.npy", tokens)
    (work / "config.json").write_text(json.dumps(config))
    script = pathlib.Path(__file__).with_name("adapters_peft.py")
    subprocess.run([python, str(script), str(work), str(adapter)], check=True)
    return np.load(work / "logits.npy")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_case(arguments, case, packages):
    model, adapter, chain, with_base = case
    folder = REPOSITORY / MODELS / model
    golden = mx.load(str(folder / "golden.safetensors"))
    tokens = np.array(golden["prompt_37"])
    expected = np.array(golden[f"{adapter}/logits_37"])
    config, exact = exact_weights(folder / "model")
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        base = MODELS / model / "model" if with_base else None
        made = convert(arguments.bobby, MODELS / model / "adapters" / adapter, chain, base, work)
        if chain[-1] == "mlx":
            found = mlx_logits(config, exact, made, tokens)
        else:
            found = peft_logits(arguments.peft_python, config, exact, made, tokens, work)
            packages |= json.loads((work / "packages.json").read_text())
        distance = relative_l2(found, expected)
        print(f"{model:22} {adapter:22} {' -> '.join(chain):12} relative L2 {distance:.1e}")
        assert distance < TOLERANCE, case
        return {"model": model, "adapter": adapter, "chain": chain, "base": with_base,
                "files": {file.name: sha256(file) for file in sorted(made.iterdir())}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bobby", type=lambda text: str(pathlib.Path(text).resolve()), required=True)
    parser.add_argument("--peft-python", required=True)
    parser.add_argument("--output", type=pathlib.Path, default=REPOSITORY / "tests/parity/adapters")
    arguments = parser.parse_args()
    packages = {}
    cases = [run_case(arguments, case, packages) for case in CASES]
    exports = {"peft_packages": packages, "cases": cases}
    (arguments.output / "exports.json").write_text(json.dumps(exports, indent=2) + "\n")
    write_manifest(arguments.output, __file__, ["mlx", "mlx-lm", "numpy"])


if __name__ == "__main__":
    main()
