"""Makes tests/parity/models: tiny random models in odd shapes, adapters, and what mlx-lm says of them.

    python tools/oracle/tiny_models.py [--output tests/parity/models]

Each model is an MLX folder as mlx-lm would write it (weights in the file's own dtype). Its logits are
those of mlx-lm's forward with every weight dequantised and cast to fp32: MLX's bf16 arithmetic on a CPU
is too rough to judge others by. mlx-lm adapters are applied by mlx-lm's own load_adapters; PEFT adapters
by folding W + scale * B A (DoRA: times magnitude / row norm) into the fp32 weights, which is also how
mlx-lm's are checked a second time. Where torch and transformers (and peft) are importable, the same
logits are computed with them and the distance is printed.

golden.safetensors of a model holds prompt_1 and prompt_37 (int32) and for each case CASE/logits_1,
CASE/logits_37 [N, vocab_size] fp32, CASE/prompt_7, CASE/logits_7 and CASE/greedy [32] int32, the
continuation of prompt_7. cases.json lists the cases
with the adapters and factors of each.
"""

import argparse
import copy
import json
import math
import pathlib
import shutil

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama, qwen2, qwen3
from mlx_lm.tuner.utils import load_adapters

from manifest import write_manifest
from tiny_shapes import models

GREEDY_TOKENS = 32
# Greedy text is only a fair test where the best token leads by more than a backend may err.
LEAST_MARGIN = 0.02
LEAST_DIFFERENT_TOKENS = 6
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
ARCHITECTURES = {"qwen3": qwen3, "qwen2": qwen2, "llama": llama}
MODE_DEFAULTS = {"affine": (4, 64), "mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}  # bits, group size
PROJECTIONS = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)


def random_weights(rng, config):
    """fp32 numpy arrays by checkpoint name, of a scale that keeps logits and attention lively."""
    model = ARCHITECTURES[config["model_type"]].Model(
        ARCHITECTURES[config["model_type"]].ModelArgs.from_dict(config))
    weights = {}
    for name, array in sorted(tree_flatten(model.parameters())):
        shape = array.shape
        if name.endswith(".bias"):
            value = 0.3 * rng.standard_normal(shape)
        elif len(shape) == 1:
            value = 1.0 + 0.3 * rng.standard_normal(shape)
        elif "embed_tokens" in name:
            # Large embeddings under a tied head would make every token predict itself.
            value = rng.standard_normal(shape) * (0.2 if config["tie_word_embeddings"] else 1.0)
        else:
            value = rng.standard_normal(shape) * (1.5 / math.sqrt(shape[1]))
        weights[name] = value.astype(np.float32)
    return weights


def stored(weights, config, dtype, quantization, unlisted):
    """The tensors of the file, and the same weights dequantised in fp32."""
    tensors, exact = {}, {}
    for name, value in weights.items():
        array = mx.array(value).astype(DTYPES[dtype])
        path, leaf = name.rsplit(".", 1)
        settings = (quantization or {}).get(path, bool(quantization) and leaf == "weight" and value.ndim == 2)
        if settings is False or leaf != "weight" or value.ndim != 2:
            tensors[name] = array
            exact[name] = array.astype(mx.float32)
            continue
        settings = quantization if settings is True else settings
        mode = settings.get("mode", "affine")
        defaults = MODE_DEFAULTS[mode]
        bits, group_size, mode = unlisted.get(
            path, (settings.get("bits", defaults[0]), settings.get("group_size", defaults[1]), mode))
        packed, scales, *biases = mx.quantize(array, group_size=group_size, bits=bits, mode=mode)
        tensors |= {name: packed, path + ".scales": scales}
        if mode == "affine":
            tensors[path + ".biases"] = biases[0]
            scales, biases = scales.astype(mx.float32), [biases[0].astype(mx.float32)]
        exact[name] = mx.dequantize(packed, scales, *biases, group_size=group_size, bits=bits, mode=mode,
                                    dtype=mx.float32)
    return tensors, exact


