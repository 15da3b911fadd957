#!/bin/sh
# What an adapter at common settings keeps in each way of using it, on a model of Qwen3-8B's shape: makes a random
# 4-bit 8B, trains an adapter on posts as mlx-lm's users do (25,000 single posts, 8 an optimizer step, rank 8 on the top
# 16 blocks, scale 20, rate 1e-5), and runs `bobby adapter fidelity` over it. Builds and fetches nothing.
#
#   OUT=results WORK=/tmp/work bench/fidelity_8b.sh BOBBY POSTS.jsonl TOKENIZER_DIR
#
# BOBBY          the program, built with CUDA for DEVICE=cuda
# POSTS.jsonl    assets/demo-voice/posts.jsonl, or another such file
# TOKENIZER_DIR  holds the model's tokenizer.json and tokenizer_config.json, which random weights lack
# DEVICE=cuda ARCH=qwen3-8b ITERS=25000 POSITIONS=1536 LIMIT=240 (seconds for the measuring itself) change what is run.
# Leaves fidelity.txt, .json, .html and the logs in OUT; each step's time is printed. An H200 with 16 processors: about
# 20 s, 110 s and, at some 15 positions a second for the fp32 reference, 100 s.
set -eu
bobby=$(realpath "$1"); posts=$(realpath "$2"); tokenizer=$(realpath "$3")
out=${OUT:-fidelity-8b}; work=${WORK:-build/fidelity-8b}
device=${DEVICE:-cuda}; arch=${ARCH:-qwen3-8b}
mkdir -p "$out" "$work"
out=$(realpath "$out"); work=$(realpath "$work"); model=$work/$arch

step() { # NAME SECONDS COMMAND...: with a limit, its time told, its last lines shown where it fails
  name=$1 limit=$2 begun=$(date +%s); shift 2
  rc=0; timeout "$limit" "$@" > "$out/$name.log" 2>&1 || rc=$?
  echo "== $name: $(($(date +%s) - begun)) s, exit $rc"
  [ $rc = 0 ] || { tr '\r' '\n' < "$out/$name.log" | tail -n 20; exit $rc; }
}

[ -e "$model/config.json" ] || step synth 180 "$bobby" model synth --arch "$arch" --out "$model" -q
cp "$tokenizer/tokenizer.json" "$tokenizer/tokenizer_config.json" "$model/"
step import 30 "$bobby" data import jsonl "$posts" --out "$work/data" --force
cat > "$work/train.yaml" <<YAML
model: $model
data: $work/data
adapter_path: $work/adapter
fine_tune_type: lora
num_layers: 16
lora_parameters: {rank: 8, scale: 20.0, dropout: 0.0}
learning_rate: 1e-5
optimizer: adamw
batch_size: 1
grad_accumulation_steps: 8
iters: ${ITERS:-25000}
max_seq_length: 256
mask_prompt: true
seed: 1
steps_per_report: 1000
steps_per_eval: 1000000
save_every: 1000000
cache_inputs: true
YAML
step train 300 "$bobby" train --device "$device" --config "$work/train.yaml" --overwrite
tr '\r' '\n' < "$out/train.log" | grep -E "loss" | tail -n 3
cd "$work"
step fidelity "${LIMIT:-240}" "$bobby" adapter fidelity adapter --model "$arch" --device "$device" \
  --data data --positions "${POSITIONS:-1536}" --html "$out/fidelity.html" --json
mv "$out/fidelity.log" "$out/fidelity.json"
python3 - "$out/fidelity.json" <<'PY' | tee "$out/fidelity.txt"
import json, sys
text = open(sys.argv[1]).read()
r = json.loads(text[text.index("{"):].splitlines()[0])
print(f"{r['model']} ({r['model_kind']}), {r['adapter_kind']}; {r['positions']} positions of {r['posts']} posts; {r['runtime']}; {r['seconds']:.0f} s, peak {r.get('peak_bytes', 0) / 1e9:.1f} GB with the mapped base")
print(f"{'':<18}{'mean KL':>11}{'99 % KL':>11}{'same first':>12}{'differ':>8}{'perplexity':>12}")
print(f"{'reference, fp32':<18}{'':>42}{r['reference']['perplexity']:>12.5g}")
for w in r["ways"]:
    print(f"{w['way']:<18}{w['mean_kl']:>11.3e}{w['p99_kl']:>11.3e}{100 * w['top1_agreement']:>10.3f} %{w['top1_differs']:>8}{w['perplexity']:>12.5g}")
print("share of positions whose first two tokens are closer than x nats:", ", ".join(f"{m['below']}: {100 * m['share']:.2f} %" for m in r["reference"]["margins"]))
d = r["delta"]
print(f"change {100 * d['relative_size']:.3f} % of the weights; left (noise): " + "; ".join(f"{k} {100 * d[k]['kept']:.2f} % ({100 * d[k]['noise']:.1f} %)" for k in ("fused", "requantized")))
PY
