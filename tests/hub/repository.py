"""What a hub keeps: repositories of commits, whose files git or LFS addresses by their content."""

import dataclasses
import functools
import hashlib
import json
import random
import struct

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclasses.dataclass(frozen=True)
class File:
    """`lfs` files have the name of their SHA-256, others of git's SHA-1."""

    data: bytes
    lfs: bool = False

    @functools.cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @functools.cached_property
    def md5(self) -> str:
        return hashlib.md5(self.data).hexdigest()

    @functools.cached_property
    def git(self) -> str:
        """What git's tree names: an LFS file's pointer."""
        return git_hash(self.pointer if self.lfs else self.data)

    @property
    def pointer(self) -> bytes:
        return POINTER.format(self.sha256, len(self.data)).encode()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git


class Repository:
    """`gated` asks for a token of `readers`; a `private` one is not there without such a token."""

    def __init__(self, name: str, files: dict[str, File], *, gated=False, private=False, disabled=False):
        self.name = name
        self.gated = gated
        self.private = private
        self.disabled = disabled
        self.readers: set[str] = set()
        self.commits: dict[str, dict[str, File]] = {}
        self.refs: dict[str, str] = {}
        self.commit(files)

    def commit(self, files: dict[str, File], ref: str = "main") -> str:
        """Adds a commit that holds just `files`; `ref` leads to it."""
        tree = "".join(f"{path} {file.git}\n" for path, file in sorted(files.items()))
        text = f"{self.name}\n{len(self.commits)}\n{tree}"
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs[ref] = commit
        return commit

    @property
    def head(self) -> str:
        return self.refs["main"]

    @property
    def files(self) -> dict[str, File]:
        return self.commits[self.head]

    @property
    def folder(self) -> str:
        """Its folder's name in the cache."""
        return "models--" + self.name.replace("/", "--")

    def resolve(self, revision: str) -> str | None:
        if revision in self.commits:
            return revision
        if revision in self.refs:
            return self.refs[revision]
        short = [commit for commit in self.commits if len(revision) >= 7 and commit.startswith(revision)]
        return short[0] if len(short) == 1 else None


def tensor_file(seed: int, size: int, name: str = "weight") -> bytes:
    """A safetensors file of one tensor with `size` random bytes."""
    header = json.dumps({name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + noise(seed, size)


WANTED = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
          "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
UNWANTED = [".gitattributes", "README.md", "pytorch_model.bin", "original/consolidated.00.pth", "onnx/model.onnx",
            "tf_model.h5", "train.py", "old.safetensors"]


def model_files(shard_bytes: int = 200_000, seed: int = 1) -> dict[str, File]:
    """WANTED and UNWANTED, as a model with two shards has them."""
    shards = [name for name in WANTED if name.startswith("model-")]
    index = {"metadata": {"total_size": 2 * shard_bytes},
             "weight_map": {f"weight{number}": name for number, name in enumerate(shards)}}
    files = {
        "config.json": File(json.dumps({"model_type": "qwen3", "seed": seed}, indent=2).encode()),
        "generation_config.json": File(b'{"eos_token_id": 2}\n'),
        "tokenizer.json": File(json.dumps({"model": {"vocab": {f"word{i}": i for i in range(3000)}}}).encode(), lfs=True),
        "tokenizer_config.json": File(b'{"tokenizer_class": "Qwen2Tokenizer"}\n'),
        "chat_template.jinja": File("{{ messages }} – günstig\n".encode()),
        "model.safetensors.index.json": File(json.dumps(index, indent=2).encode()),
    }
    for number, name in enumerate(shards):
        files[name] = File(tensor_file(10 * seed + number, shard_bytes, f"weight{number}"), lfs=True)
    for number, name in enumerate(UNWANTED):
        files[name] = File(noise(100 + number, 300), lfs=not name.startswith((".git", "README", "train")))
    return files


def single_file_model(size: int, seed: int = 7) -> dict[str, File]:
    return {"config.json": File(json.dumps({"model_type": "qwen3", "seed": seed}).encode()),
            "tokenizer.json": File(b'{"model": {"vocab": {}}}'),
            "model.safetensors": File(tensor_file(seed, size), lfs=True)}
