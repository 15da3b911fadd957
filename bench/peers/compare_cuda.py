"""Times bobby on an NVIDIA GPU beside llama.cpp's CUDA build and MLX's, in interleaved rounds.

    python bench/peers/compare_cuda.py --work DIR [--bobby PROGRAM] [--llama BIN_FOLDER] [--mlx PYTHON]
                                       [--rounds 3] [--device cuda] [--model FOLDER] [--out result.json]

DIR keeps what is made once: a model folder of random weights in the shape of Qwen3-8B with an adapter,
and with --llama the same shape as GGUF (needs the packages gguf and numpy). BIN_FOLDER holds
llama-bench and llama-batched-bench of a build with -DGGML_CUDA=ON; PYTHON is an interpreter with
mlx-lm and MLX's CUDA package. Without either, bobby is timed alone, beside the bandwidth it measures.

Measures: prefill of 512 tokens, decode of one row, of one row with the adapter, and of ten and 64 rows.
"""

import argparse
import json
import pathlib
import sys

from compare import HERE, ROOT, Bobby, Llama, run, say, table

GEN = 64


class CudaBobby(Bobby):
    def measure(self, model, adapter) -> dict:
        machine, row = self.bench(model, 0, 512, GEN, 1)
        out = {"prefill 512": row["prefill_tok_s"], "decode": row["decode_tok_s"],
               "of bandwidth": row["share_of_bandwidth"], "load ms": machine["load_ms"]}
        more = ["--adapter", adapter] if adapter else []
        if adapter:
            _, row = self.bench(model, 0, 32, GEN, 1, more)
            out |= {"decode, LoRA": row["decode_tok_s"], "LoRA cost": row["lora_cost"]}
        for rows in (10, 64):
            _, row = self.bench(model, 0, 32, GEN, rows, more)
            out[f"{rows} rows"] = row["decode_tok_s"]
        return out


class CudaLlama(Llama):
    def measure(self, gguf) -> dict:
        rows = json.loads(run([self.programs / "llama-bench", "-m", gguf, "-p", 512, "-n", GEN, "-r", 1,
                               "-ngl", 99, "-fa", 1, "-o", "json"], env=self.env))
        out = {"prefill 512": next(r["avg_ts"] for r in rows if r["n_prompt"] > 0),
               "decode": next(r["avg_ts"] for r in rows if r["n_gen"] > 0)}
        text = run([self.programs / "llama-batched-bench", "-m", gguf, "-npp", 32, "-ntg", GEN, "-npl", "10,64",
                    "-pps", "-ngl", 99, "-fa", "on", "-c", 8192, "--output-format", "jsonl"], env=self.env)
        for line in text.splitlines():
            if line.startswith("{"):
                row = json.loads(line)
                out[f"{row['pl']} rows"] = row["speed_tg"]
        return out


class Mlx:
    def __init__(self, name: str, python: pathlib.Path):
        self.name, self.python = name, python

    def bench(self, model, *options) -> dict:
        return json.loads(run([self.python, HERE / "mlx_bench.py", model, *options]).splitlines()[-1])

    def measure(self, model, adapter) -> dict:
        row = self.bench(model, "--prompt", 512, "--gen", GEN)
        out = {"prefill 512": row["prefill_tok_s"], "decode": row["decode_tok_s"]}
        if adapter:
            row = self.bench(model, "--prompt", 32, "--gen", GEN, "--adapter", adapter)
            out["decode, LoRA"] = row["decode_tok_s"]
        for rows in (10, 64):
            out[f"{rows} rows"] = self.bench(model, "--prompt", 32, "--gen", GEN, "--rows", rows)["decode_tok_s"]
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--bobby", type=pathlib.Path, default=ROOT / "build/cuda/bin/bobby")
    parser.add_argument("--llama", type=pathlib.Path)
    parser.add_argument("--mlx", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda", help="of bobby: cuda, cuda:1, cpu to try the script")
    parser.add_argument("--model", type=pathlib.Path, help="this model folder in place of the 8B shape")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    if args.model and args.llama:
        sys.exit("compare_cuda: --llama times the 8B shape; leave --model out")
    args.work.mkdir(parents=True, exist_ok=True)

    model, adapter = args.model, None
    if not model:
        model, adapter = args.work / "qwen3-8b", args.work / "qwen3-8b-adapter"
        if not model.exists():
            say(f"writing {model}")
            run([args.bobby, "model", "synth", "--arch", "qwen3-8b", "--out", model, "--adapter-out", adapter])
    gguf = args.work / "qwen3-8b-36.gguf"
    if args.llama and not gguf.exists():
        say(f"writing {gguf}")
        run([sys.executable, HERE / "make_gguf.py", gguf, "--layers", 36])

    ours = CudaBobby("bobby", args.bobby, ["--device", args.device])
    llama = CudaLlama("llama.cpp", args.llama) if args.llama else None
    mlx = Mlx("mlx-lm", args.mlx) if args.mlx else None
    rounds = []
    for number in range(args.rounds):
        say(f"round {number + 1} of {args.rounds}")
        entry = {ours.name: ours.measure(model, adapter)}
        if llama:
            entry[llama.name] = llama.measure(gguf)
        if mlx:
            entry[mlx.name] = mlx.measure(model, adapter)
        rounds.append(entry)
    table(f"{model.name} on {args.device}", rounds, [ours.name], [p.name for p in (llama, mlx) if p])
    if args.out:
        args.out.write_text(json.dumps({"device": args.device, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
