"""Goldens of tests/parity/tokenizer: what Hugging Face's `tokenizers` answers.

    python tools/oracle/tokenizer.py --qwen3 DIR/tokenizer.json --demo-gguf FILE.gguf [--write-demo OUT.json]

Writes the corpus, small tokenizers trained on it in the configuration of each model family, and for
each tokenizer (these, Qwen3's and the demo model's) a digest of the ids of every string. The corpus
comes from a fixed seed; Qwen3's and the demo's files are too large to keep, so their tests need them.
"""

import argparse
import hashlib
import json
import pathlib
import random
import unicodedata

from gguf import GGUFReader
from manifest import write_manifest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers import processors, trainers

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/parity/tokenizer/goldens"

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
# Not among the known ones, so it takes the general path; \p{M} as in the newest Qwen files.
GENERAL = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]

SENTENCES = """
just shipped the parser rewrite, and it's twice as fast as the old one
I'll say it again: you can't fix what you don't measure.
Hot take: most "AI" products are a text box & a prayer…
we've been debugging this for 3 days. it was a missing comma. don't ask
THEY'RE HERE! WE'LL SEE. I'M FINE, YOU'VE GOT 100% OF IT, HE'D KNOW, IT'S OK
Thread on caching (1/12): https://example.com/a?b=c&d=%20e#frag
for (int i = 0; i < n; ++i) { sum += a[i] * 0x1F; }\t// loop
def f(x):\n    return x ** 2\n\n\nprint(f(10_000))
Grüße aus Köln – es ist schön hier, nicht wahr? Ça va? ¿Qué tal? Ну что, поехали!
今日はいい天気ですね。東京タワーへ行きました。中文分词测试，没有空格。한국어 문장입니다.
مرحبا بالعالم ١٢٣ नमस्ते दुनिया १२३ สวัสดีชาวโลก שלום עולם
@someone #BuildInPublic $TSLA ^_^ :-) <3 ¯\\_(ツ)_/¯ 50% off!!! --- *** ===
Ǆ ﬁ ﬂ ½ Ⅷ ² ① ㊿ 𝒳𝓎𝓏 Ω Å Å ẛ̣ 한 각 ﷺ
x86_64-linux-gnu, v1.2.3-rc.4+build.567, 192.168.0.1:8080, 2024-02-29T23:59:60Z
don't DON'T Don'T don\u2019t 'tis 'S 's 'ſ 'Re 'rE 'vE 'LL 'lL 'd'D'm'M
""".strip().split("\n")

EMOJI = "👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ❤️ 👨🏿‍💻 🧑‍🚀 #️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 😀 ☕️".split(" ")
SPECIALS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "<|im_start",
    "<|", "|>", "<|fim_prefix|>", "<repo_name>", "<issue_start>", "<|begin_of_text|>", "<|eot_id|>",
    "[LEFT]", "[RIGHT]", "[BOTH]", "[WORD]", "[WORD]s", "_[WORD]", "Café", "Cafe\u0301", "caf", "é",
    "[LEFT][LEFT]", "[LONG", "[LONGER]", " spaced ",
]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\r", "\n\n", "\u00a0", "\u3000", "\u2028", "\u0085", "\v", "\f", "\u180e", "\u200b", "\ufeff", "\u1680"]
# Assigned after Unicode 9: their tables differ from library to library.
NEWER = [0x07FD, 0x0898, 0x09FE, 0x0C3C, 0x1ABF, 0x1ACE, 0x1DF6, 0x10F46, 0x11930, 0x11935, 0x11938,
         0x1193E, 0x16FF0, 0x1E2AE, 0x1E2EC, 0x10D40, 0x11DE0, 0x16FF4, 0x1D2C0, 0x31350, 0x1C89,
         0xA7CB, 0x113C2, 0x1E4EC, 0x0897, 0x2EBF0]


