"""Times mlx-lm's own forward on a model folder, as JSON: python mlx_bench.py FOLDER [--adapter FOLDER]
[--prompt 512] [--gen 64] [--rows 1]. Runs on MLX's default device. Decoding is greedy and asynchronous,
one token ahead of the host, as mlx-lm's generate_step does it."""

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--adapter", type=pathlib.Path)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1)
    args = parser.parse_args()
    model, _ = load_model(args.folder)
    if args.adapter:
        model = load_adapters(model, str(args.adapter))
    mx.eval(model.parameters())

    mx.random.seed(0)
    prompt = mx.random.randint(0, 1000, (args.rows, args.prompt))
    for _ in range(2):  # the first time compiles and allocates
        cache = make_prompt_cache(model)
        begin = time.perf_counter()
        token = step(model, prompt, cache)
        mx.eval(token)
        prefill = time.perf_counter() - begin
    for _ in range(4):
        token = step(model, token, cache)
    mx.eval(token)
    begin = time.perf_counter()
    for _ in range(args.gen):
        token_ahead = step(model, token, cache)
        mx.async_eval(token_ahead)
        mx.eval(token)
        token = token_ahead
    mx.eval(token)
    decode = time.perf_counter() - begin
    print(json.dumps({"device": str(mx.default_device()), "prefill_tok_s": args.rows * args.prompt / prefill,
                      "decode_tok_s": args.rows * args.gen / decode}))


if __name__ == "__main__":
    main()
