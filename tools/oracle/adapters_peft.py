"""Logits of a tiny model under an adapter, by transformers and PEFT: the other half of adapters.py.

    python tools/oracle/adapters_peft.py WORK ADAPTER

WORK holds config.json, exact.safetensors (fp32) and tokens.npy; logits.npy and packages.json are written.
"""

import importlib.metadata
import json
import pathlib
import sys

import numpy as np
import peft
import torch
import transformers
from safetensors.torch import load_file

CLASSES = {"qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
           "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM)}


def main():
    work, adapter = pathlib.Path(sys.argv[1]), sys.argv[2]
    config = json.loads((work / "config.json").read_text())
    config = {key: value for key, value in config.items() if not key.startswith("quantization")}
    config_class, model_class = CLASSES[config["model_type"]]
    model = model_class(config_class(**config, attn_implementation="eager")).float()
    state = load_file(str(work / "exact.safetensors"))
    if config["tie_word_embeddings"]:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    adapted = peft.PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        logits = adapted(torch.tensor(np.load(work / "tokens.npy")[None])).logits[0]
    np.save(work / "logits.npy", logits.float().numpy())
    packages = {name: importlib.metadata.version(name) for name in ("peft", "torch", "transformers")}
    (work / "packages.json").write_text(json.dumps(packages))


if __name__ == "__main__":
    main()
