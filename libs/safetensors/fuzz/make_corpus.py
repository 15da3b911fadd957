"""Makes the seed corpus: python make_corpus.py corpus. Small files, good ones and each kind of bad."""

import sys
from pathlib import Path


def file(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def entry(name: str, dtype: str, shape: str, begin: int, end: int) -> str:
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}'


def tensors(*entries: str) -> bytes:
    return ("{" + ",".join(entries) + "}").encode()


SIZES = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8,
         "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
         "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
         "U64": 64}


def every_dtype() -> bytes:
    entries, end = [], 0
    for name, bits in SIZES.items():
        entries.append(entry(name, name, "[2,2]", end, end + bits // 2))
        end += bits // 2
    return file(tensors(*entries), bytes(range(end)))


SEEDS = {
    "empty": b"",
    "length_only": bytes([60, 0, 0, 0, 0, 0, 0, 0]),
    "huge_length": bytes([60, 0, 0, 0, 0, 255, 255, 255]),
    "no_tensors": file(b"{}"),
    "not_utf8": file(b"\xff"),
    "not_json": file(b"{"),
    "white_space": file(b"\t\n{}\r \t\n"),
    "metadata": file(b'{"__metadata__":{"format":"pt","k":"\\u00e9"}}'),
    "metadata_null": file(b'{"__metadata__":null}'),
    "metadata_number": file(b'{"__metadata__":{"k":1}}'),
    "every_dtype": every_dtype(),
    "scalar_and_empty": file(tensors(entry("s", "F32", "[]", 0, 4), entry("e", "F32", "[2,0]", 4, 4)),
                             b"abcd"),
    "unordered": file(tensors(entry("b", "U8", "[2]", 2, 4), entry("a", "I16", "[1]", 0, 2)), b"abcd"),
    "escaped_name": file(tensors(entry('a\\"\\ud83d\\ude00', "U8", "[1]", 0, 1)), b"x"),
    "lone_surrogate": file(tensors(entry("\\ud800", "U8", "[1]", 0, 1)), b"x"),
    "shared_range": file(tensors(*(entry(str(i), "F32", "[1]", 0, 4) for i in range(10))), b"abcd"),
    "polyglot": file(tensors(entry("a", "U8", "[1]", 0, 1)), b"xPK\x03\x04"),
    "truncated": file(tensors(entry("a", "I32", "[2,2]", 0, 16)), b"abcd"),
    "hole": file(tensors(entry("a", "U8", "[1]", 0, 1), entry("b", "U8", "[1]", 2, 3)), b"xyz"),
    "reversed": file(tensors(entry("a", "U8", "[1]", 1, 0)), b"x"),
    "overflow": file(tensors(entry("a", "I32", "[2,18446744073709551614]", 0, 16)), b"x" * 16),
    "overflow_zero": file(tensors(entry("a", "I32", "[0,9223372036854775808,4]", 0, 0))),
    "beyond_64_bits": file(tensors(entry("a", "U8", "[18446744073709551616]", 0, 0))),
    "sub_byte": file(tensors(entry("a", "F4", "[3]", 0, 2)), b"ab"),
    "duplicate": file(tensors(entry("a", "U8", "[1]", 0, 1), entry("a", "U8", "[1]", 0, 1)), b"x"),
    "unknown_key": file(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"extra":{}}}', b"x"),
    "unknown_dtype": file(tensors(entry("a", "F128", "[1]", 0, 16)), b"x" * 16),
}

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, content in SEEDS.items():
        (folder / name).write_bytes(content)