def make_corpus(tokens: list[str]) -> list[str]:
    """Strings of many kinds; `tokens` are pieces of text that a real vocabulary holds."""
    rng = random.Random(20261121)
    marks = [c for c in CODE_POINTS if unicodedata.combining(chr(c))]
    letters = [c for c in CODE_POINTS if unicodedata.category(chr(c))[0] == "L"]
    numbers = [c for c in CODE_POINTS if unicodedata.category(chr(c))[0] == "N"]
    composed = [c for c in CODE_POINTS if unicodedata.decomposition(chr(c)) and not unicodedata.decomposition(chr(c)).startswith("<")]
    jamo = list(range(0x1100, 0x1176)) + list(range(0x11A6, 0x11C4)) + [0xAC00, 0xAC01, 0xD788]
    words = " ".join(SENTENCES).split(" ")

    def some(choices, low, high):
        return [rng.choice(choices) for _ in range(rng.randint(low, high))]

    def chars(choices, low, high):
        return "".join(map(chr, some(choices, low, high)))

    def marked():
        return "".join(chr(rng.choice(letters if rng.random() < 0.5 else range(0x41, 0x17F))) + chars(marks, 0, 4) for _ in range(rng.randint(1, 6)))

    def plane():
        start = rng.randrange(17) * 0x10000
        return "".join(chr(c) for c in (start + rng.randrange(0x10000) for _ in range(rng.randint(1, 12))) if not 0xD800 <= c <= 0xDFFF)

    def reordered():
        text = list(unicodedata.normalize("NFD", chars(composed, 1, 5)))
        if rng.random() < 0.5:
            rng.shuffle(text)
        return "".join(text)

    kinds = [
        (500, lambda: rng.choice(SENTENCES)[rng.randrange(30):][: rng.randint(5, 90)]),
        (500, lambda: " ".join(some(words, 1, 12))),
        (700, lambda: "".join(some(tokens, 1, 9))),
        (400, lambda: chars(CODE_POINTS, 1, 10)),
        (400, plane),
        (400, marked),
        (300, reordered),
        (150, lambda: chars(composed, 1, 8)),
        (150, lambda: chars(jamo, 1, 8)),
        (200, lambda: "".join(some([chr(c) for c in NEWER] + ["a", "e\u0301", "\u0345", "\u0334", " "], 1, 8))),
        (300, lambda: "".join(some(EMOJI + words, 1, 6))),
        (250, lambda: "".join(some([chr(c) for c in range(32)] + ["\x7f", "\x80", "\x9f", "a", " "], 1, 12))),
        (400, lambda: "".join(some(SPACES + ["a", "b", "1", ".", "'s"], 1, 14))),
        (250, lambda: "".join(some([chr(c) for c in numbers] + list("0123456789") * 20 + [" ", ",", "a"], 1, 14))),
        (500, lambda: "".join(some(SPECIALS + [" ", "\n", "a", "Ж", "  ", "_"], 1, 7))),
        (150, lambda: chars(range(0x20, 0x7F), 1, 40)),
        (60, lambda: rng.choice(["a", " ", "\n", "ab", "é", "!?", "0", "ha", "あ", "\r\n"]) * rng.randint(30, 90)),
        (60, lambda: chars(range(0x61, 0x7B), 60, 200)),
    ]
    corpus = ["", " ", "\n", "a", "\u0000"]
    for count, make in kinds:
        corpus += [make() for _ in range(count)]
    return corpus


def family(pre_tokenizer, normalizer=None, vocab_size=700, specials=(), added=(), missing=(), texts=(), extra=(), **model):
    """A small tokenizer trained on `texts`, as tokenizer.json; `missing` bytes are no tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=sorted(pre.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tree = json.loads(tokenizer.to_str())
    vocab = tree["model"]["vocab"]
    gone = {spelled(bytes([b])) for b in missing}
    kept = sorted((t for t in vocab if not gone & set(t)), key=vocab.get)
    kept += [t for t in map(spelled, (text.encode() for text in extra)) if t not in kept]
    tree["model"]["vocab"] = {t: i for i, t in enumerate(kept)}
    tree["model"]["merges"] = [m for m in tree["model"]["merges"] if not gone & set(m[0] + m[1])]
    tree["model"] |= model
    tokenizer = Tokenizer.from_str(json.dumps(tree))
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    tokenizer.add_tokens(list(added))
    return tokenizer


def spelled(data: bytes) -> str:
    """Bytes in the byte-level alphabet."""
    own = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b != 0xAD]
    others = [b for b in range(256) if b not in own]
    table = {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(others)}
    return "".join(table[b] for b in data)


def demo_tokenizer(gguf: str) -> Tokenizer:
    """SmolLM2's tokenizer from a GGUF: the pre-tokenizer that 'smollm' names there."""
    fields = GGUFReader(gguf).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    control = [AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, kinds) if kind == 3]
    tokenizer.add_special_tokens(control)
    return tokenizer


