"""Goldens for MLX's affine formats: tests/parity/quantize/quantize.json.

    python tools/oracle/quantize.py            (needs mlx on the CPU, and numpy)

Over a million values for each dtype, made by a counter-based generator that the C++ test repeats, and
a few dozen rows of edge cases are quantised to every bits x group size. Kept are SHA-256 digests of
the packed words, scales and biases; the edge cases at 4 bits are kept in full, to debug with.

 - rounding "cpu": what mx.quantize gives on the CPU.
 - rounding "gpu": there is no GPU in the loop, so `model` below restates the rule of the Metal and
   CUDA kernels (docs/formats/quantization.md) in numpy. The same function with cpu rounding is
   checked against mx.quantize on every value, so that only the two lines that differ rest on reading.
 - dequantize, quantized_matmul: mx on the CPU; the matmul with everything in float32, because MLX
   without a vector unit rounds each partial sum to bfloat16 when it multiplies in bfloat16.
"""

import hashlib
import json

import mlx.core as mx
import numpy as np

from manifest import REPOSITORY, write_manifest

BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
ROWS, COLS = 2048, 512
F32 = np.float32


# --- The generator: the same integers and the same exact floats as counter_values.h.


def counter_hash(seed: int, count: int) -> np.ndarray:
    """splitmix64 of the counters 1..count on stream `seed`."""
    golden = 0x9E3779B97F4A7C15
    start = np.uint64((seed << 40) & 0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        z = start + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(golden)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def bell_integers(h: np.ndarray) -> np.ndarray:
    """The sum of a hash's four 16-bit fields, centred: integers of 18 bits, near to normal."""
    fields = sum((h >> np.uint64(16 * i)) & np.uint64(0xFFFF) for i in range(4))
    return fields.astype(np.int64) - 131070


def normal_values(seed: int, count: int) -> np.ndarray:
    return np.ldexp(bell_integers(counter_hash(seed, count)).astype(F32), -20)


def hostile_values(count: int) -> np.ndarray:
    """Blocks of 128 of sixteen kinds and 32 magnitudes: one-sided, coarse, constant, lonely, narrow,
    wide, and with exact .5 ties at each number of bits; the rest near to normal."""
    h = counter_hash(1, count)
    block = np.repeat(counter_hash(2, count // 128), 128)
    kind = (block & np.uint64(15)).astype(np.int64)
    exponent = ((block >> np.uint64(8)) % np.uint64(32)).astype(np.int64) - 36
    pick = ((block >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.int64)
    lane = np.arange(count) % 32
    n = bell_integers(h)
    bits = np.array(BITS)[pick % 6]
    top = np.int64(1) << bits
    inner = (n & (top - 1)) - (top >> 1)
    tie_even = np.where(lane == 0, -top, np.where(lane == 1, top - 2, inner))
    tie_edge = np.where(lane == 0, -top - 1, np.where(lane == 1, top - 3, inner))
    kinds = [
        np.abs(n), -np.abs(n), n >> 13, pick - 32768, np.where(lane == pick % 32, n, 0),
        (n >> 6) + 100000, (n >> 6) - 100000, n >> (h & np.uint64(15)).astype(np.int64),
        tie_even, -tie_even, tie_edge, -tie_edge,
    ]  # fmt: skip
    for i, values in enumerate(kinds):
        n = np.where(kind == i, values, n)
    return np.ldexp(n.astype(F32), exponent)


def edge_rows(dtype: str) -> np.ndarray:
    """[rows, 128] of values that `dtype` holds exactly."""
    eps = F32(1e-7)
    ramp = np.arange(128, dtype=F32)
    limit = F32(65504) if dtype == "float16" else F32(3e38)
    half = F32(65504) if dtype == "float16" else F32(1.6e38)
    below, above = np.nextafter(eps / 2, F32(0)), np.nextafter(eps / 2, F32(1))

    def mixed(*head, fill=0.0):
        row = np.full(128, fill, F32)
        for start in range(0, 128, 32):
            row[start : start + len(head)] = head
        return row

    rows = [
        mixed(), mixed(fill=-0.0), mixed(-0.0, 0.0), mixed(1.0, -0.0), mixed(fill=0.3), mixed(fill=-0.3),
        mixed(fill=limit), mixed(fill=-limit), mixed(limit), mixed(-limit), mixed(half, -half), mixed(-half, half, half / 3),
        mixed(fill=4e-8), mixed(1e-8, fill=-4e-8), mixed(eps / 2, -eps / 2), mixed(-eps / 2), mixed(below, -below), mixed(above, -above),
        mixed(fill=1e-40), mixed(-1e-41, fill=1e-40), mixed(6e-8, fill=1.2e-7), mixed(1e-6, -1e-6),
        -1 - ramp, ramp - 128, 1000 + ramp / 8, -1000 - ramp / 8, mixed(-1.0, 1.0), mixed(-7.5, 7.5, 0.5, 1.5, 2.5, -0.5),
        mixed(-1.0, fill=-1.0 - 1 / 64), mixed(5e-5, fill=-1.0),
    ]  # fmt: skip
    for bits in BITS:
        top = 1 << bits
        for head in ((-top, top - 2, 1, -1, 3), (-top - 1, top - 3, 1, 0, -1), (-2 * top + 2, -1, -2, -3)):
            rows += [mixed(*head), -mixed(*head)]
    return as_numpy(mx.array(np.stack(rows)).astype(DTYPES[dtype]))


# --- The rule, in numpy.


def away_from_zero(v: np.ndarray) -> np.ndarray:
    whole = np.trunc(v)
    return whole + np.where(np.abs(v - whole) >= 0.5, np.copysign(F32(1), v), F32(0))


def model(w: np.ndarray, bits: int, group: int, rounding: str):
    """Levels, scales and biases in fp32, of w [rows, cols]."""
    x = w.reshape(w.shape[0], -1, group).astype(F32)
    levels = F32(2**bits - 1)
    low, high = x.min(-1), x.max(-1)
    if rounding == "gpu":
        high = np.maximum(high, F32(0))
    nearest = away_from_zero if rounding == "gpu" else np.rint
    from_low = np.abs(low) > np.abs(high)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scale = np.maximum((high - low) / levels, F32(1e-7))
        scale = np.where(from_low, scale, -scale)
        edge = np.where(from_low, low, high)
        zero = nearest(edge / scale)
        scale = np.where(zero == 0, scale, edge / zero)
        bias = np.where(zero == 0, F32(0), edge)
        q = nearest((x - bias[..., None]) / scale[..., None])
    q = np.nan_to_num(np.clip(q, 0, levels), nan=0.0).astype(np.uint8)
    return q.reshape(w.shape), scale, bias


def pack(q: np.ndarray, bits: int) -> np.ndarray:
    """Levels → uint32 words of one little-endian bit string a row."""
    string = np.unpackbits(q[..., None], axis=-1, bitorder="little")[..., :bits]
    packed = np.packbits(string.reshape(q.shape[0], -1), axis=-1, bitorder="little")
    return packed.view("<u4")


# --- Goldens.


def as_numpy(a: mx.array) -> np.ndarray:
    return np.array(a.astype(mx.float32))


def raw(a: mx.array) -> bytes:
    """The array's own bytes, row-major."""
    if a.dtype in (mx.bfloat16, mx.float16):
        a = a.view(mx.uint16)
    return np.ascontiguousarray(np.array(a)).tobytes()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def quantize_both(w: mx.array, bits: int, group: int) -> dict:
    """rounding → (words, scales, biases) as mx arrays in w's dtype."""
    oracle = mx.quantize(w, group_size=group, bits=bits)
    results = {"cpu": oracle}
    for rounding in ("cpu", "gpu"):
        q, scale, bias = model(as_numpy(w), bits, group, rounding)
        made = (mx.array(pack(q, bits)), mx.array(scale).astype(w.dtype), mx.array(bias).astype(w.dtype))
        if rounding == "cpu":
            assert all(raw(a) == raw(b) for a, b in zip(made, oracle)), (w.dtype, bits, group)
        results[rounding] = oracle if rounding == "cpu" else made
    return results


def quantize_cases(dtype: str) -> list:
    random = mx.array(hostile_values(ROWS * COLS).reshape(ROWS, COLS)).astype(DTYPES[dtype])
    edges = mx.array(edge_rows(dtype)).astype(DTYPES[dtype])
    cases = []
    for bits in BITS:
        for group in GROUPS:
            case = {"dtype": dtype, "bits": bits, "group_size": group, "random": {}, "edge": {}}
            for name, w in (("random", random), ("edge", edges)):
                for rounding, triple in quantize_both(w, bits, group).items():
                    case[name][rounding] = dict(zip(("weight", "scales", "biases"), map(digest, map(raw, triple))))
                    if name == "edge" and bits == 4 and group == 32:
                        case.setdefault("explicit", {})[rounding] = [raw(a).hex() for a in triple]
            words, scales, biases = mx.quantize(random, group_size=group, bits=bits)
            case["dequantized"] = digest(raw(mx.dequantize(words, scales, biases, group, bits)))
            wide = [a.astype(mx.float32) for a in (scales, biases)]
            case["dequantized_float32"] = digest(raw(mx.dequantize(words, *wide, group, bits)))
            cases.append(case)
    return cases


def matmul_cases() -> list:
    rows, cols, m = 24, 256, 3
    w = mx.array(normal_values(11, rows * cols).reshape(rows, cols)).astype(mx.bfloat16)
    x = mx.array(normal_values(12, m * cols).reshape(m, cols))
    xt = mx.array(normal_values(13, m * rows).reshape(m, rows))
    cases = []
    for bits in BITS:
        for group in GROUPS:
            words, scales, biases = mx.quantize(w, group_size=group, bits=bits)
            wide = [a.astype(mx.float32) for a in (scales, biases)]
            y = mx.quantized_matmul(x, words, *wide, transpose=True, group_size=group, bits=bits)
            yt = mx.quantized_matmul(xt, words, *wide, transpose=False, group_size=group, bits=bits)
            cases.append({"bits": bits, "group_size": group, "transposed": raw(y).hex(), "plain": digest(raw(yt))})
    return cases


def main() -> None:
    mx.set_default_device(mx.cpu)
    folder = REPOSITORY / "tests/parity/quantize/golden"
    folder.mkdir(parents=True, exist_ok=True)
    golden = {
        "rows": ROWS,
        "cols": COLS,
        "inputs": {d: digest(raw(mx.array(hostile_values(ROWS * COLS)).astype(t))) for d, t in DTYPES.items()},
        "edge_rows": {d: raw(mx.array(edge_rows(d)).astype(t)).hex() for d, t in DTYPES.items()},
        "quantize": [case for dtype in DTYPES for case in quantize_cases(dtype)],
        "matmul": matmul_cases(),
    }
    (folder / "quantize.json").write_text(json.dumps(golden, indent=1) + "\n")
    write_manifest(folder, __file__, ["mlx", "numpy"])


if __name__ == "__main__":
    main()
