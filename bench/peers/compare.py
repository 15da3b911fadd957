"""Times bobby beside llama.cpp (and ik_llama.cpp) on one machine, in interleaved rounds.

    python bench/peers/compare.py --work DIR [--rounds 5] [--threads N] [--ik CHECKOUT]
                                  [--layers 36] [--demo DEMO.gguf [--demo-only]] [--out result.json]

DIR (10 GB free) keeps what is made once: llama.cpp from the source inside the llama-cpp-python
package, built for this processor and once more without AVX-512; a GGUF file and a model folder of
random weights in the shape of Qwen3-8B, and an adapter. With --demo, the same small GGUF file is
timed in both, too. Needs cmake, ninja, pip and numpy.

In each round every contender runs every measure once, one after the other, so that neighbours on
the machine trouble all alike. A ratio is bobby's figure over the peer's of the same round.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tarfile

PACKAGE = "llama-cpp-python==0.3.36"
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def run(command, **kwargs) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **kwargs)
    if result.returncode != 0:
        sys.exit(f"compare: {' '.join(str(c) for c in command)} failed:\n{result.stderr[-2000:]}")
    return result.stdout


def say(text: str) -> None:
    print(f"compare: {text}", file=sys.stderr, flush=True)


def cpu_flags() -> set[str]:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


def llama_source(work: pathlib.Path) -> pathlib.Path:
    found = list(work.glob("llama_cpp_python-*/vendor/llama.cpp"))
    if found:
        return found[0]
    say(f"downloading {PACKAGE}")
    run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "llama-cpp-python",
         "-d", work, PACKAGE])
    with tarfile.open(next(work.glob("llama_cpp_python-*.tar.gz"))) as archive:
        archive.extractall(work)
    source = next(work.glob("llama_cpp_python-*/vendor/llama.cpp"))
    # GCC up to 12 passes only 8 of the 64 bytes of the tile configuration to the instruction, and
    # llama.cpp's then ends in an illegal instruction; a barrier before it makes all of them stored.
    amx = source / "ggml/src/ggml-cpu/amx/mmq.cpp"
    amx.write_text(re.sub(r"^(\s*)_tile_loadconfig\(&(\w+)\);",
                          r'\1asm volatile("" : : "r"(&\2) : "memory"); _tile_loadconfig(&\2);',
                          amx.read_text(), flags=re.M))
    return source


def cpu_options(wide: bool) -> list[str]:
    """Instruction sets are named one by one: -march=native is wrong on some virtual machines."""
    flags = cpu_flags()
    options = {
        "AVX": "avx", "AVX2": "avx2", "FMA": "fma", "F16C": "f16c", "BMI2": "bmi2", "SSE42": "sse4_2",
    }
    if wide:
        options |= {
            "AVX512": "avx512f", "AVX512_VBMI": "avx512_vbmi", "AVX512_VNNI": "avx512_vnni",
            "AVX512_BF16": "avx512_bf16", "AMX_TILE": "amx_tile", "AMX_INT8": "amx_int8",
            "AMX_BF16": "amx_bf16",
        }
    return [f"-DGGML_{option}=ON" for option, flag in options.items() if flag in flags]


def build_llama(source: pathlib.Path, name: str, wide: bool) -> pathlib.Path:
    """The folder of its programs."""
    out = source.parent / f"build-{name}"
    if not (out / "bin/llama-batched-bench").exists():
        say(f"building {name}")
        run(["cmake", "-S", source, "-B", out, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=OFF",
             "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
             "-DLLAMA_BUILD_SERVER=OFF", *cpu_options(wide)])
        run(["ninja", "-C", out, "llama-bench", "llama-batched-bench"])
    return out / "bin"


class Llama:
    def __init__(self, name: str, programs: pathlib.Path, extra=()):
        self.name, self.programs, self.extra = name, programs, list(extra)
        self.env = os.environ | {"LD_LIBRARY_PATH": str(programs)}

    def single(self, gguf, threads, prompt, gen) -> dict:
        rows = json.loads(run([self.programs / "llama-bench", "-m", gguf, "-p", prompt, "-n", gen, "-r", 1,
                               "-t", threads, "-o", "json", *self.extra], env=self.env))
        return {"prefill": next(r["avg_ts"] for r in rows if r["n_prompt"] > 0),
                "decode": next(r["avg_ts"] for r in rows if r["n_gen"] > 0)}

    def ten(self, gguf, threads, gen) -> dict:
        text = run([self.programs / "llama-batched-bench", "-m", gguf, "-npp", 32, "-ntg", gen, "-npl", 10,
                    "-pps", "-t", threads, "-c", 2048, "--output-format", "jsonl", *self.extra], env=self.env)
        row = json.loads([line for line in text.splitlines() if line.startswith("{")][-1])
        return {"ten rows": row["speed_tg"]}


class Bobby:
    def __init__(self, name: str, program: pathlib.Path, options=()):
        self.name, self.program, self.options = name, program, list(options)

    def bench(self, model, threads, prompt, gen, batch, more=()):
        text = run([self.program, "bench", "--model", model, "--threads", threads, "--prompt-tokens", prompt,
                    "--gen-tokens", gen, "--batch", batch, "--json", *self.options, *more])
        machine, row = [json.loads(line) for line in text.splitlines()][-2:]
        return machine, row

    def single(self, model, threads, prompt, gen, adapter=None) -> dict:
        machine, row = self.bench(model, threads, prompt, gen, 1)
        out = {"prefill": row["prefill_tok_s"], "decode": row["decode_tok_s"],
               "of bandwidth": row["share_of_bandwidth"],
               "of the pages'": row["share_of_weights_bandwidth"], "load ms": machine["load_ms"],
               "RSS GB": machine["peak_rss_bytes"] / 1e9}
        if adapter:
            _, row = self.bench(model, threads, 8, 2 * gen, 1, ["--adapter", adapter])
            out["LoRA cost"] = row["lora_cost"]
        return out

    def ten(self, model, threads, gen) -> dict:
        _, row = self.bench(model, threads, 32, gen, 10)
        return {"ten rows": row["decode_tok_s"]}


def spread(values) -> str:
    return f"{min(values):.3g} / {statistics.median(values):.3g} / {max(values):.3g}"


def table(title: str, rounds: list[dict], ours: list[str], peers: list[str]) -> None:
    """rounds: [{contender: {measure: value}}]"""
    print(f"\n## {title}: minimum / median / maximum of {len(rounds)} rounds\n")
    measures = list(dict.fromkeys(m for name in ours + peers for m in rounds[0].get(name, {})))
    print("| | " + " | ".join(measures) + " |\n|---" + "|---" * len(measures) + "|")
    for name in ours + peers:
        cells = [spread([r[name][m] for r in rounds]) if m in rounds[0][name] else "" for m in measures]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for mine in ours:
        for peer in peers:
            cells = []
            for m in measures:
                both = m in rounds[0][mine] and m in rounds[0][peer]
                cells.append(spread([r[mine][m] / r[peer][m] for r in rounds]) if both else "")
            print(f"| {mine} : {peer} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--bobby", type=pathlib.Path, default=ROOT / "build/release/bin/bobby")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--gen", type=int, default=16)
    parser.add_argument("--ik", type=pathlib.Path, help="a built checkout of ik_llama.cpp")
    parser.add_argument("--demo", type=pathlib.Path, help="a small GGUF file that bobby imports, too")
    parser.add_argument("--demo-only", action="store_true", help="leave the 8B shape out")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    source = llama_source(args.work)
    wide = Llama("llama.cpp", build_llama(source, "wide", True))
    narrow = Llama("llama.cpp, AVX2", build_llama(source, "avx2", False))
    peers = [wide, narrow]
    if args.ik:
        peers.append(Llama("ik_llama.cpp -rtr", args.ik / "build/bin", ["-rtr", "1"]))
    ours = [Bobby("bobby", args.bobby), Bobby("bobby, int8", args.bobby, ["--activations", "int8"])]
    ours.append(Bobby("bobby, AVX2", args.bobby, ["--isa", "avx2"]))
    if "amx_int8" in cpu_flags():
        ours.insert(1, Bobby("bobby, no AMX", args.bobby, ["--isa", "avx512-vnni"]))

    gguf = args.work / f"qwen3-8b-{args.layers}.gguf"
    if not gguf.exists() and not args.demo_only:
        say(f"writing {gguf}")
        run([sys.executable, HERE / "make_gguf.py", gguf, "--layers", args.layers])
    model, adapter = args.work / "qwen3-8b", args.work / "qwen3-8b-adapter"
    if not model.exists() and not args.demo_only:
        say(f"writing {model}")
        run([args.bobby, "model", "synth", "--arch", "qwen3-8b", "--out", model, "--adapter-out", adapter])

    result = {"threads": args.threads, "rounds": []}
    sets = [] if args.demo_only else [("Qwen3-8B's shape, 4 bits", gguf, model, adapter)]
    if args.demo:
        folder = args.work / "demo"
        if not folder.exists():
            run([args.bobby, "model", "import-gguf", args.demo, folder])
        sets.append(("demo model", args.demo, folder, None))
    for title, peer_file, our_folder, lora in sets:
        rounds = []
        for number in range(args.rounds):
            say(f"{title}: round {number + 1} of {args.rounds}")
            entry = {}
            for contender in ours:
                first = contender is ours[0]
                entry[contender.name] = contender.single(our_folder, args.threads, 128, args.gen,
                                                         lora if first else None)
                entry[contender.name] |= contender.ten(our_folder, args.threads, args.gen)
            for contender in peers:
                entry[contender.name] = contender.single(peer_file, args.threads, 128, args.gen)
                entry[contender.name] |= contender.ten(peer_file, args.threads, args.gen)
            rounds.append(entry)
        table(title, rounds, [c.name for c in ours], [c.name for c in peers])
        result["rounds"].append({"title": title, "rounds": rounds})
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
