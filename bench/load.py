"""Many clients at once against `bobby serve`, every answer compared with the same request's alone.

    python bench/load.py [--clients 200] [--seconds 60] [--model FOLDER] [--jobs 48] [--out result.json]

The requests differ in endpoint, prompt, adapter, scale, seed and length, and in whether they stream;
each is first asked for alone. Under load some clients leave at a random moment. Printed are what
became of the requests, the time to the first token, tokens a second and the server's own memory.
Exit status 1: an answer differed or was lost, or memory grew.
"""

import argparse
import asyncio
import collections
import dataclasses
import json
import os
import pathlib
import random
import sys
import tempfile
import time

from serve_client import Call, Refused, ServerProcess, percentile, post

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/clients"))
from adapter_files import write_adapter  # noqa: E402

DATA = pathlib.Path(os.environ.get("XDG_DATA_HOME", pathlib.Path.home() / ".local/share"))
TOPICS = ["coffee", "the sea", "a slow train", "debugging", "winter light", "a lost key", "old maps", "rain"]
# Memory may grow by this much between the second and the last third of a run: what 200 connections
# more or less at the moment of the sample need.
MEMORY_SLACK = 32 << 20


@dataclasses.dataclass
class Job:
    path: str
    body: dict
    expected: object = None  # what the same request answers alone
    tokens: int = 0


def make_job(rng: random.Random, voices: list[str]) -> Job:
    topic, seed = rng.choice(TOPICS), rng.randrange(1 << 32)
    uses = [{"name": name, "scale": rng.choice([0.5, 1.0, 1.5])}
            for name in rng.sample(voices, rng.choice([0, 1, 1, 1, 2]))]
    body = {"seed": seed, "temperature": rng.choice([0.0, 0.7, 1.0]), "max_tokens": rng.randint(4, 40),
            "stream": rng.random() < 0.5}
    kind = rng.choice(["completions", "chat", "posts"])
    if kind == "posts":
        return Job("/v1/posts", body | {"prompt": f"write about {topic}", "count": rng.randint(1, 3), "retries": 1,
                                        "temperature": 0.8, "adapters": uses})
    body |= {"lora": uses, "n": rng.choice([1, 1, 2])}
    if kind == "chat":
        message = {"role": "user", "content": f"One sentence about {topic}, please."}
        return Job("/v1/chat/completions", body | {"messages": [message], "logprobs": True})
    return Job("/v1/completions", body | {"prompt": f"Here is what I think of {topic}:", "logprobs": 1})


class Answer:
    """Gathers what of an answer must not depend on company: texts, reasons and log-probabilities."""

    def __init__(self):
        self.texts = collections.defaultdict(str)
        self.logprobs = collections.defaultdict(list)
        self.reasons, self.posts, self.first_token = {}, {}, None

    def choice(self, choice: dict) -> None:
        index = choice["index"]
        message = choice.get("message") or choice.get("delta") or {}
        self.texts[index] += choice.get("text") or message.get("content") or ""
        logprobs = choice.get("logprobs") or {}
        self.logprobs[index] += [entry["logprob"] for entry in logprobs.get("content") or []]
        self.logprobs[index] += logprobs.get("token_logprobs") or []
        if choice.get("finish_reason"):
            self.reasons[index] = choice["finish_reason"]

    def post(self, post: dict) -> None:
        self.posts[post["index"]] = (post["text"], post["tokens"], post["tries"], post["finish_reason"])

    def event(self, event: dict, now: float) -> bool:
        """Whether it brought text."""
        if event.get("type") == "error" or "error" in event:
            raise ConnectionError(f"an error within the stream: {event['error']}")
        for choice in event.get("choices", []):
            self.choice(choice)
        if event.get("type") == "post":
            self.post(event["post"])
        text = event.get("type") == "text" or any(self.texts.values())
        if text and self.first_token is None:
            self.first_token = now
        return bool(text)

    def value(self):
        return (sorted(self.texts.items()), sorted(self.logprobs.items()), sorted(self.reasons.items()),
                sorted(self.posts.items()))

    def tokens(self) -> int:
        return sum(map(len, self.logprobs.values())) + sum(post[1] for post in self.posts.values())


async def ask(port: int, job: Job, leave_after: float | None = None) -> tuple[Answer, float, float]:
    """The answer, and the seconds to the first token (streams only) and to the end."""
    call, answer, start = Call(port, job.path, job.body), Answer(), time.monotonic()

    async def run():
        await call.begin()
        if job.body["stream"]:
            async for event in call.events():
                answer.event(event, time.monotonic())
            return
        whole = json.loads(await call.whole())
        for choice in whole.get("choices", []):
            answer.choice(choice)
        for post_ in whole.get("posts", []):
            answer.post(post_)

    try:
        await asyncio.wait_for(run(), leave_after)
    finally:
        call.close()
    end = time.monotonic()
    return answer, (answer.first_token or end) - start, end - start


