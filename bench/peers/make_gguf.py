"""Writes a GGUF file of random weights in the shape of Qwen3-8B, for timing llama.cpp.

    python make_gguf.py OUT.gguf [--type Q4_0] [--layers 36]

Every quantised block has random levels and a scale of ordinary size, so that activations stay
finite. Needs the `gguf` and `numpy` packages. No tokenizer inside: llama-bench and
llama-batched-bench run on token numbers.
"""

import argparse
import pathlib

import gguf
import numpy as np

# Shapes of Qwen3-8B's config.json.
HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 4096, 12288, 32, 8, 128, 151936

BLOCKS = {
    # name: (values of a block, bytes of its fp16 fields, bytes of its levels)
    "Q4_0": (32, 2, 16),
    "Q4_1": (32, 4, 16),
}


def random_blocks(rng: np.random.Generator, rows: int, cols: int, kind: str) -> np.ndarray:
    """[rows, bytes of a row] of one quantised matrix."""
    values, fields, levels = BLOCKS[kind]
    blocks = rng.integers(0, 256, (rows, cols // values, fields + levels), dtype=np.uint8)
    scale = (rng.uniform(0.5, 1.5, blocks.shape[:2]) * 0.02 / 4.6).astype(np.float16)
    blocks[..., 0:2] = scale[..., None].view(np.uint8)
    if fields == 4:
        blocks[..., 2:4] = (scale * np.float16(-7.5))[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--type", choices=BLOCKS, default="Q4_0")
    parser.add_argument("--layers", type=int, default=36)
    args = parser.parse_args()

    kind = gguf.GGMLQuantizationType[args.type]
    writer = gguf.GGUFWriter(args.out, "qwen3")
    writer.add_name("qwen3-8b-random")
    writer.add_block_count(args.layers)
    writer.add_context_length(40960)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(VOCAB)
    writer.add_file_type(gguf.LlamaFileType["MOSTLY_" + args.type])
    writer.add_tokenizer_model("no_vocab")

    rng = np.random.default_rng(0)
    shapes = [("token_embd.weight", VOCAB, HIDDEN), ("output.weight", VOCAB, HIDDEN)]
    norms = [("output_norm.weight", HIDDEN)]
    for layer in range(args.layers):
        at = f"blk.{layer}."
        shapes += [
            (at + "attn_q.weight", HEADS * HEAD_DIM, HIDDEN),
            (at + "attn_k.weight", KV_HEADS * HEAD_DIM, HIDDEN),
            (at + "attn_v.weight", KV_HEADS * HEAD_DIM, HIDDEN),
            (at + "attn_output.weight", HIDDEN, HEADS * HEAD_DIM),
            (at + "ffn_gate.weight", INTERMEDIATE, HIDDEN),
            (at + "ffn_up.weight", INTERMEDIATE, HIDDEN),
            (at + "ffn_down.weight", HIDDEN, INTERMEDIATE),
        ]
        norms += [
            (at + "attn_norm.weight", HIDDEN),
            (at + "ffn_norm.weight", HIDDEN),
            (at + "attn_q_norm.weight", HEAD_DIM),
            (at + "attn_k_norm.weight", HEAD_DIM),
        ]
    for name, size in norms:
        writer.add_tensor(name, np.ones(size, dtype=np.float32))
    values, fields, levels = BLOCKS[args.type]
    for name, rows, cols in shapes:
        row_bytes = cols // values * (fields + levels)
        writer.add_tensor_info(name, (rows, row_bytes), np.dtype(np.uint8), rows * row_bytes, raw_dtype=kind)
        writer.tensors[-1][name].tensor = random_blocks(rng, rows, cols, args.type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file(progress=True)
    writer.close()


if __name__ == "__main__":
    main()
