"""Goldens for `bobby model fuse` and `bobby adapter fidelity`, on the CPU.

    python tools/oracle/fuse.py      (needs mlx on the CPU, mlx-lm, and numpy)

tests/parity/fuse: what the code of mlx_lm.fuse makes of tests/parity/models/qwen3-4bit-g32 with its adapter
mlx-all: with --dequantize, and without (quantised again); of the last block the tensors themselves, of all others
digests. Under DoRA mlx-lm takes norms in bf16; its goldens here are numpy's, in double.

tests/parity/fidelity: KL, first tokens and perplexity of each way of using mlx-all, with weights by numpy in double,
logits by mlx-lm's forward in fp32, and the rest by numpy in double.
"""

import json

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import dequantize_model, load_model

from manifest import REPOSITORY, write_manifest
from quantize import digest, raw
from tiny_models import logits_of, mlx_model

MODEL = REPOSITORY / "tests/parity/models/qwen3-4bit-g32/model"
ADAPTERS = MODEL.parent / "adapters"
LAST = "model.layers.1."


def fuse(dequantize: bool) -> dict:
    """mlx_lm/fuse.py's main() between loading and saving."""
    model, _ = load_model(MODEL)
    model = load_adapters(model, str(ADAPTERS / "mlx-all"))
    fused = [(n, m.fuse(dequantize=dequantize)) for n, m in model.named_modules() if hasattr(m, "fuse")]
    model.update_modules(tree_unflatten(fused))
    if dequantize:
        model = dequantize_model(model)
    return dict(sorted(tree_flatten(model.parameters())))


def pairs_of(adapter: str):
    """{path: (a [rank, in], b [out, rank], m or None)} in double, and the scale."""
    tensors = mx.load(str(ADAPTERS / adapter / "adapters.safetensors"))
    scale = json.loads((ADAPTERS / adapter / "adapter_config.json").read_text())["lora_parameters"]["scale"]
    array = lambda name: np.array(tensors[name].astype(mx.float32), np.float64)
    paths = sorted(n[: -len(".lora_a")] for n in tensors if n.endswith(".lora_a"))
    return {p: (array(p + ".lora_a").T, array(p + ".lora_b").T, array(p + ".m") if p + ".m" in tensors else None)
            for p in paths}, scale


def base_weights() -> dict:
    """Every tensor as the numbers it stands for, in fp32."""
    tensors = {}
    for file in sorted(MODEL.glob("*.safetensors")):
        tensors |= mx.load(str(file))
    exact = {}
    for name, value in tensors.items():
        path = name.rsplit(".", 1)[0]
        if name.endswith(".weight") and path + ".scales" in tensors:
            value = mx.dequantize(value, tensors[path + ".scales"].astype(mx.float32),
                                  tensors[path + ".biases"].astype(mx.float32), group_size=32, bits=4)
        elif not name.endswith(".weight"):
            continue
        exact[name] = value.astype(mx.float32)
    return exact


def adapted(weight: np.ndarray, a, b, m, scale) -> np.ndarray:
    total = weight + scale * (b @ a)
    return total if m is None else total * (m / np.linalg.norm(total, axis=1))[:, None]


def rounded(array: np.ndarray) -> mx.array:
    return mx.array(array.astype(np.float32)).astype(mx.bfloat16)


def again(array: np.ndarray) -> np.ndarray:
    """Quantised to 4 bits in groups of 32, and what that stands for."""
    packed, scales, biases = mx.quantize(rounded(array), group_size=32, bits=4)
    return np.array(mx.dequantize(packed, scales.astype(mx.float32), biases.astype(mx.float32),
                                  group_size=32, bits=4), np.float64)


