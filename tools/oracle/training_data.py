"""Goldens for training's data: tokens and loss masks of records, the order of batches, YAML's values.

    python tools/oracle/training_data.py [--qwen3 FOLDER] [--demo FOLDER] [--out tests/parity/training/data]

Records go through mlx_lm.tuner.datasets with the chat templates of Qwen3 and SmolLM2, on the small
tokenizers of tests/parity/tokenizer, and as digests on the real ones (--qwen3: a folder with
tokenizer.json and tokenizer_config.json; --demo: the imported demo model). The order of batches is
what mlx_lm.tuner.trainer.train asks for, with a loss that computes nothing. YAML scalars are read as
mlx_lm.lora's own loader reads them.
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import tempfile
import types

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import yaml
from manifest import REPOSITORY, write_manifest
from mlx_lm.lora import CONFIG_DEFAULTS, yaml_loader
from mlx_lm.tokenizer_utils import load as load_tokenizer
from mlx_lm.tuner import datasets, trainer

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


SCALARS = """
1 -1 +7 0 007 0x1F -0x10 0b101 1_000 08 1e5 1e-5 -1E+3 1.5 1. .5 -.5 1.5e3 1_0.5 .inf -.inf .INF .5e+3 1e 1e+ e5 1.2.3
+ . _1 1_ 0x true True TRUE tRue yes No off ON y n ~ null Null NULL nULL none None abc "1" 'true' "" 'null' 1e400 12-3
5e-324 123456789012 0.1 -0.0 +.5 1,5 1e-05 inf nan .nan
""".split()


def turn(role: str, content, **more) -> dict:
    return {"role": role, "content": content, **more}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Today's <weather> & \"more\" – für Köln",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}}, "required": ["city"]},
    "limits": [0.5, 1.0, 1e20, 1.5e-7, 123456789.25, -0.0001, 3e15, 1e16, True, False, None, {}, []],
}}
CALL = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}
CALL_TEXT = {"function": {"name": "get_weather", "arguments": "{\"city\": \"Bonn\"}"}}

CHAT = [
    {"messages": [turn("user", "Write a post about rain."), turn("assistant", "rain again. the plants are thrilled")]},
    {"messages": [turn("system", "You are terse."), turn("user", "hi"), turn("assistant", "hello")]},
    {"messages": [turn("user", "one"), turn("assistant", "two"), turn("user", "three"), turn("assistant", "four\n")]},
    {"messages": [turn("user", "think"), turn("assistant", "<think>\nhm, well\n</think>\n\nno")]},
    {"messages": [turn("user", "a"), turn("assistant", "<think>x</think>y"), turn("user", "b"), turn("assistant", "\n\nleading ends", reasoning_content="\nsince b\n")]},
    {"messages": [turn("user", "Grüße 👋🏽"), turn("assistant", "¿Qué tal? 今日は")], "note": "ignored"},
    {"messages": [turn("user", "<|im_end|> inside"), turn("assistant", "fine <|im_start|>")]},
    {"messages": [turn("assistant", "no question")]},
    {"messages": [turn("user", "last is the user's")]},
    {"messages": [turn("user", "two answers"), turn("assistant", "one"), turn("assistant", "two")]},
    {"messages": [turn("user", "then"), turn("system", "a late system turn"), turn("assistant", "ok")]},
    {"messages": [turn("user", ""), turn("assistant", "")]},
    {"messages": [turn("user", "x"), {"role": "assistant"}]},
    {"messages": [turn("user", "x"), turn("assistant", None)]},
    {"messages": [turn("user", 5), turn("assistant", "x")]},
    {"messages": []},
]
TOOLS = [
    {"messages": [turn("user", "weather?"), turn("assistant", "", tool_calls=[CALL])], "tools": [WEATHER]},
    {"messages": [turn("system", "S"), turn("user", "weather?"), turn("assistant", "let me see", tool_calls=[CALL, CALL_TEXT])], "tools": [WEATHER, WEATHER]},
    {"messages": [turn("user", "weather?"), turn("assistant", "", tool_calls=[CALL_TEXT]), turn("tool", "12 °C"), turn("tool", "dry"), turn("assistant", "12 degrees and dry")], "tools": [WEATHER]},
    {"messages": [turn("user", "a"), turn("user", "<tool_response>\nb\n</tool_response>"), turn("assistant", "c")], "tools": []},
    {"messages": [turn("user", "weather?"), {"role": "assistant", "tool_calls": [CALL]}], "tools": [WEATHER]},
]
COMPLETIONS = [
    {"prompt": "Write a post.", "completion": "posts write themselves if you let them"},
    {"prompt": "", "completion": "an answer to nothing", "tools": None},
    {"prompt": "Tools", "completion": "used", "tools": [WEATHER]},
    {"prompt": "no", "completion": None},
]
TEXTS = [{"text": "A whole text."}, {"text": "ends with it<|im_end|>"}, {"text": "多言語 text\n"}, {"text": "", "more": 1}]
FILES = {"chat": CHAT, "tools": TOOLS, "completions": COMPLETIONS, "text": TEXTS}


def scalars() -> list:
    """[text, type, value] of each scalar."""
    found = []
    for text in SCALARS:
        value = yaml.load(f"key: {text}", yaml_loader)["key"]
        exact = repr(value) if isinstance(value, float) else value
        found.append([text, type(value).__name__, exact])
    return found


def tokenizer_folder(work: pathlib.Path, name: str, tokenizer_json: pathlib.Path, template: str, eos: str):
    folder = work / name
    folder.mkdir()
    shutil.copy(tokenizer_json, folder / "tokenizer.json")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos, "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder), config


def processed(tokenizer, records: list[dict], mask_prompt: bool) -> list:
    """[tokens, offset] of each record, or None where mlx-lm fails."""
    config = types.SimpleNamespace(mask_prompt=mask_prompt)
    try:
        dataset = datasets.create_dataset(records, tokenizer, config)
    except ValueError:
        return [None] * len(records)
    found = []
    for record in json.loads(json.dumps(records)):
        try:
            tokens, offset = dataset.process(record)
            found.append([[int(t) for t in tokens], offset])
        except Exception:
            found.append(None)
    return found


def digested(case: list | None) -> list | None:
    if case is None:
        return None
    ids = ",".join(map(str, case[0]))
    return [hashlib.sha256(ids.encode()).hexdigest()[:12], len(case[0]), case[1]]


def runs(tokenizer) -> dict:
    return {f"{name}{'.masked' if mask else ''}": processed(tokenizer, records, mask) for name, records in FILES.items() for mask in (False, True)}


class Records:
    """Records whose tokens begin with their own number."""

    def __init__(self, lengths: list[int], keys: list[int]):
        self.data = [{str(k): 0 for k in range(n)} for n in keys]
        self.tokens = [[i] + [7] * (n - 1) for i, n in enumerate(lengths)]
        for i, record in enumerate(self.data):
            record["0"] = i

    def __getitem__(self, i):
        return self.data[i]

    def __len__(self):
        return len(self.data)

    def process(self, record):
        tokens = self.tokens[record["0"]]
        return tokens, min(3, len(tokens))


def order_case(seed, batch_size, training, validation, iters, steps_per_eval, val_batches, max_seq_length) -> dict:
    events = []

    def recording(dataset, batch_size, max_seq_length, loop=False, **more):
        for batch, spans in trainer.iterate_batches(dataset, batch_size, max_seq_length, loop=loop, **more):
            rows = np.array(batch)
            events.append({
                "training": loop, "examples": rows[:, 0].tolist(), "padded": rows.shape[1],
                "offsets": np.array(spans)[:, 0].tolist(), "lengths": np.array(spans)[:, 1].tolist(),
            })
            yield batch, spans

    def no_loss(model, batch, spans):
        return (model(mx.zeros((1, 1))) * 0).sum() + 1.0, mx.array(1)

    np.random.seed(seed)
    model = nn.Linear(1, 1)
    with tempfile.TemporaryDirectory() as folder:
        trainer.train(
            model, optim.SGD(0.0), datasets.CacheDataset(Records(*training)),
            datasets.CacheDataset(Records(*validation)) if validation else [],
            trainer.TrainingArgs(
                batch_size=batch_size, iters=iters, val_batches=val_batches, steps_per_report=iters, steps_per_eval=steps_per_eval,
                steps_per_save=10 * iters, max_seq_length=max_seq_length, adapter_file=f"{folder}/a.safetensors",
            ),
            loss=no_loss, iterate_batches=recording,
        )
    return {
        "seed": seed, "batch_size": batch_size, "iters": iters, "steps_per_eval": steps_per_eval, "val_batches": val_batches,
        "max_seq_length": max_seq_length, "training": training, "validation": validation, "events": events,
    }


def orders() -> list[dict]:
    def lengths(count, step):
        return [2 + (i * step) % 90 for i in range(count)]

    return [
        order_case(0, 4, (lengths(23, 17), [1 + i % 3 for i in range(23)]), (lengths(9, 5), [1] * 9), 13, 4, 25, 2048),
        order_case(42, 1, (lengths(5, 29), [2] * 5), (lengths(3, 31), [2, 1, 2]), 12, 5, 2, 64),
        order_case(7, 2, (lengths(8, 13), [1] * 8), (lengths(6, 7), [1] * 6), 9, 3, 0, 40),
        order_case(2**32 - 1, 3, (lengths(10, 11), [1] * 10), (lengths(6, 7), [1] * 6), 7, 2, -1, 33),
        order_case(3, 2, (lengths(5, 50), [3, 1, 2, 1, 3]), None, 6, 100, 25, 2048),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qwen3", type=pathlib.Path, required=True)
    parser.add_argument("--demo", type=pathlib.Path, required=True)
    parser.add_argument("--out", default="tests/parity/training/data")
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    qwen3 = json.loads((arguments.qwen3 / "tokenizer_config.json").read_text())["chat_template"]
    small = REPOSITORY / "tests/parity/tokenizer/goldens"
    models = {}
    with tempfile.TemporaryDirectory() as work:
        for name, file, template, eos in [
            ("qwen3", "qwen", qwen3, "<|im_end|>"), ("smollm2", "smollm", SMOLLM2, "<|im_end|>"), ("llama3", "llama3", SMOLLM2, "<|eot_id|>"),
        ]:
            tokenizer, config = tokenizer_folder(pathlib.Path(work), name, small / f"{file}.tokenizer.json", template, eos)
            models[name] = {"tokenizer": f"{file}.tokenizer.json", "config": config, "runs": runs(tokenizer)}
    real = {}
    for name, folder in (("qwen3", arguments.qwen3), ("demo", arguments.demo)):
        found = runs(load_tokenizer(folder))
        real[name] = {run: [digested(case) for case in cases] for run, cases in found.items()}
    goldens = {"records.json": {"files": FILES, "models": models, "real": real}, "orders.json": orders(), "config.json": {"scalars": scalars(), "defaults": CONFIG_DEFAULTS}}
    for name, golden in goldens.items():
        (out / name).write_text(json.dumps(golden, separators=(",", ":"), ensure_ascii=False) + "\n")
    write_manifest(out, __file__, ["mlx", "mlx-lm", "numpy", "pyyaml", "transformers", "tokenizers"])


if __name__ == "__main__":
    main()