def save_model(folder, name, config, tensors, quantization):
    folder.mkdir(parents=True)
    config = dict(config)
    if quantization:
        config["quantization"] = config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if name != "qwen3-4bit-g32":
        mx.save_safetensors(str(folder / "model.safetensors"), tensors, metadata={"format": "mlx"})
        return
    # One model in two shards.
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[: len(names) // 2],
              "model-00002-of-00002.safetensors": names[len(names) // 2 :]}
    for file, part in halves.items():
        mx.save_safetensors(str(folder / file), {n: tensors[n] for n in part}, metadata={"format": "mlx"})
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())},
             "weight_map": {n: file for file, part in halves.items() for n in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def mlx_model(config, exact):
    module = ARCHITECTURES[config["model_type"]]
    model = module.Model(module.ModelArgs.from_dict(config))
    model.load_weights(list(exact.items()), strict=True)
    model.eval()
    return model


def logits_of(model, tokens):
    return np.array(model(mx.array(np.asarray(tokens)[None]))[0])


def greedy(model, prompt):
    """The continuation, and the least lead of the best token in units of the logits' rms."""
    tokens, margin = list(prompt), math.inf
    for _ in range(GREEDY_TOKENS):
        logits = logits_of(model, tokens)[-1]
        second, best = np.sort(logits)[-2:]
        margin = min(margin, (best - second) / np.sqrt(np.mean(logits**2)))
        tokens.append(int(np.argmax(logits)))
    return np.array(tokens[len(prompt):], np.int32), margin


def relative_l2(found, expected):
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# Adapters. Each is first a dictionary path -> {a [rank, in], b [out, rank], m [out] or None, scale}.


def module_shapes(exact):
    return {name[: -len(".weight")]: value.shape for name, value in exact.items()
            if name.endswith(".weight") and value.ndim == 2}


def block_paths(config, layers, keys=PROJECTIONS):
    return [f"model.layers.{i}.{key}" for i in layers for key in keys]


def random_pairs(rng, exact, paths, ranks, scale, dora):
    shapes, pairs = module_shapes(exact), {}
    for path in paths:
        rows, cols = shapes[path]
        if path == "model.embed_tokens":
            rows, cols = cols, rows
        rank = ranks(path)
        a = rng.standard_normal((rank, cols)).astype(np.float32) / math.sqrt(cols)
        if path == "model.embed_tokens":
            a *= math.sqrt(cols)
        # An effect of about a fifth of the module's own output, whatever the scale.
        b = (0.3 / abs(scale(path))) * rng.standard_normal((rows, rank)).astype(np.float32) / math.sqrt(rank)
        pair = {"a": a, "b": b.astype(np.float32), "m": None, "scale": scale(path)}
        if dora:
            norms = np.linalg.norm(np.array(exact[path + ".weight"]), axis=1)
            pair["m"] = (norms * (1.0 + 0.2 * rng.standard_normal(rows))).astype(np.float32)
        pairs[path] = pair
    return pairs


def save_mlx(folder, pairs, rank, scale, num_layers, keys, dora, dtype=mx.float32):
    """Writes the folder; rounds the pairs to the file's dtype in place."""
    folder.mkdir(parents=True)
    parameters = {"rank": rank, "scale": scale, "dropout": 0.0} | ({"keys": keys} if keys else {})
    config = {"fine_tune_type": "dora" if dora else "lora", "lora_parameters": parameters,
              "num_layers": num_layers}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=4) + "\n")
    tensors = {}
    for path, pair in pairs.items():
        for name, key in (("lora_a", "a"), ("lora_b", "b"), ("m", "m")):
            if pair[key] is None:
                continue
            array = mx.array(np.ascontiguousarray(pair[key].T)).astype(dtype)
            tensors[f"{path}.{name}"] = array
            pair[key] = np.array(array.astype(mx.float32)).T
    mx.save_safetensors(str(folder / "adapters.safetensors"), tensors)