class Load:
    def __init__(self, port: int, jobs: list[Job], seed: int, leave_share: float):
        self.port, self.jobs, self.rng, self.leave_share = port, jobs, random.Random(seed), leave_share
        self.counts = collections.Counter()
        self.first, self.whole, self.wrong = [], [], []
        self.tokens = 0

    async def client(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            job = self.rng.choice(self.jobs)
            leaves = self.rng.random() < self.leave_share
            self.counts["asked"] += 1
            try:
                # At any moment between the request and an answer's usual end.
                usual = percentile(self.whole[-100:], 0.5) if self.whole else 1.0
                answer, first, whole = await ask(self.port, job, self.rng.uniform(0, usual) if leaves else None)
            except asyncio.TimeoutError:
                self.counts["left"] += 1
            except Refused as refused:
                self.counts[f"refused with {refused.status}"] += 1
                await asyncio.sleep(refused.retry_after if refused.status == 429 else 0.1)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.counts[f"lost: {type(error).__name__}"] += 1
                self.wrong.append({"job": job.body, "error": str(error)})
            else:
                self.take(job, answer, first, whole)

    def take(self, job: Job, answer: Answer, first: float, whole: float) -> None:
        self.counts["answered"] += 1
        self.tokens += job.tokens
        self.whole.append(whole)
        if job.body["stream"]:
            self.first.append(first)
        if answer.value() != job.expected:
            self.counts["crossed"] += 1
            self.wrong.append({"job": job.body, "expected": job.expected, "found": answer.value()})


async def sample_memory(server: ServerProcess, samples: list[tuple[float, int]]) -> None:
    while True:
        samples.append((time.monotonic(), server.rss()))
        await asyncio.sleep(0.5)


async def measure(server: ServerProcess, args) -> tuple[Load, list[tuple[float, int]], float]:
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        voices = [f"voice{number}" for number in range(4)]
        for number, name in enumerate(voices):
            write_adapter(pathlib.Path(folder) / name, 40 + number)
            await post(server.port, "/v1/adapters", {"path": str(pathlib.Path(folder) / name), "name": name})
        jobs = [make_job(rng, voices) for _ in range(args.jobs)]
        for number, job in enumerate(jobs):
            answer, _, _ = await ask(server.port, job)
            job.expected, job.tokens = answer.value(), answer.tokens()
            print(f"\rload: alone {number + 1} of {len(jobs)}", end="", file=sys.stderr, flush=True)
        print(f"\nload: {args.clients} clients for {args.seconds} s", file=sys.stderr)
        load, samples = Load(server.port, jobs, args.seed, args.leave), []
        sampler = asyncio.create_task(sample_memory(server, samples))
        start = time.monotonic()
        await asyncio.gather(*(load.client(start + args.seconds) for _ in range(args.clients)))
        seconds = time.monotonic() - start
        await asyncio.sleep(1)
        sampler.cancel()
        # What was answered alone is answered alone again.
        for job in rng.sample(jobs, min(8, len(jobs))):
            answer, _, _ = await ask(server.port, job)
            load.counts["asked again alone"] += 1
            if answer.value() != job.expected:
                load.counts["crossed"] += 1
        return load, samples, seconds


def idle(server: ServerProcess) -> bool:
    """Whether the rows of those who left are free again."""
    metrics = server.get("/metrics").splitlines()
    return "bobby_rows_running 0" in metrics and "bobby_requests_waiting 0" in metrics


def report(load: Load, samples, seconds: float, args) -> dict:
    memory = [value for _, value in samples]
    third = max(1, len(memory) // 3)
    middle, last = (max(part) for part in (memory[third:2 * third] or memory, memory[-third:]))
    return {
        "clients": args.clients, "seconds": round(seconds, 1), "counts": dict(sorted(load.counts.items())),
        "tokens_per_second": round(load.tokens / seconds, 1),
        "first_token_s": {"p50": round(percentile(load.first, 0.5), 3), "p99": round(percentile(load.first, 0.99), 3)},
        "answer_s": {"p50": round(percentile(load.whole, 0.5), 3), "p99": round(percentile(load.whole, 0.99), 3)},
        "memory_mb": {"first": memory[0] >> 20, "middle": middle >> 20, "last": last >> 20,
                      "samples": [value >> 20 for value in memory]},
        "memory_flat": last <= middle + MEMORY_SLACK,
        "wrong": load.wrong[:5],
    }


def print_table(result: dict) -> None:
    rows = [("clients", result["clients"]), ("seconds", result["seconds"]), *result["counts"].items(),
            ("tokens a second", result["tokens_per_second"]),
            ("time to the first token, p50 / p99", f"{result['first_token_s']['p50']} / {result['first_token_s']['p99']} s"),
            ("time to the end, p50 / p99", f"{result['answer_s']['p50']} / {result['answer_s']['p99']} s"),
            ("memory: first / middle / last third", "{first} / {middle} / {last} MB".format(**result["memory_mb"])),
            ("rows free again", result["idle"]), ("exit status on SIGTERM", result["exit_status"])]
    print("| | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bobby", type=pathlib.Path, default=ROOT / "build/release/bin/bobby")
    parser.add_argument("--model", type=pathlib.Path,
                        default=os.environ.get("BOBBY_DEMO_MODEL", DATA / "bobby/models/demo"))
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=48, help="different requests")
    parser.add_argument("--leave", type=float, default=0.15, help="share of requests whose client leaves")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("serve", nargs="*", help="further options of bobby serve, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        server = ServerProcess([args.bobby, "serve", "--port", "PORT", "--model", args.model, "--max-queue", 4 * args.clients,
                                *args.serve], pathlib.Path(home) / "log", "/ready", {"XDG_STATE_HOME": home})
        try:
            load, samples, seconds = asyncio.run(measure(server, args))
            result = report(load, samples, seconds, args)
            result["idle"] = idle(server)
        finally:
            status = server.stop()
        result["exit_status"] = status
    print_table(result)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    for wrong in result["wrong"]:
        print(json.dumps(wrong), file=sys.stderr)
    good = not load.wrong and not load.counts["crossed"] and load.counts["answered"] > 0
    return 0 if good and result["memory_flat"] and result["idle"] and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
