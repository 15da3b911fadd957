"""Greedy text of the demo model, by transformers in fp32 from the same GGUF file.

Usage: python tools/oracle/demo_greedy.py SmolLM2-135M-Instruct.Q4_1.gguf
Writes tests/parity/demo/golden/greedy.json: for each prompt its ids and the 64 ids that follow.
Needs torch, transformers, accelerate and gguf.
"""

import json
import pathlib
import sys

import torch
from manifest import REPOSITORY, write_manifest
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "write about coffee",
    "Tell me a story about the sea.",
    "def fibonacci(n):",
    "The best thing about debugging is",
    "What is a haiku?",
]
END_OF_TURN = 2


def main() -> None:
    gguf = pathlib.Path(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    cases = []
    for prompt in PROMPTS:
        text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.no_grad():
            out = model.generate(ids, max_new_tokens=64, do_sample=False, eos_token_id=END_OF_TURN,
                                 repetition_penalty=1.0)
        cases.append({"text": text, "prompt_ids": ids[0].tolist(), "ids": out[0, ids.shape[1]:].tolist()})
    folder = REPOSITORY / "tests/parity/demo/golden"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "greedy.json").write_text(json.dumps(cases) + "\n")
    write_manifest(folder, __file__, ["torch", "transformers", "gguf"])


if __name__ == "__main__":
    main()