def save_peft(folder, pairs, config):
    folder.mkdir(parents=True)
    base = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": None, "bias": "none",
            "fan_in_fan_out": False, "lora_dropout": 0.0, "modules_to_save": None, "inference_mode": True,
            "init_lora_weights": True, "layers_to_transform": None, "layers_pattern": None,
            "rank_pattern": {}, "alpha_pattern": {}, "use_rslora": False, "use_dora": False}
    text = json.dumps(base | config, indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text)
    tensors = {}
    for path, pair in pairs.items():
        embedding = path.endswith("embed_tokens")
        prefix = f"base_model.model.{path}."
        names = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A.weight", "lora_B.weight")
        tensors[prefix + names[0]] = mx.array(pair["a"])
        tensors[prefix + names[1]] = mx.array(pair["b"])
        if pair["m"] is not None:
            tensors[prefix + "lora_magnitude_vector"] = mx.array(pair["m"])
    mx.save_safetensors(str(folder / "adapter_model.safetensors"), tensors, metadata={"format": "pt"})


def fold(exact, uses):
    """fp32 weights with adapters folded in: uses is [(pairs, factor)]. Embeddings: the table itself."""
    folded = dict(exact)
    for path in {path for pairs, _ in uses for path in pairs}:
        weight = np.array(exact[path + ".weight"], np.float64)
        total = weight.copy()
        for pairs, factor in uses:
            if path not in pairs:
                continue
            pair = pairs[path]
            delta = factor * pair["scale"] * (pair["b"].astype(np.float64) @ pair["a"].astype(np.float64))
            delta = delta.T if path == "model.embed_tokens" else delta
            if pair["m"] is None:
                total += delta
            else:
                adapted = weight + delta
                multiplier = pair["m"] / np.linalg.norm(adapted, axis=1)
                total += multiplier[:, None] * adapted - weight
        folded[path + ".weight"] = mx.array(total.astype(np.float32))
    return folded


class TiedEmbedding(nn.Module):
    """A tied embedding whose look-up and head are adapted differently: PEFT leaves the head alone."""

    def __init__(self, table, head):
        super().__init__()
        self.table, self.head = table, head

    def __call__(self, tokens):
        return self.table[tokens]

    def as_linear(self, x):
        return x @ self.head.T


def folded_model(config, exact, uses):
    """uses: [(pairs, factor, dialect)]"""
    folded = fold(exact, [(pairs, factor) for pairs, factor, _ in uses])
    model = mlx_model(config, folded)
    if config["tie_word_embeddings"]:
        name = "model.embed_tokens.weight"
        of_the_head = fold(exact, [(pairs, factor) for pairs, factor, dialect in uses if dialect == "mlx"])
        model.model.embed_tokens = TiedEmbedding(folded[name], of_the_head[name])
    return model


