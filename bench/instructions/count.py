#!/usr/bin/env python3
"""Instructions of linear() for each weight and row of x, by instruction set and kind of work.

    cmake --build --preset aarch64 --target linear_product   # and the release preset's
    python3 bench/instructions/count.py [--product FILE] [--isa NAME ...] [--json]

A program for aarch64 runs under qemu-aarch64 with a plugin, which also tells vector instructions, loads
and stores apart; one for x86-64 is stepped through. Counted is the difference between two runs that
differ in rows of the weight alone, so that neither the program's start nor the packing of x is in it.
Stepping is slow: fewer rows of the weight, and 24 of x for a prompt.
"""
import argparse
import json
import pathlib
import platform
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
COLS = 4096
# kind of work: rows of x, level
WORK = {"decode": (1, "q15"), "decode int8": (1, "int8"), "2 rows": (2, "q15"), "4 rows": (4, "q15"), "4 rows int8": (4, "int8"),
        "prefill": (64, "q15"), "prefill int8": (64, "int8")}
FORMATS = ((4, 64), (4, 32), (4, 128), (2, 64), (3, 64), (5, 64), (6, 64), (8, 64), (16, 0))


def helper(folder, name, *flags):
    out = pathlib.Path(folder) / name
    subprocess.run(["cc", "-O2", "-o", out, HERE / flags[0], *flags[1:]], check=True)
    return str(out)


class Counter:
    def __init__(self, product, folder):
        head = product.read_bytes()[:20]
        self.product, self.arm = str(product), head[18] == 183
        self.rows, self.most_x = ((64, 192), 64) if self.arm else ((16, 32), 24)  # steps are slow
        if self.arm and platform.machine() != "aarch64":
            plugin = helper(folder, "count.so", "qemu_plugin.c", "-shared", "-fPIC")
            self.prefix = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-plugin", plugin]
        else:
            self.prefix = [helper(folder, "step", "single_step.c")]

    def run(self, *arguments):
        done = subprocess.run([*self.prefix, self.product, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{arguments}: {done.stderr}")
        line = [line for line in done.stderr.splitlines() if line.startswith("counts ")][-1]
        return [int(word) for word in line.split()[1:]]

    def count(self, isa, bits, group, x_rows, level):
        x_rows = min(x_rows, self.most_x)
        few, many = (self.run(isa, bits, group, COLS, x_rows, level, rows) for rows in self.rows)
        products = (self.rows[1] - self.rows[0]) * COLS * x_rows
        kinds = [(b - a) / products for a, b in zip(few, many)]
        return {"all": sum(kinds), **(dict(zip(("vector", "load", "store", "rest"), kinds)) if self.arm else {})}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--product", type=pathlib.Path, default=BUILD / "aarch64/bench/linear_product")
    parser.add_argument("--isa", nargs="+", default=["neon", "neon-dotprod", "neon-i8mm"])
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--bits", nargs="+", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        counter = Counter(options.product, folder)
        for bits, group in FORMATS:
            if options.bits and bits not in options.bits:
                continue
            for work in options.work:
                if bits == 16 and WORK[work][1] == "int8":
                    continue  # a dense weight meets x as it is
                for isa in options.isa:
                    found = counter.count(isa, bits, group, *WORK[work])
                    rows.append({"isa": isa, "bits": bits, "group": group, "work": work, **found})
                    if not options.json:
                        parts = " ".join(f"{name} {value:.3f}" for name, value in found.items())
                        print(f"{isa:13} {bits:2} bits, groups of {group:3}  {work:13} {parts}", flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
