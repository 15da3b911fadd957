"""Makes the golden files beside it. For developers; needs numpy, safetensors and mlx.

    python make_goldens.py FOLDER

official.safetensors  by the official library (safetensors.numpy): padded header, sorted by dtype.
mlx.safetensors       by mlx.core.save_safetensors: header unpadded, so that data starts at an
                      address that suits no element type.

Element i of each tensor is i + 1 (for booleans: i is even), so that the test needs no other file.
"""

import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
from safetensors.numpy import save_file

NUMPY = {
    "bool": np.bool_, "u8": np.uint8, "i8": np.int8, "u16": np.uint16, "i16": np.int16,
    "f16": np.float16, "u32": np.uint32, "i32": np.int32, "f32": np.float32, "u64": np.uint64,
    "i64": np.int64, "f64": np.float64, "c64": np.complex64,
}
MLX = {
    "u8": mx.uint8, "u16": mx.uint16, "f16": mx.float16, "bf16": mx.bfloat16, "u32": mx.uint32,
    "i32": mx.int32, "f32": mx.float32, "i64": mx.int64, "c64": mx.complex64,
}
SHAPE = (3, 5)


def main(folder: Path) -> None:
    count = np.arange(15).reshape(SHAPE)
    tensors = {name: (count % 2 == 0) if name == "bool" else (count + 1).astype(dtype)
               for name, dtype in NUMPY.items()}
    tensors["scalar"] = np.array(1.0, dtype=np.float32)
    tensors["empty"] = np.zeros((2, 0), dtype=np.float32)
    tensors['odd "name"\n\u00e9'] = np.array([1], dtype=np.uint8)
    save_file(tensors, folder / "official.safetensors", metadata={"format": "np", "k": "\u00e9"})

    arrays = {name: mx.array(count + 1).astype(dtype) for name, dtype in MLX.items()}
    for padding in range(16):  # until the data is misaligned for every type
        path = folder / "mlx.safetensors"
        mx.save_safetensors(str(path), arrays, {"format": "mlx", "pad": "x" * padding})
        if int.from_bytes(path.read_bytes()[:8], "little") % 2 == 1:
            return
    raise SystemExit("mlx now aligns its files: this golden has lost its point")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
