"""How many posts end in a finished sentence, led to it near their limit and not (--hard-limit).

    python bench/sentence_ends.py [--bobby PROGRAM] [--model FOLDER] [--posts 40] [--char-limit 300] [--max-tokens 150]

Counts posts as they come out, per prompt and in all: those that end in a sentence's end of their own, those that
had to be cut (finish_reason length_limit), and those that ran out of tokens before either.
"""

import argparse
import collections
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROMPTS = ("write about coffee", "write about debugging", "describe a walk in the rain", "what did you learn this week?")


def posts(args, prompt, *more):
    command = [args.bobby, "post", str(args.posts), prompt, "--json", "--seed", "1", "--retries", "0", "-q", "--char-limit",
               str(args.char_limit), "--max-tokens", str(args.max_tokens), *more]
    if args.model:
        command += ["--model", args.model]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def ends(text):
    text = text.rstrip("\"'”’)]")
    return text.endswith((".", "!", "?", "…")) and not text.endswith("...")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bobby", default=ROOT / "build/release/bin/bobby")
    parser.add_argument("--model")
    parser.add_argument("--posts", type=int, default=40)
    parser.add_argument("--char-limit", type=int, default=300)
    parser.add_argument("--max-tokens", type=int, default=150)
    args = parser.parse_args()
    print("| | posts | end in a sentence, uncut | cut at the limit | out of tokens | graphemes, mean |\n|---|---|---|---|---|---|")
    for name, more in (("led", ()), ("--hard-limit", ("--hard-limit",))):
        count = collections.Counter()
        graphemes = []
        for prompt in PROMPTS:
            for post in posts(args, prompt, *more):
                count["all"] += 1
                count[post["finish_reason"]] += 1
                count["ended"] += post["finish_reason"] == "stop" and ends(post["text"])
                graphemes.append(post["graphemes"])
        share = lambda key: f"{count[key]} ({100 * count[key] / count['all']:.0f} %)"
        print(f"| {name} | {count['all']} | {share('ended')} | {share('length_limit')} | {share('length')} | "
              f"{sum(graphemes) / len(graphemes):.0f} |")


if __name__ == "__main__":
    main()