def tiny_tokenizers(texts: list[str]) -> dict[str, Tokenizer]:
    bytes_only = pre.ByteLevel(add_prefix_space=False, use_regex=False)
    chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    flags = [
        AddedToken("[LEFT]", lstrip=True, normalized=False),
        AddedToken("[RIGHT]", rstrip=True, normalized=False),
        AddedToken("[BOTH]", lstrip=True, rstrip=True, normalized=True),
        AddedToken("[WORD]", single_word=True, normalized=False),
        AddedToken("[LONG", normalized=False),
        AddedToken("[LONGER]", normalized=False),
        AddedToken(" spaced ", normalized=True),
    ]
    llama3 = family(
        pre.Sequence([pre.Split(Regex(LLAMA3), "isolated"), bytes_only]), texts=texts, ignore_merges=True,
        specials=["<|begin_of_text|>", "<|eot_id|>"], extra=[" you", "WE'LL", "weather", "\r\n\r\n", "東京"],
    )
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[("<|begin_of_text|>", llama3.token_to_id("<|begin_of_text|>"))]),
    ])
    # Two code points in the vocabulary of the known class, composed and not, beside NFC.
    normalized = [AddedToken("Cafe\u0301", normalized=True), AddedToken("<think>", normalized=False)]
    return {
        "qwen": family(pre.Sequence([pre.Split(Regex(QWEN2), "isolated"), bytes_only]), normalizers.NFC(), specials=chat, added=normalized, texts=texts),
        "llama3": llama3,
        "gpt2": family(pre.ByteLevel(add_prefix_space=True), specials=chat[:1], added=flags, texts=texts),
        "smollm": family(
            pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]), specials=chat, texts=texts,
            missing=[0x04, 0x06, 0x13, 0x14, 0x16, 0x1D],
        ),
        "general": family(
            pre.Sequence([pre.Split("-", "merged_with_next"), pre.Digits(), pre.Split(Regex(GENERAL), "isolated"), bytes_only]),
            normalizers.Sequence([normalizers.NFC()]), specials=chat, added=flags, texts=texts,
            missing=[0x00, 0x01, 0x02, 0xF5, 0xE3], extra=["!!"], unk_token="!!", fuse_unk=True,
        ),
    }


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:6]


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def digests(tokenizer: Tokenizer, texts: list[str]) -> str:
    return "".join(digest(",".join(map(str, ids_of(tokenizer, t)))) + "\n" for t in texts)


