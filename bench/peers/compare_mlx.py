"""Times bobby's MLX backend beside mlx-lm, on one GPU in interleaved rounds: one row, decoded behind
a short prompt, without and with an adapter applied at run time.

    python bench/peers/compare_mlx.py --work DIR --mlx PYTHON [--bobby PROGRAM] [--rounds 3]
                                      [--device mlx] [--layers 36] [--gen 64] [--out result.json]

DIR keeps a model folder of random weights in the shape of Qwen3-8B and an adapter for it. PYTHON is
an interpreter that finds mlx-lm. bobby computes in fp32, with keys and values in fp16 or fp32;
mlx-lm in bf16.
"""

import argparse
import json
import pathlib
import sys

from compare import HERE, ROOT, say, table
from compare_cuda import Failed, Mlx, make_files, nvidia_env, objects, run

PROMPT = 32


class MlxBobby:
    def __init__(self, program: pathlib.Path, device: str, kv: str):
        self.name = f"bobby, {kv} cache"
        self.command = [program, "bench", "--json", "--device", device, "--kv", kv, "--batch", 1,
                        "--prompt-tokens", PROMPT]

    def measure(self, files, gen: int) -> dict:
        command = [*self.command, "--gen-tokens", gen, "--model", files["model"]]
        _, plain = objects(run(command))
        _, voice = objects(run([*command, "--adapter", files["adapter"]]))
        return {"decode": plain["decode_tok_s"], "decode, LoRA": voice["decode_tok_s"],
                "median step ms": plain["decode_median_ms"], "LoRA cost": voice["lora_cost"]}


class MlxLm(Mlx):
    def measure(self, files, gen: int) -> dict:
        # Its first measurement is of the longer prompt: here both are the same.
        text = run([self.python, HERE / "mlx_bench.py", files["model"], "--adapter", files["adapter"],
                    "--prompt", PROMPT, "--short", PROMPT, "--gen", gen, "--rows", ""], self.env)
        last = objects(text)[-1]
        return {name: last[name] for name in ("decode", "decode, LoRA")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--mlx", type=pathlib.Path, required=True)
    parser.add_argument("--bobby", type=pathlib.Path, default=ROOT / "build/mlx/bin/bobby")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="mlx", help="of bobby: mlx, or mlx:cpu to try the script")
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    rounds = []
    try:
        files = make_files(args, with_gguf=False)
        ours = [MlxBobby(args.bobby, args.device, kv) for kv in ("f16", "f32")]
        peer = MlxLm(args.mlx, nvidia_env(), args.device == "mlx")
        for number in range(args.rounds):
            say(f"round {number + 1} of {args.rounds}")
            entry = {}
            for contender in (*ours, peer):
                entry[contender.name] = contender.measure(files, args.gen)
                print(json.dumps({contender.name: entry[contender.name]}), flush=True)
            rounds.append(entry)
    except Failed as error:
        sys.exit(f"compare_mlx: {error}")
    table(f"Qwen3-8B's shape, {args.layers} layers, on {args.device}", rounds, [each.name for each in ours],
          [peer.name])
    if args.out:
        args.out.write_text(json.dumps({"device": args.device, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
