"""Times bobby on an NVIDIA GPU beside llama.cpp's CUDA build and MLX's, in interleaved rounds.

    python bench/peers/compare_cuda.py --work DIR [--bobby PROGRAM] [--llama FOLDER] [--mlx PYTHON]
                                       [--rounds 2] [--device cuda] [--layers 36] [--gen 64]
                                       [--out result.json]

DIR (10 GB free) keeps what is made once: a model folder and a GGUF file of random weights in the
shape of Qwen3-8B, an adapter for each. FOLDER holds llama-bench and llama-batched-bench of a build
with -DGGML_CUDA=ON, as they are or as NAME.xz; PYTHON is an interpreter that finds mlx-lm and MLX's
CUDA package. Needs numpy alone, and NVIDIA's libraries where a peer's build does not bring them:
those of Python packages are found. A peer that is not there, or fails, is said and left out.

Measures: a prompt of 512 tokens; decode of one row, of one row with the adapter, and of ten and 64
rows after a shared prompt of 32 tokens, without it, with it, and (bobby's alone) with it in every
other row. llama.cpp's 4 bits are Q4_0, ours and MLX's groups of 64 with scale and bias.
llama-batched-bench copies all logits to the host and takes no adapter; the build that --llama
names takes one from the variable BENCH_LORA if it was patched so, and is asked for it only then.
"""

import argparse
import json
import lzma
import os
import pathlib
import shutil
import site
import subprocess
import sys
import time

from compare import HERE, ROOT, say, table

ROWS = (10, 64)
PROMPT, SHORT = 512, 32
PATIENCE = 200  # seconds, of one program


class Failed(Exception):
    """A contender's program did not do it; `output` is what it had printed."""

    output = ""


def run(command, env=None) -> str:
    command = [str(part) for part in command]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE,
                                env=os.environ | (env or {}))
    except subprocess.TimeoutExpired as error:
        failed = Failed(f"{command[0]}: not done after {PATIENCE} s")
        failed.output = (error.stdout or b"").decode()
        raise failed from error
    except OSError as error:
        raise Failed(f"{command[0]}: {error}") from error
    if result.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {result.returncode}:\n"
                     f"{(result.stderr or result.stdout)[-1500:]}")
    return result.stdout


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def nvidia_env() -> dict:
    """Where NVIDIA's libraries and headers lie, if they came as Python packages."""
    folders = [pathlib.Path(folder) for folder in site.getsitepackages()]
    found = sorted({str(lib.parent) for folder in folders for lib in folder.glob("nvidia/*/lib/lib*.so*")})
    before = os.environ.get("LD_LIBRARY_PATH")
    env = {"LD_LIBRARY_PATH": ":".join(found + ([before] if before else []))}
    # MLX compiles kernels against CUDA's headers.
    nvcc = shutil.which("nvcc")
    homes = [pathlib.Path(nvcc).resolve().parent.parent] if nvcc else []
    homes += [pathlib.Path("/usr/local/cuda"), *(home for folder in folders for home in folder.glob("nvidia/cu1*"))]
    home = next((home for home in homes if (home / "include/cuda_fp16.h").exists()), None)
    if home and "CUDA_HOME" not in os.environ:
        env["CUDA_HOME"] = str(home)
    return env


