"""Lets llama.cpp read adapters that `bobby adapter export --to gguf` wrote, and compares its logits.

    python tools/oracle/llama_cpp_adapter.py --bobby build/release/bin/bobby --source LLAMA.CPP --build BUILD
        [--link FILE] [--demo MODEL_FOLDER]

SOURCE is llama.cpp's checkout (bench/peers/compare.py unpacks one), BUILD a build of it with its libraries;
--link adds an object or library that those need. The bases are tiny models of tests/parity/models, and with
--demo the demo model with the demo voice, each written as a GGUF file of float32 with the weights
dequantised, so that llama.cpp quantises nothing: what is left is the order of float32 sums. Its logits are
held to the oracle's, and with --demo to mlx-lm's. Needs mlx-cpu and mlx-lm.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import mlx.core as mx
import numpy as np

from adapters import MODELS, REPOSITORY, convert, exact_weights, mlx_logits
from tiny_models import logits_of, mlx_model, relative_l2

sys.path.insert(0, str(REPOSITORY / "bench/peers"))
from make_gguf import Writer  # noqa: E402

OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
BLOCK = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
TINY = [("qwen3-f32", "mlx-all"), ("qwen3-f32", "peft-rslora-patterns"), ("qwen3-4bit-g32", "mlx-all"),
        ("qwen3-4bit-g32", "mlx-head"), ("qwen3-mixed", "mlx-all")]
TOLERANCE = 1e-4  # float32 on both sides; llama.cpp's exp and SiLU are approximations of its own


def gguf_name(name):
    path, leaf = name.rsplit(".", 1)
    if path in OUTER:
        return f"{OUTER[path]}.{leaf}"
    _, _, layer, module = path.split(".", 3)
    return f"blk.{layer}.{BLOCK[module]}.{leaf}"


def write_base(path, config, exact):
    architecture, heads = config["model_type"], config["num_attention_heads"]
    kv_heads = config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    numbers = {
        "block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads, "attention.head_count_kv": kv_heads, "attention.key_length": head_dim,
        "attention.value_length": head_dim, "rope.dimension_count": head_dim,
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]), "rope.freq_base": float(theta),
        "vocab_size": config["vocab_size"]}
    writer = Writer({"general.architecture": architecture, "tokenizer.ggml.model": "no_vocab"}
                    | {f"{architecture}.{key}": value for key, value in numbers.items()})
    for name, value in exact.items():
        array = np.array(value)
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            halves = array.reshape(heads if "q_proj" in name else kv_heads, 2, head_dim // 2, -1)
            array = halves.swapaxes(1, 2).reshape(array.shape)
        writer.floats(gguf_name(name), array)
    writer.save(path)


def compile_probe(arguments, work):
    libraries = [str(path) for name in ("libllama", "libggml", "libggml-cpu", "libggml-base")
                 for path in sorted(arguments.build.rglob(f"{name}.a"))]
    if not libraries:
        sys.exit(f"{arguments.build} holds no libllama.a: build it with -DBUILD_SHARED_LIBS=OFF")
    probe = work / "llama_cpp_logits"
    source = pathlib.Path(__file__).with_name("llama_cpp_logits.cpp")
    subprocess.run(["c++", "-std=c++17", "-O2", "-fopenmp", f"-I{arguments.source}/include",
                    f"-I{arguments.source}/ggml/include", str(source), *arguments.link, *libraries, "-lpthread",
                    "-ldl", "-o", str(probe)], check=True)
    return probe


def llama_logits(probe, base, tokens, vocab, work, adapter=None):
    out = work / "logits.f32"
    command = [str(probe), str(base), ",".join(map(str, tokens.tolist())), str(out)]
    subprocess.run(command + ([str(adapter)] if adapter else []), check=True)
    return np.fromfile(out, np.float32).reshape(len(tokens), vocab)


def check(bobby, probe, folder, adapter, tokens, expected, work):
    """`expected` gives (base's logits, adapted logits) of a model."""
    config, exact = exact_weights(REPOSITORY / folder)
    base = work / "base.gguf"
    write_base(base, config, exact)
    exported = convert(bobby, adapter, ["gguf"], folder, work)
    of_base, adapted = expected(config, exact)
    vocab = config["vocab_size"]
    plain = relative_l2(llama_logits(probe, base, tokens, vocab, work), of_base)
    found = relative_l2(llama_logits(probe, base, tokens, vocab, work, exported), adapted)
    print(f"{folder} {adapter.name}: base {plain:.1e}, adapted {found:.1e} (the adapter moves them by "
          f"{relative_l2(adapted, of_base):.2f})")
    exported.unlink()
    assert found < TOLERANCE, adapter


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bobby", type=lambda text: str(pathlib.Path(text).resolve()), required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--link", action="append", default=[])
    parser.add_argument("--demo", type=lambda text: pathlib.Path(text).resolve())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        probe = compile_probe(arguments, work)
        for model, adapter in TINY:
            golden = mx.load(str(REPOSITORY / MODELS / model / "golden.safetensors"))
            pair = tuple(np.array(golden[f"{which}/logits_37"]) for which in ("base", adapter))
            check(arguments.bobby, probe, MODELS / model / "model", MODELS / model / "adapters" / adapter,
                  np.array(golden["prompt_37"]), lambda *_: pair, work)
        if arguments.demo:
            tokens = np.arange(100, 124, dtype=np.int32)
            voice = REPOSITORY / "assets/demo-voice/adapter"
            check(arguments.bobby, probe, arguments.demo, voice, tokens,
                  lambda config, exact: (logits_of(mlx_model(config, exact), tokens),
                                         mlx_logits(config, exact, voice, tokens)), work)


if __name__ == "__main__":
    main()
