"""Goldens for MLX's floating point modes: tests/parity/float_modes/golden.safetensors.

    python tools/oracle/float_modes.py         (needs mlx on the CPU, and numpy)

For each of mxfp4, mxfp8 and nvfp4 two weights: MODE/normal, which mx.quantize made of numbers near to
normal, with groups of zeros, of tiny and of huge numbers among them; and MODE/codes, every code of a
value under scales from the least to the largest that gives finite numbers. Kept are the packed words,
the scales, and what mx.dequantize gives in bfloat16; its float32 is the same wherever bfloat16 can
hold it, which is checked here.
"""

import mlx.core as mx
import numpy as np

from manifest import REPOSITORY, write_manifest

# bits, group size, scale bytes of `codes`
MODES = {
    "mxfp4": (4, 32, [*range(0, 252, 4), 1, 2, 3, 126, 127, 129, 251]),
    "mxfp8": (8, 32, [0, 1, 2, 3, 4, 60, 126, 127, 128, 200, 245, 246]),
    "nvfp4": (4, 16, [code for code in range(256) if code & 0x7F != 0x7F]),
}


def normal(rng, group_size):
    """[24, 128]; powers of ten apart by group, the first rows with groups of zeros and of one number."""
    weight = rng.standard_normal((24, 128)).astype(np.float32) * 0.02
    groups = weight.reshape(24, -1, group_size)
    groups *= np.exp2(rng.integers(-12, 9, groups.shape[:2]))[..., None].astype(np.float32)
    groups[0, ::2] = 0.0
    groups[1, 1::2, 1:] = 0.0
    return mx.array(weight).astype(mx.bfloat16)


def codes(bits, scale_bytes, group_size):
    """A row for each scale byte: every code of a value, NaN aside."""
    values = np.arange(256, dtype=np.uint8)
    if bits == 4:
        values = np.tile((np.arange(8, dtype=np.uint8) * 2) | ((np.arange(8, dtype=np.uint8) * 2 + 1) << 4), 2)
    else:
        values[(values & 0x7F) == 0x7F] = 0
    row = values.view(np.uint32)
    groups = len(values) * 8 // bits // group_size
    scales = np.repeat(np.array(scale_bytes, np.uint8)[:, None], groups, axis=1)
    return mx.array(np.tile(row, (len(scale_bytes), 1))), mx.array(scales)


def main():
    folder = REPOSITORY / "tests/parity/float_modes"
    rng = np.random.default_rng(8)
    golden = {}
    for mode, (bits, group_size, scale_bytes) in MODES.items():
        packed = {"normal": mx.quantize(normal(rng, group_size), mode=mode),
                  "codes": codes(bits, scale_bytes, group_size)}
        for name, (weight, scales) in packed.items():
            settings = {"group_size": group_size, "bits": bits, "mode": mode}
            rounded = mx.dequantize(weight, scales, **settings)
            exact = np.array(mx.dequantize(weight, scales, dtype=mx.float32, **settings))
            assert rounded.dtype == mx.bfloat16 and np.isfinite(exact).all()
            large = np.abs(exact) >= 2.0**-126  # where bfloat16 has its full eight bits
            assert np.array_equal(np.array(rounded.astype(mx.float32))[large], exact[large])
            golden |= {f"{mode}/{name}/weight": weight, f"{mode}/{name}/scales": scales,
                       f"{mode}/{name}/dequantized": rounded}
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "golden.safetensors"), golden)
    write_manifest(folder, __file__, ["mlx", "numpy"])


if __name__ == "__main__":
    main()
