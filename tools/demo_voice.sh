#!/bin/sh
# Trains the demo voice anew from its posts: some minutes on two processors. The adapter in
# assets/demo-voice/adapter came from this, on one machine; another's kernels round otherwise.
# Usage: tools/demo_voice.sh [BOBBY] [DIR]   (the program, and where data and adapter go)
set -eu
cd "$(dirname "$0")/.."
bobby=${1:-build/release/bin/bobby}
work=${2:-build/demo-voice}

tools/demo_model.sh "$bobby"
mkdir -p "$work"
"$bobby" data import jsonl assets/demo-voice/posts.jsonl --out "$work/data" --force
"$bobby" train --config assets/demo-voice/train.yaml --data "$work/data" --adapter-path "$work/adapter" --overwrite
echo "demo voice: $work/adapter; try: $bobby post 3 --adapter $work/adapter" >&2