class CudaBobby:
    name = "bobby"

    def __init__(self, program: pathlib.Path, device: str):
        self.program, self.options = program, ["--device", device]

    def bench(self, model, *options) -> tuple[dict, list[dict]]:
        machine, *rows = objects(run([self.program, "bench", "--model", model, "--json", *self.options,
                                      *options]))
        return machine, rows

    def measure(self, files, gen: int) -> dict:
        short = ["--prompt-tokens", SHORT, "--gen-tokens", gen]
        many = [*short, "--shared-prompt", "--batch", ",".join(map(str, ROWS))]
        adapter = ["--adapter", files["adapter"]]
        machine, (row,) = self.bench(files["model"], "--prompt-tokens", PROMPT, "--gen-tokens", gen,
                                     "--batch", 1)
        out = {f"prefill {PROMPT}": row["prefill_tok_s"], "decode": row["decode_tok_s"]}
        out |= {"median step ms": row["decode_median_ms"], "of bandwidth": row["share_of_bandwidth"],
                "load ms": machine["load_ms"], "GB/s": machine["read_bandwidth_gb_s"]}
        _, (row,) = self.bench(files["model"], *short, "--batch", 1, *adapter)
        out |= {"decode, LoRA": row["decode_tok_s"], "LoRA cost": row["lora_cost"]}
        for row in self.bench(files["model"], *many)[1]:
            out[f"{row['batch']} rows"] = row["decode_tok_s"]
        for row in self.bench(files["model"], *many, *adapter)[1]:
            out[f"{row['batch']} rows, LoRA"] = row["decode_tok_s"]
        for row in self.bench(files["model"], *many, *adapter, "--adapters-by-row", 2)[1]:
            out[f"{row['batch']} rows, mixed"] = row["decode_tok_s"]
        return out


class CudaLlama:
    """llama-bench and llama-batched-bench."""

    name = "llama.cpp"

    def __init__(self, folder: pathlib.Path, work: pathlib.Path, env: dict, on_gpu: bool):
        self.env, self.on_gpu = env, on_gpu
        self.bench, self.batched = (self.program(folder, name, work)
                                    for name in ("llama-bench", "llama-batched-bench"))
        self.takes_adapter = b"BENCH_LORA" in self.batched.read_bytes()
        run([self.bench, "--help"], self.env)  # its libraries are there

    @staticmethod
    def program(folder: pathlib.Path, name: str, work: pathlib.Path) -> pathlib.Path:
        if (folder / name).exists():
            return folder / name
        if not (folder / f"{name}.xz").exists():
            raise Failed(f"{folder} has no {name}")
        out = work / name
        with lzma.open(folder / f"{name}.xz") as packed, out.open("wb") as file:
            shutil.copyfileobj(packed, file)
        out.chmod(0o755)
        return out

    def rows(self, gguf, rows, gen: int, env: dict) -> dict:
        text = run([self.batched, "-m", gguf, "-npp", SHORT, "-ntg", gen, "-npl", ",".join(map(str, rows)),
                    "-pps", "-ngl", 99, "-fa", "on", "-c", 16384, "--output-format", "jsonl"], env)
        return {row["pl"]: row["speed_tg"] for row in objects(text)}

    def measure(self, files, gen: int) -> dict:
        rows = json.loads(run([self.bench, "-m", files["gguf"], "-p", PROMPT, "-n", gen, "-r", 2,
                               "-ngl", 99, "-fa", 1, "-o", "json"], self.env))
        if self.on_gpu and not rows[0]["gpu_info"]:
            raise Failed("it found no GPU and went on without")
        out = {f"prefill {PROMPT}": next(r["avg_ts"] for r in rows if r["n_prompt"] > 0),
               "decode": next(r["avg_ts"] for r in rows if r["n_gen"] > 0)}
        out |= {f"{count} rows": speed for count, speed in self.rows(files["gguf"], ROWS, gen, self.env).items()}
        if self.takes_adapter:
            lora = self.env | {"BENCH_LORA": str(files["gguf_adapter"])}
            found = self.rows(files["gguf"], (1, *ROWS), gen, lora)
            out["decode, LoRA"] = found.pop(1)
            out |= {f"{count} rows, LoRA": speed for count, speed in found.items()}
        return out


class Mlx:
    name = "mlx-lm"

    def __init__(self, python: pathlib.Path, env: dict, on_gpu: bool):
        self.python, self.env = python, env
        found = run([python, "-c", "import mlx.core as mx, mlx_lm; print('MLX', mx.__version__, mx.default_device())"],
                    env).strip()
        say(found)
        if on_gpu and "gpu" not in found:
            raise Failed("it found no GPU and went on without")

    def measure(self, files, gen: int) -> dict:
        try:
            text = run([self.python, HERE / "mlx_bench.py", files["model"], "--adapter", files["adapter"],
                        "--prompt", PROMPT, "--short", SHORT, "--gen", gen,
                        "--rows", ",".join(map(str, ROWS))], self.env)
        except Failed as error:
            text = error.output
            if not objects(text):
                raise
            say(f"MLX, only in part: {error}")
        out = objects(text)[-1]
        out[f"prefill {PROMPT}"] = out.pop("prefill")
        return {name: value for name, value in out.items() if isinstance(value, float)}


