#!/usr/bin/env python3
"""`bobby model quantize` on a synthetic model, beside the disk and beside mlx_lm.convert.

    bench/quantize.py                                   Qwen3-8B in bf16: 16 GB read, 5 GB written
    bench/quantize.py --arch qwen3-0.6b                 a small one, to see that all of it works
    bench/quantize.py --mlx-python VENV/bin/python      a Python that has mlx and mlx-lm

Shown are: the disk's own speed for the same bytes (read past the cache, and written while they are
read); seconds, MB/s and peak memory of `bobby model quantize` from a cold cache, its peak resident
set and, in a memory cgroup where one can be made, everything that is charged to it, the system's
cache included; a run that is killed half-way and taken up; the same for mlx_lm.convert -q; and
whether every tensor of the two is the same, byte for byte (with --rounding cpu, which MLX follows
on a CPU). Needs about 28 GB of room for 8B; all of it is removed at the end.
"""

import argparse
import hashlib
import json
import mmap
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CGROUPS = pathlib.Path("/sys/fs/cgroup")
PIECE = 16 << 20


def say(text: str) -> None:
    print(text, flush=True)


def folder_bytes(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def forget(folder: pathlib.Path) -> None:
    """Drops a folder's files from the system's cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


# --- The disk alone.


def read_direct(paths: list, lanes: int) -> None:
    """Reads every byte past the cache, `lanes` pieces at a time."""
    work = [(path, offset) for path in paths for offset in range(0, path.stat().st_size, PIECE)]
    lock = threading.Lock()
    files = {path: os.open(path, os.O_RDONLY | os.O_DIRECT) for path in paths}

    def lane() -> None:
        buffer = mmap.mmap(-1, PIECE)
        while True:
            with lock:
                if not work:
                    return
                path, offset = work.pop(0)
            os.preadv(files[path], [buffer], offset)

    threads = [threading.Thread(target=lane) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for descriptor in files.values():
        os.close(descriptor)


def write_direct(path: pathlib.Path, size: int) -> None:
    buffer = mmap.mmap(-1, PIECE)
    buffer.write(os.urandom(PIECE))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
    for offset in range(0, size, PIECE):
        os.pwritev(descriptor, [buffer], offset)
    os.fsync(descriptor)
    os.close(descriptor)


def disk_limit(source: pathlib.Path, scratch: pathlib.Path, written: int) -> float:
    """Seconds for the source's bytes and the result's, by the fastest plain way; both at once."""
    paths = sorted(source.glob("*.safetensors"))
    size = sum(path.stat().st_size for path in paths)
    best = 0.0
    for lanes in (1, 4):
        begin = time.monotonic()
        read_direct(paths, lanes)
        seconds = time.monotonic() - begin
        best = min(best or seconds, seconds)
    say(f"disk: reads {size / best / 1e6:.0f} MB/s, past the cache")
    target = scratch / "written"
    begin = time.monotonic()
    write_direct(target, written)
    seconds = time.monotonic() - begin
    say(f"disk: writes {written / seconds / 1e6:.0f} MB/s, past the cache")
    target.unlink()
    begin = time.monotonic()
    writer = threading.Thread(target=write_direct, args=(target, written))
    writer.start()
    read_direct(paths, 4)
    writer.join()
    both = time.monotonic() - begin
    target.unlink()
    say(f"disk: both at once {both:.1f} s")
    return both


# --- A command, measured.


class MemoryGroup:
    """A memory cgroup (version 1 or 2) of this run's own, or nothing where none can be made."""

    def __init__(self, limit: int):
        self.folder = None
        name = f"bobby-quantize-{os.getpid()}"
        for parent, limit_file, peak, swap in (
            (CGROUPS / "memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", None),
            (CGROUPS, "memory.max", "memory.peak", "memory.swap.max"),
        ):
            if not (parent / "cgroup.procs").exists():
                continue
            folder = parent / name
            try:
                folder.mkdir()
                (folder / limit_file).write_text(str(limit))
                if swap and (folder / swap).exists():
                    (folder / swap).write_text("0")
                self.folder, self.peak_file = folder, folder / peak
                return
            except OSError:
                if folder.exists():
                    folder.rmdir()

    def join(self) -> None:
        if self.folder:
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self):
        try:
            return int(self.peak_file.read_text())
        except (OSError, AttributeError):
            return None

    def close(self) -> None:
        for _ in range(50):
            try:
                if self.folder:
                    self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)


