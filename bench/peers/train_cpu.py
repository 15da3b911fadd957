"""Times a step of training beside PyTorch + PEFT on the same processor, model, adapter and tokens: forward and backward, fp32, no optimizer.

    python bench/peers/train_cpu.py --bench build/release/bench/training_bench --model ~/.local/share/bobby/models/demo

Needs torch, transformers and peft. The peer gets the checkpoint dequantised to fp32 and the same low-rank pairs (all seven projections).
Both take turns, step by step medians are printed, and both losses, which agree when both compute the same thing.
Times taken while others use the machine are worth little: the load average is printed beside them.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM


def dequantized(folder):
    """MLX's affine checkpoint in fp32."""
    config = json.loads((folder / "config.json").read_text())
    stored = {}
    for path in sorted(folder.glob("model*.safetensors")):
        stored |= load_file(path)
    quantization = config.get("quantization", {})
    exact = {}
    for name, tensor in stored.items():
        path = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if path + ".scales" in stored:
            entry = quantization.get(path, quantization)
            bits, group = entry["bits"], entry["group_size"]
            assert 32 % bits == 0, "widths that straddle words are not needed here"
            words = tensor.view(torch.int32)
            levels = torch.stack([(words >> shift) & (2**bits - 1) for shift in range(0, 32, bits)], dim=-1).flatten(1).float()
            scales = stored[path + ".scales"].float().repeat_interleave(group, dim=1)
            tensor = levels * scales + stored[path + ".biases"].float().repeat_interleave(group, dim=1)
        exact[name] = tensor.float()
    return exact


class Peer:
    def __init__(self, folder, rank, layers, threads):
        torch.set_num_threads(threads)
        config = AutoConfig.from_pretrained(folder)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
        missing, unknown = model.load_state_dict(dequantized(folder), strict=False)
        assert not unknown and all(name == "lm_head.weight" for name in missing), (missing, unknown)
        model.tie_weights()
        count = config.num_hidden_layers
        chosen = list(range(count - layers, count)) if layers > 0 else None
        self.model = get_peft_model(model, LoraConfig(
            r=rank, lora_alpha=2 * rank, lora_dropout=0.0, layers_to_transform=chosen,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
        self.model.train()

    def step(self, inputs, targets):
        begin = time.perf_counter()
        self.model.zero_grad()
        logits = self.model(input_ids=inputs, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        return time.perf_counter() - begin, loss.item()


def batch(sequences, tokens):
    """As training_bench has it."""
    row = torch.arange(sequences)[:, None] * 7919
    place = torch.arange(tokens)[None, :]
    return (row + place * 104729) % 40000 + 100, (row + (place + 1) * 104729) % 40000 + 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--shapes", default="8x64,8x256")
    parser.add_argument("--layers", default="0,16", help="0: all")
    arguments = parser.parse_args()
    folder = arguments.model.expanduser()

    print(f"torch {torch.__version__}, {arguments.threads} threads, load average {os.getloadavg()[0]:.1f}")
    print("| batch | adapted blocks | bobby tok/s | PyTorch + PEFT tok/s | ratio | processor s a step, each | losses |")
    print("|---|---|---|---|---|---|---|")
    for layers in map(int, arguments.layers.split(",")):
        peer = Peer(folder, arguments.rank, layers, arguments.threads)
        for shape in arguments.shapes.split(","):
            sequences, tokens = map(int, shape.split("x"))
            inputs, targets = batch(sequences, tokens)
            command = [arguments.bench, folder, *map(str, (sequences, tokens, layers, arguments.rank, arguments.steps + 1, arguments.threads))]
            ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            peer.step(inputs, targets)  # the first step of each warms up
            processor = time.process_time()
            theirs = [peer.step(inputs, targets) for _ in range(arguments.steps)]
            processor = (time.process_time() - processor) / arguments.steps
            own = sequences * tokens / statistics.median(ours["seconds"][1:])
            other = sequences * tokens / statistics.median(seconds for seconds, _ in theirs)
            print(f"| {shape} | {layers or 'all'} | {own:.0f} | {other:.0f} | {own / other:.2f} | "
                  f"{ours['processor_seconds'] / (arguments.steps + 1):.2f}, {processor:.2f} | {ours['loss']:.4f}, {theirs[-1][1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
