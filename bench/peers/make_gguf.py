"""Writes a GGUF file of random weights in the shape of Qwen3-8B, for timing llama.cpp.

    python make_gguf.py OUT.gguf [--type Q4_0] [--layers 36] [--adapter-out LORA.gguf]

Every quantised block has random levels and a scale of ordinary size, so that activations stay
finite; matrices are cut from one pool of such blocks. The adapter is that of `bobby model synth`:
rank 8, the seven matrices of the last 16 layers. Needs numpy alone. No tokenizer inside:
llama-bench and llama-batched-bench run on token numbers.
"""

import argparse
import pathlib
import struct

import numpy as np

# Shapes of Qwen3-8B's config.json.
HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 4096, 12288, 32, 8, 128, 151936
RANK, ADAPTED_LAYERS = 8, 16

BLOCKS = {
    # name: (GGUF's number of the type and of the file's, values of a block, bytes of its fp16
    # fields, bytes of its levels)
    "Q4_0": (2, 2, 32, 2, 16),
    "Q4_1": (3, 3, 32, 4, 16),
}
F32 = 0
POOL = 1 << 21  # blocks


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def field(key: str, value) -> bytes:
    """A key and its value: an integer as u32, a float as f32, or a string."""
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    return text(key) + struct.pack("<II", 4, value)


class Writer:
    """GGUF 3: fields, tensors' places, then their bytes at multiples of 32."""

    def __init__(self, fields: dict):
        self.fields = fields
        self.tensors = []  # (name, shape as numpy has it, type, bytes, what writes them)

    def add(self, name: str, shape, kind: int, size: int, write) -> None:
        self.tensors.append((name, shape, kind, size, write))

    def floats(self, name: str, values: np.ndarray) -> None:
        data = values.astype(np.float32).tobytes()
        self.add(name, values.shape, F32, len(data), lambda file: file.write(data))

    def save(self, path: pathlib.Path) -> None:
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.fields))
        head += b"".join(field(key, value) for key, value in self.fields.items())
        offset = 0
        for name, shape, kind, size, _ in self.tensors:
            head += text(name) + struct.pack("<I", len(shape))
            head += b"".join(struct.pack("<Q", count) for count in reversed(shape))
            head += struct.pack("<IQ", kind, offset)
            offset += -(-size // 32) * 32
        with path.open("wb") as file:
            file.write(head + bytes(-len(head) % 32))
            for _, _, _, size, write in self.tensors:
                write(file)
                file.write(bytes(-size % 32))


def random_blocks(rng: np.random.Generator, kind: str) -> memoryview:
    """A pool of quantised blocks."""
    _, _, _, fields, levels = BLOCKS[kind]
    blocks = rng.integers(0, 256, (POOL, fields + levels), dtype=np.uint8)
    scale = (rng.uniform(0.5, 1.5, POOL) * 0.02 / 4.6).astype(np.float16)
    blocks[:, 0:2] = scale[:, None].view(np.uint8)
    if fields == 4:
        blocks[:, 2:4] = (scale * np.float16(-7.5))[:, None].view(np.uint8)
    return memoryview(blocks.tobytes())


def matrices(layer: int) -> list:
    """(name, rows, cols) of a layer's."""
    at = f"blk.{layer}."
    return [
        (at + "attn_q.weight", HEADS * HEAD_DIM, HIDDEN),
        (at + "attn_k.weight", KV_HEADS * HEAD_DIM, HIDDEN),
        (at + "attn_v.weight", KV_HEADS * HEAD_DIM, HIDDEN),
        (at + "attn_output.weight", HIDDEN, HEADS * HEAD_DIM),
        (at + "ffn_gate.weight", INTERMEDIATE, HIDDEN),
        (at + "ffn_up.weight", INTERMEDIATE, HIDDEN),
        (at + "ffn_down.weight", HIDDEN, INTERMEDIATE),
    ]


def write_model(path: pathlib.Path, kind: str, layers: int) -> None:
    number, file_number, values, fields, levels = BLOCKS[kind]
    writer = Writer({
        "general.architecture": "qwen3",
        "general.name": "qwen3-8b-random",
        "general.file_type": file_number,
        "qwen3.block_count": layers,
        "qwen3.context_length": 40960,
        "qwen3.embedding_length": HIDDEN,
        "qwen3.feed_forward_length": INTERMEDIATE,
        "qwen3.attention.head_count": HEADS,
        "qwen3.attention.head_count_kv": KV_HEADS,
        "qwen3.attention.key_length": HEAD_DIM,
        "qwen3.attention.value_length": HEAD_DIM,
        "qwen3.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen3.rope.freq_base": 1e6,
        "qwen3.vocab_size": VOCAB,
        "tokenizer.ggml.model": "no_vocab",
    })
    pool = random_blocks(np.random.default_rng(0), kind)
    shapes = [("token_embd.weight", VOCAB, HIDDEN), ("output.weight", VOCAB, HIDDEN)]
    norms = [("output_norm.weight", HIDDEN)]
    for layer in range(layers):
        at = f"blk.{layer}."
        shapes += matrices(layer)
        norms += [(at + "attn_norm.weight", HIDDEN), (at + "ffn_norm.weight", HIDDEN),
                  (at + "attn_q_norm.weight", HEAD_DIM), (at + "attn_k_norm.weight", HEAD_DIM)]
    for name, size in norms:
        writer.floats(name, np.ones(size))
    for index, (name, rows, cols) in enumerate(shapes):
        size = rows * cols // values * (fields + levels)
        begin = index * 4099 % POOL * (fields + levels)  # each begins elsewhere in the pool

        def write(file, left=size, at=begin):
            while left > 0:
                part = pool[at:at + left]
                file.write(part)
                left -= len(part)
                at = 0

        writer.add(name, (rows, cols), number, size, write)
    writer.save(path)


def write_adapter(path: pathlib.Path, layers: int) -> None:
    writer = Writer({
        "general.architecture": "qwen3",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 16.0,
    })
    rng = np.random.default_rng(1)
    for layer in range(max(0, layers - ADAPTED_LAYERS), layers):
        for name, rows, cols in matrices(layer):
            writer.floats(name + ".lora_a", rng.uniform(-0.02, 0.02, (RANK, cols)))
            writer.floats(name + ".lora_b", rng.uniform(-0.02, 0.02, (rows, RANK)))
    writer.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--type", choices=BLOCKS, default="Q4_0")
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--adapter-out", type=pathlib.Path)
    args = parser.parse_args()
    write_model(args.out, args.type, args.layers)
    if args.adapter_out:
        write_adapter(args.adapter_out, args.layers)


if __name__ == "__main__":
    main()