def ways(exact: dict) -> dict:
    pairs, scale = pairs_of("mlx-all")
    made = {way: dict(exact) for way in ("reference", "fused", "requantized", "base_requantized", "no_adapter")}
    for name, value in exact.items():
        if value.ndim == 2:
            made["fused"][name] = value.astype(mx.bfloat16).astype(mx.float32)
    kept = {}
    for path, (a, b, m) in pairs.items():
        name = path + ".weight"
        base = np.array(exact[name], np.float64)
        wanted = adapted(base, a, b, m, scale)
        change = wanted - base
        results = {"fused": np.array(rounded(wanted).astype(mx.float32), np.float64), "requantized": again(wanted)}
        kept[path] = {"relative_size": np.linalg.norm(change) / np.linalg.norm(base)} | {
            way: {"kept": float(np.sum((r - base) * change) / np.sum(change**2)),
                  "noise": float(np.linalg.norm(r - wanted) / np.linalg.norm(change))}
            for way, r in results.items()}
        results |= {"reference": wanted, "base_requantized": again(base) + change}
        for way, r in results.items():
            made[way][name] = mx.array(r.astype(np.float32))
    return made, kept


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def fidelity() -> dict:
    config = json.loads((MODEL / "config.json").read_text())
    config.pop("quantization"), config.pop("quantization_config")
    rng = np.random.default_rng(8)
    sequences = [{"tokens": rng.integers(0, config["vocab_size"], n).tolist(), "begin": b}
                 for n, b in ((40, 7), (23, 0), (61, 12), (9, 8))]
    made, kept = ways(base_weights())
    rows = {}
    for way, weights in made.items():
        model = mlx_model(config, weights)
        rows[way] = [log_softmax(logits_of(model, s["tokens"][:-1]))[max(1, s["begin"]) - 1 :] for s in sequences]
        rows[way] = np.concatenate(rows[way])
    targets = np.concatenate([s["tokens"][max(1, s["begin"]) :] for s in sequences])
    reference = rows.pop("reference")
    perplexity = lambda r: float(np.exp(-np.mean(r[np.arange(len(targets)), targets])))
    return {
        "sequences": sequences, "positions": len(targets), "perplexity": perplexity(reference),
        "ways": {way: {
            "mean_kl": float(np.mean(np.sum(np.exp(reference) * (reference - r), axis=-1))),
            "top1_differs": int(np.sum(reference.argmax(-1) != r.argmax(-1))),
            "perplexity": perplexity(r),
        } for way, r in rows.items()},
        "modules": kept,
    }  # fmt: skip


def main() -> None:
    mx.set_default_device(mx.cpu)
    folder = REPOSITORY / "tests/parity/fuse/golden"
    folder.mkdir(parents=True, exist_ok=True)
    tensors, digests = {}, {}
    for case, dequantize in (("dequantized", True), ("requantized", False)):
        for name, value in fuse(dequantize).items():
            # A sum on a rounding boundary may fall either way by the order of the change's own sum.
            if name.startswith(LAST) and "_proj" in name:
                tensors[f"{case}/{name}"] = value
            elif "_proj" not in name:
                digests[f"{case}/{name}"] = digest(raw(value))
    exact = base_weights()
    pairs, scale = pairs_of("mlx-dora")
    for path in (LAST + "self_attn.k_proj", LAST + "mlp.down_proj"):
        total = adapted(np.array(exact[path + ".weight"], np.float64), *pairs[path], scale)
        tensors[f"dora/{path}.weight"] = mx.array(total.astype(np.float32))
    mx.save_safetensors(str(folder / "fuse.safetensors"), tensors)
    (folder / "fuse.json").write_text(json.dumps(digests, indent=1) + "\n")
    write_manifest(folder.parent, __file__, ["mlx-cpu", "mlx-lm", "numpy"])

    folder = REPOSITORY / "tests/parity/fidelity/golden"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fidelity.json").write_text(json.dumps(fidelity(), indent=1) + "\n")
    write_manifest(folder.parent, __file__, ["mlx-cpu", "mlx-lm", "numpy"])


if __name__ == "__main__":
    main()
