"""Packs bobby's MLX build with MLX's CUDA library, for a machine that has a GPU and no packages.

    python bench/peers/pack_mlx_cuda.py OUT [--build build/mlx] [--arch 90] [--python 3.12]

OUT gets the programs (bobby, the tests of the MLX backend, stripped), the shared libraries that they
need, MLX's CUDA package and mlx-lm for that Python, one .tar.xz each. Of MLX's library the kernels
for other GPUs than --arch are blanked, which leaves a quarter of it. There, unpack all with
`for part in OUT/*.tar.xz; do tar xf $part; done` and run bench/peers/mlx_cuda.sh.

The build is linked with mlx-cpu's library of the same version; at run time libmlx.so is CUDA's.
"""

import argparse
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

PACKAGES = ("mlx==0.32.4", "mlx-cuda-13==0.32.4", "mlx-lm==0.32.2")
PROGRAMS = ("bin/bobby", "tests/mlx/mlx_*_test", "tests/parity/models/models_parity_test")
# What every Linux system has, or what belongs to its C library.
SYSTEM = re.compile(r"^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\+\+|mlx)\.so.*)$")
FATBIN = struct.pack("<I", 0xBA55ED50)
ENTRY = struct.Struct("<HHIQIIHHI")  # kind, -, header size, payload size, -, -, minor, major, arch
MACHINE_CODE = 2


def blank_other_architectures(library: pathlib.Path, arch: int) -> tuple[int, int]:
    """Bytes of kernels that are kept, and that were blanked."""
    data = bytearray(library.read_bytes())
    kept = blanked = 0
    at = data.find(FATBIN)
    while at >= 0:
        _, _, header, size = struct.unpack_from("<IHHQ", data, at)
        end = at + header + size
        if header != 16 or end > len(data):  # the same four bytes, elsewhere
            at = data.find(FATBIN, at + 4)
            continue
        entry = at + header
        while entry + ENTRY.size <= end:
            kind, _, head, payload, _, _, _, _, of = ENTRY.unpack_from(data, entry)
            if head == 0:
                break
            if kind == MACHINE_CODE and of == arch:
                kept += payload
            else:
                data[entry + head : entry + head + payload] = bytes(payload)
                blanked += payload
            entry += head + payload
        at = data.find(FATBIN, end)
    library.write_bytes(data)
    return kept, blanked


def libraries_of(program: pathlib.Path) -> set[pathlib.Path]:
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    found = (line.split("=>")[1].split()[0] for line in text.splitlines() if "=> /" in line)
    # MLX's package for CUDA brings what its library needs.
    return {pathlib.Path(path) for path in found
            if not SYSTEM.match(pathlib.Path(path).name) and "mlx_cpu.libs" not in path}


def pack(folder: pathlib.Path, out: pathlib.Path) -> None:
    subprocess.run(["tar", "-C", folder.parent, "-cJf", out, folder.name], check=True)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB", flush=True)


def pack_programs(build: pathlib.Path, out: pathlib.Path, scratch: pathlib.Path) -> None:
    programs, libraries = scratch / "programs", scratch / "libraries"
    programs.mkdir()
    libraries.mkdir()
    needed: set[pathlib.Path] = set()
    for pattern in PROGRAMS:
        for program in build.glob(pattern):
            needed |= libraries_of(program)
            subprocess.run(["strip", "-o", programs / program.name, program], check=True)
    for library in needed:
        shutil.copy(library, libraries / library.name)
    pack(programs, out / "programs.tar.xz")
    pack(libraries, out / "libraries.tar.xz")


def pack_mlx(out: pathlib.Path, scratch: pathlib.Path, python: str, arch: int) -> None:
    wheels, site = scratch / "wheels", scratch / "site"
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (35, 28, 17)]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
                    "--implementation=cp", f"--python-version={python}", *platforms, "-d", wheels, *PACKAGES],
                   check=True)
    for wheel in wheels.iterdir():
        zipfile.ZipFile(wheel).extractall(site)
    kept, blanked = blank_other_architectures(site / "mlx/lib/libmlx.so", arch)
    print(f"libmlx.so: {kept / 1e6:.0f} MB of kernels for sm_{arch}, {blanked / 1e6:.0f} MB blanked")
    if kept == 0:
        sys.exit(f"MLX has no kernels for sm_{arch}")
    pack(site, out / "site.tar.xz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/mlx"))
    parser.add_argument("--arch", type=int, default=90)
    parser.add_argument("--python", default="3.12")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pack_mlx(args.out, pathlib.Path(folder), args.python, args.arch)
        if args.build.exists():
            pack_programs(args.build, args.out, pathlib.Path(folder))


if __name__ == "__main__":
    main()
