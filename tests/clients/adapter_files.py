"""Small adapters for the demo model (SmolLM2-135M), written as mlx-lm writes them, with the standard library alone."""

import array
import json
import os
import pathlib
import random
import struct

LAYERS, HIDDEN, INTERMEDIATE, KEY_VALUES = 30, 576, 1536, 192
ADAPTED = 6  # the last layers
RANK = 4
MODULES = {  # module: (in features, out features)
    "self_attn.v_proj": (HIDDEN, KEY_VALUES),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.down_proj": (INTERMEDIATE, HIDDEN),
}


def safetensors_bytes(tensors: dict[str, tuple[list[int], array.array]]) -> bytes:
    header, data = {"__metadata__": {"format": "mlx"}}, b""
    for name, (shape, values) in tensors.items():
        raw = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def adapter_tensors(seed: int, strength: float = 0.4) -> dict[str, tuple[list[int], array.array]]:
    """Random pairs: each seed is another voice, strong enough that greedy texts part within a few words."""
    rng = random.Random(seed)
    tensors = {}
    for layer in range(LAYERS - ADAPTED, LAYERS):
        for module, (rows, cols) in MODULES.items():
            path = f"model.layers.{layer}.{module}"
            a = array.array("f", (rng.gauss(0, rows**-0.5) for _ in range(rows * RANK)))
            b = array.array("f", (rng.gauss(0, strength) for _ in range(RANK * cols)))
            tensors[f"{path}.lora_a"] = ([rows, RANK], a)
            tensors[f"{path}.lora_b"] = ([RANK, cols], b)
    return tensors


def write_adapter(folder: pathlib.Path, seed: int, scale: float = 1.0) -> pathlib.Path:
    """An adapter folder; one that is there already gets new contents in one step a file."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "fine_tune_type": "lora",
        "num_layers": ADAPTED,
        "lora_parameters": {"rank": RANK, "scale": scale, "dropout": 0.0, "keys": list(MODULES)},
    }
    replace(folder / "adapter_config.json", json.dumps(config).encode())
    replace(folder / "adapters.safetensors", safetensors_bytes(adapter_tensors(seed)))
    return folder


def replace(path: pathlib.Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