def make_files(args, with_gguf: bool) -> dict:
    """What is timed, made where it is not there yet."""
    shape = "qwen3-8b" if args.layers == 36 else f"qwen3-8b-{args.layers}"
    files = {"model": args.work / shape, "adapter": args.work / f"{shape}-adapter",
             "gguf": args.work / f"{shape}.gguf", "gguf_adapter": args.work / f"{shape}-adapter.gguf"}
    if not files["model"].exists():
        say(f"writing {files['model']}")
        arch = "qwen3-8b"
        if args.layers != 36:
            arch = args.work / f"{shape}.json"
            arch.write_text(json.dumps({
                "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 4096,
                "intermediate_size": 12288, "num_hidden_layers": args.layers, "num_attention_heads": 32,
                "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": False,
                "vocab_size": 151936, "max_position_embeddings": 40960, "rope_theta": 1000000,
                "rms_norm_eps": 1e-6, "eos_token_id": 151645, "attention_bias": False, "hidden_act": "silu",
                "quantization": {"group_size": 64, "bits": 4, "mode": "affine"}}))
        run([args.bobby, "model", "synth", "--arch", arch, "--out", files["model"],
             "--adapter-out", files["adapter"]])
    if with_gguf and not files["gguf_adapter"].exists():
        say(f"writing {files['gguf']}")
        run([sys.executable, HERE / "make_gguf.py", files["gguf"], "--layers", args.layers,
             "--adapter-out", files["gguf_adapter"]])
    return files


def find_peers(args) -> list:
    env = nvidia_env()
    on_gpu = args.device != "cpu"
    peers = []
    for name, wanted, make in (("llama.cpp", args.llama, lambda: CudaLlama(args.llama, args.work, env, on_gpu)),
                               ("MLX", args.mlx, lambda: Mlx(args.mlx, env, on_gpu))):
        if not wanted:
            say(f"no {name}: not asked for")
            continue
        try:
            peers.append(make())
        except Failed as error:
            say(f"no {name}: {error}")
    return peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--bobby", type=pathlib.Path, default=ROOT / "build/cuda/bin/bobby")
    parser.add_argument("--llama", type=pathlib.Path)
    parser.add_argument("--mlx", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cuda", help="of bobby: cuda, cuda:1, or cpu to try the script")
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    begin = time.monotonic()
    peers = find_peers(args)
    try:
        files = make_files(args, any(peer.name == "llama.cpp" for peer in peers))
    except Failed as error:
        sys.exit(f"compare_cuda: {error}")
    ours = CudaBobby(args.bobby, args.device)
    rounds = []
    for number in range(args.rounds):
        say(f"{time.monotonic() - begin:.0f} s: round {number + 1} of {args.rounds}")
        entry = {}
        for contender in [ours, *peers]:
            since = time.monotonic()
            try:
                entry[contender.name] = contender.measure(files, args.gen)
            except Failed as error:
                if contender is ours:
                    sys.exit(f"compare_cuda: {error}")
                say(f"{contender.name} is left out: {error}")
                peers.remove(contender)
                continue
            say(f"{contender.name}: {time.monotonic() - since:.0f} s")
            print(json.dumps({contender.name: entry[contender.name]}), flush=True)
        rounds.append(entry)
    table(f"Qwen3-8B's shape, {args.layers} layers, on {args.device}", rounds, [ours.name],
          [peer.name for peer in peers])
    say(f"{time.monotonic() - begin:.0f} s in all")
    if args.out:
        args.out.write_text(json.dumps({"device": args.device, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
