"""Says where goldens came from, so that a test can tell when they are stale.

Every folder of goldens under tests/parity/ holds a MANIFEST.json made by `write_manifest`:
the script that made it (with its SHA-256), the packages it used, and each file's SHA-256.
tests/parity/golden_manifest_test fails when a script or a golden changed without the other.
"""

import hashlib
import importlib.metadata
import json
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def _sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder: str | pathlib.Path, script: str | pathlib.Path, packages: list[str]) -> None:
    """Writes folder/MANIFEST.json. `script` is the caller's __file__."""
    folder = pathlib.Path(folder).resolve()
    script = pathlib.Path(script).resolve()
    sources = {".cpp", ".h", ".txt"}  # the test beside its goldens is not one of them
    files = sorted(
        p for p in folder.rglob("*")
        if p.is_file() and p.name != "MANIFEST.json" and p.suffix not in sources
    )
    manifest = {
        "script": str(script.relative_to(REPOSITORY)),
        "script_sha256": _sha256(script),
        "packages": {name: importlib.metadata.version(name) for name in sorted(packages)},
        "files": {str(p.relative_to(folder)): _sha256(p) for p in files},
    }
    (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n")
