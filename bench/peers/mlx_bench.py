"""Times mlx-lm's own forward on a model folder: python mlx_bench.py FOLDER [--adapter FOLDER]
[--prompt 512] [--short 32] [--gen 64] [--rows 10,64] (or ""). After each measurement it prints a JSON object
of all so far: tok/s of a prompt, of decoding after it, and of --rows rows after a short prompt that
is the same in all (MLX has no shared cache: each row keeps its own), then of one row and of the rows
with the adapter. Runs on MLX's default device. Decoding is greedy and asynchronous, one token ahead of the host, as mlx-lm's
generate_step does it; a row's figure is that of all rows together."""

import argparse
import json
import pathlib
import time

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model


def step(model, tokens, cache):
    return mx.argmax(model(tokens, cache=cache)[:, -1, :], axis=-1)[:, None]


def measure(model, rows: int, prompt: int, gen: int) -> tuple[float, float]:
    """tok/s of the prompts and of decoding."""
    tokens = mx.repeat(mx.random.randint(0, 1000, (1, prompt)), rows, axis=0)
    for _ in range(2):  # the first time compiles and allocates
        cache = make_prompt_cache(model)
        begin = time.perf_counter()
        token = step(model, tokens, cache)
        mx.eval(token)
        prefill = time.perf_counter() - begin
    for _ in range(4):
        token = step(model, token, cache)
    mx.eval(token)
    begin = time.perf_counter()
    for _ in range(gen):
        token_ahead = step(model, token, cache)
        mx.async_eval(token_ahead)
        mx.eval(token)
        token = token_ahead
    mx.eval(token)
    return rows * prompt / prefill, rows * gen / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--adapter", type=pathlib.Path)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--short", type=int, default=32)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--rows", default="10,64")
    args = parser.parse_args()
    rows = [int(count) for count in args.rows.split(",") if count]
    model, _ = load_model(args.folder)
    mx.eval(model.parameters())
    mx.random.seed(0)

    out = {"device": str(mx.default_device()), "version": mx.__version__}

    def report(**figures: float) -> None:
        out.update(figures)
        print(json.dumps(out), flush=True)

    prefill, decode = measure(model, 1, args.prompt, args.gen)
    report(prefill=prefill, decode=decode)
    for count in rows:
        report(**{f"{count} rows": measure(model, count, args.short, args.gen)[1]})
    if args.adapter:
        model = load_adapters(model, str(args.adapter))
        report(**{"decode, LoRA": measure(model, 1, args.short, args.gen)[1]})
        for count in rows:
            report(**{f"{count} rows, LoRA": measure(model, count, args.short, args.gen)[1]})


if __name__ == "__main__":
    main()
