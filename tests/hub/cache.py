"""What lies in a cache: told apart byte by byte, and held against the repositories it came from."""

import hashlib
import os
import pathlib
import stat

from repository import Repository, git_hash


def listing(folder: pathlib.Path) -> dict[str, tuple]:
    """Everything under `folder`: kind, permissions, and a file's bytes or a link's target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", oct(mode))
        else:
            found[name] = ("file", oct(mode), path.read_bytes())
    return found


def named(listing_: dict[str, tuple]) -> dict[str, tuple]:
    """As `listing`, with a long file's hash in place of its bytes: what a failed assertion can print.

    Of the tag that marks a cache, the line that other programs look for: the rest says who made it.
    """
    listing_ = {name: entry if name != "CACHEDIR.TAG" else (*entry[:2], entry[2].splitlines()[0])
                for name, entry in listing_.items()}
    return {name: entry if entry[0] != "file" or len(entry[2]) < 80 else
            (*entry[:2], hashlib.sha256(entry[2]).hexdigest(), len(entry[2])) for name, entry in listing_.items()}


def wrong_bytes(cache: pathlib.Path, repository: Repository) -> list[str]:
    """Each file that a program would find through snapshots/ and that is not what was committed."""
    wrong = []
    for snapshot in (cache / repository.folder / "snapshots").glob("*"):
        files = repository.commits.get(snapshot.name)
        for path in snapshot.rglob("*"):
            name = path.relative_to(snapshot).as_posix()
            try:
                if path.is_dir():
                    continue
                data = path.read_bytes()
            except FileNotFoundError:
                wrong.append(f"{snapshot.name}/{name} leads nowhere")
                continue
            if files is None or name not in files:
                wrong.append(f"{snapshot.name}/{name} was never committed")
            elif data != files[name].data:
                wrong.append(f"{snapshot.name}/{name}: {len(data)} bytes of {len(files[name].data)}")
    return wrong


def wrong_blobs(cache: pathlib.Path) -> list[str]:
    """Blobs whose name is not the hash of their bytes; partial downloads have names of their own."""
    return [path.name for path in cache.glob("models--*/blobs/*") if not path.name.endswith(".incomplete")
            and path.name not in (hashlib.sha256(path.read_bytes()).hexdigest(), git_hash(path.read_bytes()))]


def leftovers(cache: pathlib.Path) -> list[str]:
    """Files that no reader of the layout knows: partial downloads, temporary names."""
    return [path.relative_to(cache).as_posix() for path in cache.rglob("*")
            if path.name.endswith((".incomplete", ".tmp", ".part", ".new", ".old"))]


def snapshot(cache: pathlib.Path, repository: Repository, commit: str | None = None) -> pathlib.Path:
    return cache / repository.folder / "snapshots" / (commit or repository.head)


def present(cache: pathlib.Path, repository: Repository, commit: str | None = None) -> list[str]:
    """The names of the files in a snapshot."""
    folder = snapshot(cache, repository, commit)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