def make_adapters(rng, name, config, exact, folder):
    """Writes this model's adapters; returns {adapter name: (pairs, dialect)}."""
    made, layers = {}, range(config["num_hidden_layers"])
    last = [config["num_hidden_layers"] - 1]
    everywhere = block_paths(config, layers)

    def mlx(adapter, paths, rank, scale, num_layers, keys=None, dora=False, dtype=mx.float32):
        pairs = random_pairs(rng, exact, paths, lambda _: rank, lambda _: scale, dora)
        save_mlx(folder / adapter, pairs, rank, scale, num_layers, keys, dora, dtype)
        made[adapter] = (pairs, "mlx")

    def peft(adapter, paths, r, alpha, config_changes, dora=False):
        rank_of = lambda p: next((v for k, v in sorted(config_changes.get("rank_pattern", {}).items())
                                  if p == k or p.endswith("." + k)), r)
        alpha_of = lambda p: next((v for k, v in sorted(config_changes.get("alpha_pattern", {}).items())
                                   if p == k or p.endswith("." + k)), alpha)
        root = math.sqrt if config_changes.get("use_rslora") else float
        scale_of = lambda p: alpha_of(p) / root(rank_of(p))
        pairs = random_pairs(rng, exact, paths, rank_of, scale_of, dora)
        save_peft(folder / adapter, pairs,
                  {"r": r, "lora_alpha": alpha, "use_dora": dora} | config_changes)
        made[adapter] = (pairs, "peft")

    if name == "qwen3-4bit-g32":
        mlx("mlx-all", everywhere, 4, 20.0, -1)
        mlx("mlx-last-qv-bf16", block_paths(config, last, ("self_attn.q_proj", "self_attn.v_proj")), 5, 2.0, 1,
            ["self_attn.q_proj", "self_attn.v_proj"], dtype=mx.bfloat16)
        mlx("mlx-head", block_paths(config, last, ("mlp.down_proj",)) + ["model.embed_tokens", "lm_head"], 3, 10.0, 1,
            ["mlp.down_proj", "model.embed_tokens", "lm_head"])
        mlx("mlx-dora", everywhere, 2, 4.0, 16, dora=True)
        # The same pairs in PEFT's dialect: alpha / r = 20 with r = 4.
        twin = copy.deepcopy(made["mlx-all"][0])
        save_peft(folder / "peft-twin", twin, {"r": 4, "lora_alpha": 80, "target_modules": [
            key.split(".")[1] for key in PROJECTIONS]})
        made["peft-twin"] = (twin, "peft")
    if name == "qwen3-f32":
        peft("peft-rslora-patterns", everywhere, 4, 16,
             {"use_rslora": True, "target_modules": "all-linear",
              "rank_pattern": {"q_proj": 2, "model.layers.1.mlp.up_proj": 9},
              "alpha_pattern": {"v_proj": 3, "layers.0.mlp.down_proj": 40}})
        peft("peft-dora", block_paths(config, last, ("self_attn.q_proj", "mlp.down_proj")), 3, 6,
             {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": last}, dora=True)
        mlx("mlx-all", everywhere, 3, 20.0, 2)
    if name == "qwen3-4bit-g64-tied":
        mlx("mlx-embed", block_paths(config, last, ("mlp.up_proj",)) + ["model.embed_tokens"], 4, 8.0, 1,
            ["mlp.up_proj", "model.embed_tokens"], dtype=mx.bfloat16)
        peft("peft-embed", block_paths(config, layers, ("self_attn.o_proj",)) + ["model.embed_tokens"], 4, 8,
             {"target_modules": ["embed_tokens", "o_proj"]})
    if name == "llama-bias-llama3":
        mlx("mlx-dora", everywhere, 3, 3.0, 0, dora=True)
        peft("peft-head", block_paths(config, layers, ("self_attn.k_proj",)) + ["lm_head"], 2, 5,
             {"target_modules": ["k_proj", "lm_head"]})
    if name == "qwen2-bf16-tied":
        mlx("mlx-all", everywhere, 3, 20.0, -1)
        peft("peft-qkv", block_paths(config, layers, PROJECTIONS[:3]), 4, 8,
             {"target_modules": ["q_proj", "k_proj", "v_proj"]})
    if name == "qwen2-4bit-g64":
        mlx("mlx-dora", everywhere, 2, 4.0, 16, dora=True)
    if name in ("llama-llama32", "qwen3-mxfp4", "qwen2-nvfp4-mixed"):
        mlx("mlx-all", everywhere, 3, 10.0, -1, dtype=mx.bfloat16)
    if name == "qwen3-mixed":
        mlx("mlx-all", everywhere, 4, 20.0, 16, dtype=mx.bfloat16)
    return made


def adapter_cases(made):
    cases = [{"name": "base", "adapters": []}]
    cases += [{"name": adapter, "adapters": [{"folder": adapter, "factor": 1.0}]} for adapter in made]
    plain = [a for a, (pairs, _) in made.items() if all(p["m"] is None for p in pairs.values())]
    if len(plain) > 1:
        cases.append({"name": "sum", "adapters": [{"folder": plain[0], "factor": 0.5},
                                                  {"folder": plain[1], "factor": 1.5}]})
    return cases


def case_model(case, config, exact, made, folder):
    """The model of a case by mlx-lm's own code where it can load it, checked against the fold."""
    uses = [(pairs, use["factor"], dialect) for use in case["adapters"]
            for pairs, dialect in [made[use["folder"]]]]
    if not uses:
        return mlx_model(config, exact)
    if len(uses) > 1 or uses[0][2] == "peft":
        return folded_model(config, exact, uses)
    model = load_adapters(mlx_model(config, exact), str(folder / case["adapters"][0]["folder"]))
    model.set_dtype(mx.float32)  # a bf16 adapter widens exactly; its products must not be rounded
    model.eval()
    tokens = np.arange(11) % config["vocab_size"]
    distance = relative_l2(logits_of(model, tokens), logits_of(folded_model(config, exact, uses), tokens))
    print(f"    {case['name']}: mlx-lm against the folded weights {distance:.1e}")
    assert distance < 1e-5, distance
    return model


def transformers_logits(config, exact, tokens, peft_folder=None):
    """The same by transformers (and peft); None where they are not installed."""
    try:
        import torch
        import transformers
        if peft_folder:
            import peft
    except ImportError:
        return None
    kinds = {"qwen3": ("Qwen3Config", "Qwen3ForCausalLM"), "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
             "llama": ("LlamaConfig", "LlamaForCausalLM")}
    config_class, model_class = (getattr(transformers, k) for k in kinds[config["model_type"]])
    model = model_class(config_class(**config, attn_implementation="eager")).float()
    state = {name: torch.from_numpy(np.array(value)) for name, value in exact.items()}
    if config["tie_word_embeddings"]:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    if peft_folder:
        model = peft.PeftModel.from_pretrained(model, str(peft_folder))
    with torch.no_grad():
        return model.eval()(torch.tensor(np.asarray(tokens)[None])).logits[0].numpy()


def cross_check(case, config, exact, made, folder, tokens, expected):
    adapters = [use["folder"] for use in case["adapters"]]
    if adapters and (len(adapters) > 1 or made[adapters[0]][1] != "peft"):
        return
    found = transformers_logits(config, exact, tokens, folder / adapters[0] if adapters else None)
    if found is None:
        return
    distance = relative_l2(found, expected)
    print(f"    {case['name']}: transformers {'and peft ' if adapters else ''}{distance:.1e}")
    assert distance < 1e-5, distance


def write_golden(rng, config, exact, made, adapters, folder):
    cases = adapter_cases(made)
    built = [(case, case_model(case, config, exact, made, adapters)) for case in cases]
    prompts = {n: rng.integers(0, config["vocab_size"], n, dtype=np.int32) for n in (1, 37)}
    golden = {f"prompt_{n}": mx.array(prompt) for n, prompt in prompts.items()}
    for case, model in built:
        for n in prompts:
            golden[f"{case['name']}/logits_{n}"] = mx.array(logits_of(model, prompts[n]))
        cross_check(case, config, exact, made, adapters, prompts[37], logits_of(model, prompts[37]))
        # A prompt whose greedy text leaves no step to chance.
        for _ in range(200):
            prompt = rng.integers(0, config["vocab_size"], 7, dtype=np.int32)
            continuation, margin = greedy(model, prompt)
            different = len(set(continuation.tolist()))
            if margin > LEAST_MARGIN and different >= LEAST_DIFFERENT_TOKENS:
                break
        assert margin > LEAST_MARGIN and different >= LEAST_DIFFERENT_TOKENS, (case, margin, different)
        golden[f"{case['name']}/prompt_7"] = mx.array(prompt)
        golden[f"{case['name']}/logits_7"] = mx.array(logits_of(model, prompt))
        golden[f"{case['name']}/greedy"] = mx.array(continuation)
        print(f"    {case['name']}: greedy margin {margin:.3f}, {different} different tokens")
    mx.save_safetensors(str(folder / "golden.safetensors"), golden)
    (folder / "cases.json").write_text(json.dumps(cases, indent=2) + "\n")


def main():
    repository = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, default=repository / "tests/parity/models")
    output = parser.parse_args().output
    for number, (name, (config, dtype, quantization, unlisted)) in enumerate(models().items()):
        print(name)
        folder = output / name
        shutil.rmtree(folder, ignore_errors=True)
        rng = np.random.default_rng(number)
        tensors, exact = stored(random_weights(rng, config), config, dtype, quantization, unlisted)
        save_model(folder / "model", name, config, tensors, quantization)
        made = make_adapters(rng, name, config, exact, folder / "adapters")
        write_golden(rng, config, exact, made, folder / "adapters", folder)
    write_manifest(output, __file__, ["mlx", "mlx-lm", "numpy"])


if __name__ == "__main__":
    main()