def measured(command: list, limit: int, **options) -> dict:
    """Runs a command in a memory group; seconds, peak resident set, peak of the group."""
    group = MemoryGroup(limit)
    begin = time.monotonic()
    process = subprocess.Popen(command, preexec_fn=group.join, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    result = {
        "seconds": time.monotonic() - begin,
        "code": process.returncode,
        "resident": usage.ru_maxrss * 1024,
        "processor": usage.ru_utime + usage.ru_stime,
        "group": group.peak(),
    }
    group.close()
    return result


def show(name: str, result: dict, read: int, written: int) -> None:
    group = "not measured" if result["group"] is None else f"{result['group'] / 1e6:.0f} MB"
    say(
        f"{name}: {result['seconds']:.1f} s, {read / result['seconds'] / 1e6:.0f} MB/s read, "
        f"{written / result['seconds'] / 1e6:.0f} MB/s written; peak resident {result['resident'] / 1e6:.0f} MB, "
        f"with the system's cache {group}; processor {result['processor']:.1f} s"
    )


def killed_and_taken_up(command: list, out: pathlib.Path, seconds: float) -> None:
    """Kills the command half-way, then runs it to its end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds / 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if out.exists():
        say("killed: it had ended before")
        return
    begin = time.monotonic()
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    say(
        f"killed half-way and taken up: {report['files_taken_up']} of {report['files']} files were kept, "
        f"{time.monotonic() - begin:.1f} s to the end"
    )


# --- Tensor against tensor.


def tensors(folder: pathlib.Path) -> dict:
    """name → (dtype, shape, SHA-256 of the bytes), by the file format alone."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                begin, end = entry["data_offsets"]
                file.seek(8 + length + begin)
                digest = hashlib.sha256()
                while begin < end:
                    piece = file.read(min(PIECE, end - begin))
                    digest.update(piece)
                    begin += len(piece)
                found[name] = (entry["dtype"], entry["shape"], digest.hexdigest())
    return found


CONVERT = """
import sys, types
import mlx.core as mx
mx.set_default_device(mx.cpu)
from mlx_lm import utils
from mlx_lm.utils import load_model, quantize_model, save_model, save_config
import pathlib
source, out, bits, group_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
# What mlx_lm.convert does, less the tokenizer, which a synthetic model has not.
model, config = load_model(pathlib.Path(source), lazy=True)
model, config = quantize_model(model, config, group_size, bits)
save_model(out, model, donate_model=True)
save_config(config, pathlib.Path(out) / "config.json")
"""

LOAD = """
import sys, pathlib
import mlx.core as mx
mx.set_default_device(mx.cpu)
from mlx_lm.utils import load_model
model, config = load_model(pathlib.Path(sys.argv[1]), lazy=True)
logits = model(mx.array([[1, 2, 3]])) if len(sys.argv) > 2 else None
print("mlx-lm loads it" + (f"; logits {logits.shape}" if logits is not None else ""))
"""


def compare(mine: pathlib.Path, theirs: pathlib.Path) -> bool:
    a, b = tensors(mine), tensors(theirs)
    different = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    say(f"{len(a)} tensors of ours, {len(b)} of mlx-lm's: {len(different)} differ")
    for name in different[:10]:
        say(f"  {name}: {a.get(name)} and {b.get(name)}")
    return not different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bobby", type=pathlib.Path, default=ROOT / "build/release/bin/bobby")
    parser.add_argument("--arch", default="qwen3-8b")
    parser.add_argument("--bits", default="4")
    parser.add_argument("--group-size", default="64")
    parser.add_argument("--scratch", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()))
    parser.add_argument("--limit-gb", type=float, default=6.0, help="memory that bobby may use, cache included")
    parser.add_argument("--mlx-limit-gb", type=float, default=1024.0, help="memory that mlx_lm.convert may use")
    parser.add_argument("--mlx-python", help="a Python with mlx and mlx-lm; without it only bobby runs")
    parser.add_argument("--repeat", type=int, default=1, help="timed runs of bobby")
    arguments = parser.parse_args()

    scratch = pathlib.Path(tempfile.mkdtemp(prefix="bobby-quantize-", dir=arguments.scratch))
    try:
        return run(arguments, scratch)
    finally:
        shutil.rmtree(scratch)


def run(arguments, scratch: pathlib.Path) -> int:
    say(f"load average {os.getloadavg()[0]:.2f}, {os.cpu_count()} processors")
    source, mine, theirs = scratch / "source", scratch / "mine", scratch / "theirs"
    synth = [arguments.bobby, "model", "synth", "--arch", arguments.arch, "--dense", "--out", source, "--seed", "1"]
    subprocess.run(synth, check=True)
    read = folder_bytes(source)
    command = [arguments.bobby, "model", "quantize", source, mine, "--rounding", "cpu"]
    command += ["--bits", arguments.bits, "--group-size", arguments.group_size]
    limit = int(arguments.limit_gb * 1e9)

    result = None
    for _ in range(arguments.repeat):
        if mine.exists():
            shutil.rmtree(mine)
        forget(source)
        result = measured([*command, "-q"], limit)
        if result["code"] != 0:
            return 1
        show("bobby model quantize", result, read, folder_bytes(mine))
    written = folder_bytes(mine)
    limit_seconds = disk_limit(source, scratch, written)
    say(f"bobby takes {result['seconds'] / limit_seconds:.2f} of the disk's own time")
    again = scratch / "again"
    killed_and_taken_up([*command[:4], again, *command[5:]], again, result["seconds"])
    if not again.exists() or tensors(again) != tensors(mine):
        say("the run that was taken up made another model")
        return 1
    shutil.rmtree(again)
    if not arguments.mlx_python:
        return 0
    forget(source)
    convert = [arguments.mlx_python, "-c", CONVERT, source, theirs, arguments.bits, arguments.group_size]
    result = measured(convert, int(arguments.mlx_limit_gb * 1e9))
    if result["code"] != 0:
        say(f"mlx_lm.convert ended with {result['code']}")
        return 1
    show("mlx_lm.convert -q", result, read, folder_bytes(theirs))
    shutil.rmtree(source)  # room for nothing more to be needed
    subprocess.run([arguments.mlx_python, "-c", LOAD, mine], check=True)
    return 0 if compare(mine, theirs) else 1


if __name__ == "__main__":
    sys.exit(main())
