"""Times `bobby serve` beside llama.cpp's llama-server: many clients, one machine, the same GGUF file.

    python bench/peers/compare_serve.py --work DIR --demo DEMO.gguf [--rounds 5] [--clients 10,16]
                                        [--threads N] [--out result.json] [--build-only]

DIR keeps what is made once: llama-server from the source inside the llama-cpp-python package, built
for this processor; the demo model imported from the same GGUF file; four adapters in both forms.
Needs cmake, ninja, pip and numpy.

Each client asks for one completion after the other: a prompt of its own, 64 tokens, greedy, none
ended early. In each round every server is started alone and runs every measure, one after the other,
so that neighbours on the machine trouble all alike. "with adapters" gives the clients different ones,
by turns of four and none. Both get as many rows as there are clients, and no prompt is met twice.
"""

import argparse
import asyncio
import json
import os
import pathlib
import sys
import tempfile
import time

import compare
import make_gguf
import numpy as np

sys.path[:0] = [str(compare.ROOT / "bench"), str(compare.ROOT / "tests/clients")]
from adapter_files import RANK, adapter_tensors, write_adapter  # noqa: E402
from serve_client import ServerProcess, percentile, post  # noqa: E402

ADAPTERS = 4
GGUF_NAMES = {"self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.down_proj": "ffn_down"}


def build_server(source: pathlib.Path) -> pathlib.Path:
    out = source.parent / "build-server"
    program = out / "bin/llama-server"
    if not program.exists():
        compare.say("building llama-server")
        compare.run(["cmake", "-S", source, "-B", out, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                     "-DGGML_NATIVE=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
                     "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=ON", "-DLLAMA_BUILD_UI=OFF",
                     "-DLLAMA_USE_PREBUILT_UI=OFF", *compare.cpu_options(True)])
        compare.run(["nice", "ninja", "-C", out, "llama-server"])
    return program


def write_gguf_adapter(path: pathlib.Path, seed: int) -> None:
    """The pairs of write_adapter(seed): llama.cpp multiplies by alpha / rank."""
    writer = make_gguf.Writer({"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora",
                               "adapter.lora.alpha": float(RANK)})
    for name, (shape, values) in adapter_tensors(seed).items():
        _, _, layer, block, module, part = name.split(".")
        matrix = np.frombuffer(values.tobytes(), np.float32).reshape(shape).T
        writer.floats(f"blk.{layer}.{GGUF_NAMES[f'{block}.{module}']}.weight.{part}", np.ascontiguousarray(matrix))
    writer.save(path)


class Bobby:
    name = "bobby serve"

    def __init__(self, program: pathlib.Path, model: pathlib.Path, adapters: list[pathlib.Path], threads: int):
        self.program, self.model, self.adapters, self.threads = program, model, adapters, threads

    def start(self, home: pathlib.Path, clients: int) -> ServerProcess:
        server = ServerProcess([self.program, "serve", "--port", "PORT", "--model", self.model, "--threads", self.threads,
                                "--max-rows", clients], home / "bobby.log", "/ready", {"XDG_STATE_HOME": str(home)})
        for number, folder in enumerate(self.adapters):
            asyncio.run(post(server.port, "/v1/adapters", {"path": str(folder), "name": f"voice{number}"}))
        return server

    def body(self, adapter: int | None) -> dict:
        return {"lora": [] if adapter is None else [{"name": f"voice{adapter}", "scale": 1.0}]}


class Llama:
    name = "llama-server"

    def __init__(self, program: pathlib.Path, gguf: pathlib.Path, adapters: list[pathlib.Path], threads: int):
        self.program, self.gguf, self.adapters, self.threads = program, gguf, adapters, threads

    def start(self, home: pathlib.Path, clients: int) -> ServerProcess:
        loras = [item for path in self.adapters for item in ("--lora", path)]
        return ServerProcess([self.program, "-m", self.gguf, "--port", "PORT", "-t", self.threads, "-tb", self.threads,
                              "-np", clients, "-c", 256 * clients, *loras, "--lora-init-without-apply"],
                             home / "llama.log", "/health", {"LD_LIBRARY_PATH": str(self.program.parent)})

    def body(self, adapter: int | None) -> dict:
        return {"lora": [{"id": number, "scale": 1.0 if number == adapter else 0.0} for number in range(ADAPTERS)],
                "cache_prompt": False}


async def measure(contender, port: int, clients: int, with_adapters: bool, args) -> dict:
    latencies, tokens = [], 0

    async def client(number: int) -> None:
        nonlocal tokens
        turn = number % (ADAPTERS + 1)
        adapter = turn if with_adapters and turn < ADAPTERS else None
        for request in range(args.requests):
            kind = "new" if with_adapters else "old"
            prompt = (f"{kind.title()} client {number} of {clients} in its turn {request} wants to know more about the slow trains of "
                      "the north, and about the people who wait for them in the rain:")
            start = time.monotonic()
            answer = await post(port, "/v1/completions", contender.body(adapter) | {
                "prompt": prompt, "max_tokens": args.tokens, "temperature": 0.0, "ignore_eos": True})
            latencies.append(time.monotonic() - start)
            assert answer["usage"]["completion_tokens"] == args.tokens, answer["usage"]
            tokens += args.tokens

    start = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return {"tok/s": tokens / (time.monotonic() - start), "answer s, median": percentile(latencies, 0.5)}


def one_round(contender, home: pathlib.Path, args) -> dict:
    entry = {}
    for clients in args.clients:
        server = contender.start(home, clients)
        try:
            for with_adapters in (False, True):
                result = asyncio.run(measure(contender, server.port, clients, with_adapters, args))
                kind = "with adapters" if with_adapters else "base"
                entry |= {f"{clients} clients, {kind}: {what}": value for what, value in result.items()}
        finally:
            server.stop()
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--demo", type=pathlib.Path, required=True, help="the demo model's GGUF file")
    parser.add_argument("--bobby", type=pathlib.Path, default=compare.ROOT / "build/release/bin/bobby")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[10, 16])
    parser.add_argument("--requests", type=int, default=2, help="of each client, one after the other")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    program = build_server(compare.llama_source(args.work))
    if args.build_only:
        return
    model = args.work / "demo"
    if not model.exists():
        compare.run([args.bobby, "model", "import-gguf", args.demo, model])
    folders, files = [], []
    for number in range(ADAPTERS):
        folders.append(write_adapter(args.work / f"voice{number}", 60 + number))
        files.append(args.work / f"voice{number}.gguf")
        write_gguf_adapter(files[-1], 60 + number)
    ours, peer = Bobby(args.bobby, model, folders, args.threads), Llama(program, args.demo, files, args.threads)
    rounds = []
    with tempfile.TemporaryDirectory() as home:
        for number in range(args.rounds):
            compare.say(f"round {number + 1} of {args.rounds}")
            rounds.append({contender.name: one_round(contender, pathlib.Path(home), args) for contender in (ours, peer)})
    compare.table("Servers, demo model", rounds, [ours.name], [peer.name])
    if args.out:
        args.out.write_text(json.dumps({"threads": args.threads, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
