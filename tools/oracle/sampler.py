"""Goldens for the sampler: what mlx-lm's filters leave of small random logits.

    python tools/oracle/sampler.py [--out tests/parity/sampler/golden]

Each case is a row of logits with settings of mlx_lm.sample_utils; the golden holds the tokens that
survive top_p -> min_p -> top_k (in make_sampler's order) with their probabilities at the case's
temperature, and the logits after make_logits_processors where penalties are set. Cases whose
outcome hangs on the last bits of a sum are left out: the two sides may round them differently.
"""

import argparse
import json
import math
import pathlib

import mlx.core as mx
import numpy as np
from manifest import write_manifest
from mlx_lm import sample_utils

SEED = 20261121
SIZES = (5, 17, 64, 160)
CASES_A_SIZE = 24
# A cut this close to a token's mass or probability, relatively, may fall on either side in fp32.
EDGE = 1e-4


def random_logits(rng: np.random.Generator, size: int, ties: bool) -> np.ndarray:
    logits = rng.normal(0.0, rng.choice([0.5, 2.0, 6.0]), size)
    if ties:
        logits = np.round(logits)
    return logits.astype(np.float32)


def settings(rng: np.random.Generator, size: int) -> dict:
    chosen = {"temperature": float(np.float32(rng.choice([0.3, 0.7, 1.0, 1.5])))}
    if rng.random() < 0.7:
        chosen["top_p"] = float(np.float32(rng.choice([0.1, 0.5, 0.8, 0.9, 0.95, 0.99])))
    if rng.random() < 0.4:
        chosen["min_p"] = float(np.float32(rng.choice([0.01, 0.05, 0.2, 0.5])))
    if rng.random() < 0.4:
        chosen["top_k"] = int(rng.integers(1, size))
    if rng.random() < 0.4:
        chosen["repetition_penalty"] = float(np.float32(rng.choice([0.8, 1.1, 1.5])))
        chosen["presence_penalty"] = float(np.float32(rng.choice([0.0, 0.5])))
        chosen["frequency_penalty"] = float(np.float32(rng.choice([0.0, 0.25])))
        chosen["context"] = [int(t) for t in rng.integers(0, size, rng.integers(1, 40))]
        bias_ids = rng.choice(size, 2, replace=False)
        chosen["logit_bias"] = [[int(i), float(np.float32(rng.normal()))] for i in bias_ids]
    return chosen


def penalised(logits: np.ndarray, case: dict) -> mx.array:
    row = mx.array(logits)[None]
    if "context" not in case:
        return row
    processors = sample_utils.make_logits_processors(
        logit_bias={i: b for i, b in case["logit_bias"]},
        repetition_penalty=case["repetition_penalty"],
        presence_penalty=case["presence_penalty"],
        frequency_penalty=case["frequency_penalty"],
    )
    context = mx.array(case["context"])
    for processor in processors:
        row = processor(context, row)
    return row


def filtered(logprobs: mx.array, case: dict) -> mx.array:
    if 0.0 < case.get("top_p", 0.0) < 1.0:
        logprobs = sample_utils.apply_top_p(logprobs, case["top_p"])
    if case.get("min_p", 0.0) > 0.0:
        logprobs = sample_utils.apply_min_p(logprobs, case["min_p"])
    if case.get("top_k", 0) > 0:
        logprobs = sample_utils.apply_top_k(logprobs, case["top_k"])
    return logprobs


def on_edge(logprobs: np.ndarray, case: dict) -> bool:
    """Whether a cut falls within EDGE of a token, or top_k within a tie (mlx picks any of those)."""
    p = np.sort(np.exp(logprobs.astype(np.float64)))[::-1]
    above = np.concatenate([[0.0], np.cumsum(p)[:-1]])
    if "top_p" in case and np.any(np.abs(above - case["top_p"]) < EDGE):
        return True
    if "min_p" in case and np.any(np.abs(p / p[0] - case["min_p"]) < EDGE):
        return True
    k = case.get("top_k", 0)
    return 0 < k < len(p) and abs(p[k - 1] - p[k]) <= 1e-6 * p[k]


def make_case(rng: np.random.Generator, size: int, ties: bool) -> dict | None:
    logits = random_logits(rng, size, ties)
    case = settings(rng, size)
    after = penalised(logits, case)
    logprobs = after - mx.logsumexp(after, axis=-1, keepdims=True)
    if on_edge(np.array(logprobs)[0], case):
        return None
    left = np.array(filtered(logprobs, case))[0]
    survivors = np.flatnonzero(np.isfinite(left))
    weights = np.exp((left[survivors].astype(np.float64) - left.max()) / case["temperature"])
    case["logits"] = [float(x) for x in logits]
    if "context" in case:
        case["penalised"] = [float(x) for x in np.array(after)[0]]
    case["tokens"] = [int(i) for i in survivors]
    case["logprobs"] = [float(x) for x in np.array(logprobs)[0][survivors]]
    case["probabilities"] = [float(f"{w:.8g}") for w in weights / weights.sum()]
    return case


def rounded(value):
    """Floats with the nine digits that fp32 needs."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="tests/parity/sampler/golden")
    folder = pathlib.Path(parser.parse_args().out)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    cases, left_out = [], 0
    for size in SIZES:
        made = 0
        while made < CASES_A_SIZE:
            case = make_case(rng, size, ties=made % 3 == 0)
            if case is None:
                left_out += 1
                continue
            cases.append(rounded(case))
            made += 1
    assert all(math.isfinite(x) for case in cases for x in case["logits"])
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (folder / "sampler.json").write_text("[\n" + lines + "\n]\n")
    write_manifest(folder, __file__, ["mlx", "mlx-lm", "numpy"])
    print(f"{len(cases)} cases, {left_out} on an edge left out")


if __name__ == "__main__":
    main()