def decodings(tokenizer: Tokenizer, seed: int) -> list[dict]:
    """Random ids (mostly no valid UTF-8) and their text, with and without special tokens."""
    rng = random.Random(seed)
    added = sorted(tokenizer.get_added_tokens_decoder())
    single = [i for t, i in tokenizer.get_vocab().items() if len(t) == 1]
    cases = []
    for _ in range(120):
        pools = [sorted(single), added, range(tokenizer.get_vocab_size())]
        ids = [rng.choice(rng.choices(pools, [6, 1, 3])[0]) for _ in range(rng.randint(1, 10))]
        if any(tokenizer.id_to_token(i) is None for i in ids):
            continue
        cases.append({"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False), "plain": tokenizer.decode(ids, skip_special_tokens=True)})
    return cases


def ranges(points: set[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for c in sorted(points):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def unicode_classes() -> dict[str, list[list[int]]]:
    """The code points of each class, as the library splits them."""
    def matched(regex: str) -> set[int]:
        split, rest = pre.Split(Regex(regex), "removed"), set(CODE_POINTS)
        for i in range(0, len(CODE_POINTS), 20000):
            for piece, _ in split.pre_tokenize_str("".join(map(chr, CODE_POINTS[i : i + 20000]))):
                rest.difference_update(map(ord, piece))
        return rest

    digits = set()
    split = pre.Digits(individual_digits=True)
    for i in range(0, len(CODE_POINTS), 20000):
        text = "a".join(map(chr, CODE_POINTS[i : i + 20000]))
        digits |= {ord(p) for p, _ in split.pre_tokenize_str("a" + text + "a") if len(p) == 1} - {ord("a")}
    word = Tokenizer(models.BPE({"a": 0}, []))
    word.add_tokens([AddedToken("[W]", single_word=True, normalized=False)])
    words = {c for c in CODE_POINTS if 1 not in word.encode(chr(c) + "[W]").ids}
    return {
        "letter": ranges(matched(r"\p{L}")), "number": ranges(matched(r"\p{N}")), "space": ranges(matched(r"\s")),
        "mark": ranges(matched(r"\p{M}")), "digit": ranges(digits), "word": ranges(words),
    }


def nfc_digest() -> dict[str, str]:
    """One digest over every code point alone, among marks, and decomposed."""
    nfc = normalizers.NFC()
    sums = {}
    for name, text in {
        "alone": lambda c: c, "after_mark": lambda c: "a\u0345" + c, "before_mark": lambda c: "a" + c + "\u0334",
        "after_letter": lambda c: "e" + c, "decomposed": lambda c: unicodedata.normalize("NFD", c),
    }.items():
        total = hashlib.sha256()
        for c in CODE_POINTS:
            total.update((nfc.normalize_str(text(chr(c))) + "\n").encode())
        sums[name] = total.hexdigest()
    return sums


def behaviors(tokenizer: Tokenizer, corpus: list[str]) -> dict[str, dict]:
    """Each behavior of Split, matched and inverted, on a sample of the corpus."""
    tree = json.loads(tokenizer.to_str())
    cases = {}
    sample = corpus[:: len(corpus) // 500]
    for pattern in ({"Regex": r"\p{N}+|\s+|'"}, {"String": "a"}):
        for behavior in BEHAVIORS:
            for invert in (False, True):
                split = {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
                tree["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
                name = f"{next(iter(pattern))}.{behavior}.{str(invert).lower()}"
                cases[name] = {"split": split, "ids": digest(digests(Tokenizer.from_str(json.dumps(tree)), sample))}
    return {"every": len(corpus) // 500, "cases": cases}


def write_json(name: str, value) -> None:
    (OUT / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--qwen3", required=True, help="Qwen3's tokenizer.json")
    parser.add_argument("--demo-gguf", required=True, help="the demo model's GGUF")
    parser.add_argument("--write-demo", help="where to write the demo model's tokenizer.json")
    args = parser.parse_args()
    if unicodedata.unidata_version != "14.0.0":
        parser.error("the corpus needs a Python with Unicode 14 (3.11), to come out the same")
    OUT.mkdir(parents=True, exist_ok=True)

    qwen3, demo = Tokenizer.from_file(args.qwen3), demo_tokenizer(args.demo_gguf)
    if args.write_demo:
        demo.save(args.write_demo, pretty=False)
    tokens = [qwen3.decode([i]) for i in range(0, 151643, 7)]
    corpus = make_corpus([t for t in tokens if "\ufffd" not in t])
    (OUT / "corpus.jsonl").write_text("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in corpus), encoding="utf-8", newline="\n")

    rng = random.Random(7)
    tiny = tiny_tokenizers(SENTENCES * 3 + rng.sample(corpus, 1500))
    for name, tokenizer in tiny.items():
        tree = json.loads(tokenizer.to_str())
        if name == "llama3":  # the older way to write merges
            tree["model"]["merges"] = [" ".join(m) for m in tree["model"]["merges"]]
        tokenizer = tiny[name] = Tokenizer.from_str(json.dumps(tree))
        write_json(f"{name}.tokenizer.json", tree)
    for name, tokenizer in {**tiny, "qwen3": qwen3, "demo": demo}.items():
        (OUT / f"{name}.ids").write_text(digests(tokenizer, corpus))
        write_json(f"{name}.decode.json", decodings(tokenizer, seed=len(name)))
    write_json("behaviors.json", behaviors(tiny["smollm"], corpus))
    write_json("unicode_classes.json", unicode_classes())
    write_json("nfc.json", nfc_digest())
    write_manifest(OUT, __file__, ["tokenizers", "gguf"])
    print(len(corpus), "strings,", sum(p.stat().st_size for p in OUT.iterdir()), "bytes")


if __name__ == "__main__":
    main()
