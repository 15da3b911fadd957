"""What a token costs against the length of its context and the number of rows: table and plot.

    python bench/cost.py --bobby BIN --model FOLDER --slice FOLDER [--slices N] [--out docs/guides/cost.svg]

--model is the whole model; --slice one of the same shape with fewer blocks (`bobby model synth --arch
CONFIG.json` with another num_hidden_layers), of which --slices make the whole: the prompt of a long
context takes minutes in the whole model. A context's cost is the whole model's at 32 tokens plus
--slices times what the context adds to the slice.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

CONTEXTS = [32, 512, 4096, 16384]
BATCHES = [1, 2, 4, 10, 16]


def step_ms(args, model, context: int, batch: int, options=()) -> float:
    """Median milliseconds of a step of `batch` rows after `context` tokens each."""
    text = subprocess.run(
        [args.bobby, "bench", "--model", model, "--prompt-tokens", str(context), "--gen-tokens", str(args.gen),
         "--batch", str(batch), "--json", *options], check=True, capture_output=True, text=True).stdout
    return json.loads(text.splitlines()[-1])["decode_median_ms"]


def svg(title: str, x_name: str, series: dict[str, list[tuple[float, float]]], unit: str) -> str:
    """A line plot, x in equal steps, y from zero."""
    width, height, left, bottom = 480, 300, 60, 45
    most = max(y for points in series.values() for _, y in points) * 1.1
    names = [x for x, _ in next(iter(series.values()))]

    def place(index: int, y: float) -> tuple[float, float]:
        return (left + (width - left - 20) * (index + 0.5) / len(names), height - bottom - (height - bottom - 30) * y / most)

    out = [f'<text x="{width / 2}" y="16" text-anchor="middle" font-weight="bold">{title}</text>']
    for part in range(5):
        y = most * part / 4
        _, at = place(0, y)
        out.append(f'<line x1="{left}" y1="{at:.1f}" x2="{width - 20}" y2="{at:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{y:.0f}</text>')
    for index, name in enumerate(names):
        out.append(f'<text x="{place(index, 0)[0]:.1f}" y="{height - bottom + 16}" text-anchor="middle">{name:g}</text>')
    out.append(f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">{x_name}</text>')
    out.append(f'<text x="14" y="{height / 2}" transform="rotate(-90 14 {height / 2})" text-anchor="middle">{unit}</text>')
    for color, (name, points) in zip(("#1f77b4", "#d62728", "#2ca02c"), series.items()):
        spots = [place(index, y) for index, (_, y) in enumerate(points)]
        out.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in spots)}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in spots]
        out.append(f'<text x="{spots[-1][0]:.1f}" y="{spots[-1][1] - 8:.1f}" text-anchor="end" fill="{color}">{name}</text>')
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">' \
        f'<rect width="100%" height="100%" fill="white"/>{"".join(out)}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bobby", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--slice", required=True)
    parser.add_argument("--slices", type=int, default=9)
    parser.add_argument("--gen", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/guides/cost"))
    args = parser.parse_args()

    short = statistics.median(step_ms(args, args.model, 32, 1) for _ in range(args.rounds))
    at = {c: min(step_ms(args, args.slice, c, 1) for _ in range(args.rounds)) for c in CONTEXTS}
    contexts = [(c, short + args.slices * (at[c] - at[32])) for c in CONTEXTS]
    print("| context, tokens | ms a token | of it for the context |\n|---|---|---|")
    for context, ms in contexts:
        print(f"| {context} | {ms:.0f} | {ms - short:.0f} |")
    rows = {}
    for name, options in (("q15", ()), ("int8", ("--activations", "int8"))):
        rows[name] = [(b, 1000 * b / min(step_ms(args, args.model, 32, b, options) for _ in range(args.rounds)))
                      for b in BATCHES]
    print("\n| rows | " + " | ".join(f"{name}, tok/s in all" for name in rows) + " |\n|---" + "|---" * len(rows) + "|")
    for index, batch in enumerate(BATCHES):
        print(f"| {batch} | " + " | ".join(f"{rows[name][index][1]:.1f}" for name in rows) + " |")
    args.out.with_name(args.out.name + "-context.svg").write_text(
        svg("A token's cost against its context", "tokens of context", {"ms a token": contexts}, "ms"))
    args.out.with_name(args.out.name + "-rows.svg").write_text(
        svg("Rows decoded together", "rows", rows, "tokens a second in all"))


if __name__ == "__main__":
    main()
