"""ctypes_test.py LIBRARY BINARY WORLD: libbobby.so as another language sees it, beside the binary.

WORLD is a folder with the tiny model and its adapter (make_api_model).
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
import unittest
from pathlib import Path

LIBRARY, BINARY, WORLD = sys.argv[1], sys.argv[2], Path(sys.argv[3])

c = ctypes
TEXT_FN = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_uint32, c.c_int32, c.POINTER(c.c_char), c.c_size_t)
PROGRESS_FN = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p, c.c_uint64, c.c_uint64)

OK, USAGE, NOT_FOUND, IO, MALFORMED, UNSUPPORTED, MISMATCH, LIMIT, NUMERIC = range(9)


class GeneratorOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("model", c.c_char_p), ("adapters", c.POINTER(c.c_char_p)),
                ("adapter_count", c.c_size_t), ("device", c.c_char_p), ("kv", c.c_char_p),
                ("activations", c.c_char_p), ("prompt_form", c.c_char_p), ("max_context", c.c_int64),
                ("threads", c.c_int32), ("reserved", c.c_int32)]


class GenerateOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("prompt", c.c_char_p), ("system", c.c_char_p), ("count", c.c_int64),
                ("max_tokens", c.c_int64), ("temperature", c.c_float), ("top_p", c.c_float),
                ("min_p", c.c_float), ("repetition_penalty", c.c_float), ("top_k", c.c_int64),
                ("seed", c.c_uint64), ("has_seed", c.c_int32), ("raw", c.c_int32), ("char_limit", c.c_int64),
                ("min_chars", c.c_int64), ("keep_emojis", c.c_int32), ("keep_hashtags", c.c_int32),
                ("hard_limit", c.c_int32), ("retries", c.c_int32), ("on_text", TEXT_FN),
                ("on_prefill", PROGRESS_FN), ("user", c.c_void_p), ("cancel", c.c_void_p)]


class MemoryStats(c.Structure):
    _fields_ = [("size", c.c_size_t)] + [
        (name, c.c_uint64) for name in ("weight_bytes", "kv_bytes", "kv_saturated", "peak_rss_bytes")]


class Quantized(c.Structure):
    _fields_ = [("size", c.c_size_t), ("rows", c.c_int64), ("cols", c.c_int64), ("group_size", c.c_int32),
                ("bits", c.c_int32), ("weight", c.POINTER(c.c_uint32)), ("scales", c.POINTER(c.c_float)),
                ("biases", c.POINTER(c.c_float))]


bobby = c.CDLL(LIBRARY)
bobby.bobby_version.restype = c.c_char_p
bobby.bobby_status_name.restype = c.c_char_p
for name in ("string_free", "generator_free", "posts_free", "cancel_free", "tokenizer_free", "tokens_free"):
    getattr(bobby, "bobby_" + name).argtypes = [c.c_void_p]
    getattr(bobby, "bobby_" + name).restype = None


class Failed(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.message = message


def call(name, *arguments):
    """Calls bobby_NAME with a place for the message, and raises what it says."""
    error = c.c_void_p()
    status = getattr(bobby, "bobby_" + name)(*arguments, c.byref(error))
    message = c.string_at(error).decode() if error.value else None
    bobby.bobby_string_free(error)
    if status != OK:
        raise Failed(status, message)
    assert message is None, message


def initialised(kind, name):
    struct = kind()
    call(name + "_init", c.byref(struct), c.c_size_t(c.sizeof(kind)))
    return struct


class Generator:
    def __init__(self, model=WORLD / "tiny", adapters=(), **fields):
        options = initialised(GeneratorOptions, "generator_options")
        options.model = str(model).encode()
        names = (c.c_char_p * len(adapters))(*(str(one).encode() for one in adapters))
        options.adapters, options.adapter_count = names, len(adapters)
        for name, value in fields.items():
            setattr(options, name, value)
        self.handle = c.c_void_p()
        call("generator_create", c.byref(options), c.byref(self.handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        bobby.bobby_generator_free(self.handle)

    def generate(self, **fields):
        options = initialised(GenerateOptions, "generate_options")
        options.max_tokens = 20
        for name, value in fields.items():
            setattr(options, name, value)
        posts, text = c.c_void_p(), c.c_char_p()
        call("generator_generate", self.handle, c.byref(options), c.byref(posts))
        try:
            call("posts_json", posts, c.byref(text))
            return json.loads(text.value)
        finally:
            bobby.bobby_posts_free(posts)


def raw(seed, **fields):
    return dict(prompt=b"hello", has_seed=1, seed=seed, raw=1, **fields)


def texts(batch):
    return [post["text"] for post in batch["posts"]]


def binary_texts(*words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BOBBY_", "LD_"))}
    environment.update(HOME=str(WORLD), XDG_CONFIG_HOME=str(WORLD), XDG_DATA_HOME=str(WORLD))
    out = subprocess.run([BINARY, "post", "--json", "--raw", "--max-tokens", "20", "--model", str(WORLD / "tiny"),
                          *words], env=environment, check=True, capture_output=True, cwd=WORLD).stdout
    return [json.loads(line)["text"] for line in out.decode().splitlines()]


class Posts(unittest.TestCase):
    def test_the_same_seed_writes_what_the_binary_writes(self):
        with Generator() as generator:
            batch = generator.generate(count=3, **raw(7))
        self.assertEqual(texts(batch), binary_texts("3", "hello", "--seed", "7"))
        self.assertEqual((batch["object"], batch["seed"], batch["missing"]), ("list", 7, 0))
        self.assertEqual(set(batch["posts"][0]), {
            "index", "text", "graphemes", "tokens", "seed", "finish_reason", "tries", "mean_logprob", "prefill_ms",
            "decode_tok_s"})

    def test_adapters_with_a_scale(self):
        adapter = str(WORLD / "tiny-adapter")
        with Generator(adapters=[adapter + ":400", adapter]) as generator:
            found = texts(generator.generate(**raw(7)))
        self.assertEqual(found, binary_texts("1", "hello", "--seed", "7", "-a", adapter + ":400", "-a", adapter))

    def test_a_stream_is_the_text(self):
        pieces = {}

        def on_text(user, index, attempt, text, size):
            pieces[index] = pieces.get(index, b"") + text[:size]
            return 0

        with Generator() as generator:
            batch = generator.generate(count=2, on_text=TEXT_FN(on_text), **raw(3))
        self.assertEqual([pieces[i].decode(errors="replace") for i in sorted(pieces)], texts(batch))

    def test_cancelled_from_another_thread(self):
        cancel = c.c_void_p()
        call("cancel_create", c.byref(cancel))
        begun = threading.Event()
        canceller = threading.Thread(target=lambda: (begun.wait(60), call("cancel_set", cancel)))
        canceller.start()

        def on_text(*_):
            begun.set()
            canceller.join(60)
            return 0

        with Generator() as generator:
            batch = generator.generate(cancel=cancel, on_text=TEXT_FN(on_text), count=3, max_tokens=400, **raw(3))
            self.assertTrue(batch["cancelled"])
            self.assertGreater(batch["missing"], 0)
            self.assertEqual(len(generator.generate(**raw(3))["posts"]), 1)  # the flag was that request's
        canceller.join()
        bobby.bobby_cancel_free(cancel)

    def test_several_threads_write_what_one_writes(self):
        with Generator() as generator:
            found = {}

            def work(seed):
                for _ in range(3):
                    found.setdefault(seed, set()).add(tuple(texts(generator.generate(**raw(seed)))))

            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for seed in range(6):
                self.assertEqual(found[seed], {tuple(texts(generator.generate(**raw(seed))))})

    def test_a_hundred_generators_leave_no_file_open(self):
        def once():
            with Generator(adapters=[WORLD / "tiny-adapter"], threads=2) as generator:
                generator.generate(max_tokens=2, **raw(1))
            tokenizer = c.c_void_p()
            call("tokenizer_load", str(WORLD / "tiny").encode(), c.byref(tokenizer))
            bobby.bobby_tokenizer_free(tokenizer)
            with self.assertRaises(Failed), Generator(model=WORLD / "broken") as generator:
                generator.generate()

        def held():
            return [len(os.listdir(folder)) for folder in ("/dev/fd", "/proc/self/task") if os.path.isdir(folder)]

        once()
        before = held()
        for _ in range(100):
            once()
        self.assertEqual(held(), before)


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        broken = WORLD / "broken"
        broken.mkdir(exist_ok=True)
        (broken / "config.json").write_text("{")
        (WORLD / "folder" / "tokenizer.json").mkdir(parents=True, exist_ok=True)
        for name, change in (("foreign", {"model_type": "mamba"}), ("narrow", {"hidden_size": 32})):
            shutil.rmtree(WORLD / name, ignore_errors=True)
            shutil.copytree(WORLD / "tiny", WORLD / name)
            config = json.loads((WORLD / name / "config.json").read_text())
            (WORLD / name / "config.json").write_text(json.dumps(config | change))

    def fails(self, status, word, work):
        with self.assertRaises(Failed) as caught:
            work()
        name = bobby.bobby_status_name(caught.exception.status).decode()
        self.assertEqual(caught.exception.status, status, f"{name}: {caught.exception.message}")
        self.assertIn(word, caught.exception.message)

    def generate(self, model="tiny", adapters=(), **fields):
        with Generator(WORLD / model, adapters) as generator:
            return generator.generate(**fields)

    def test_each_class(self):
        for status, word, work in (
                (NOT_FOUND, "none", lambda: self.generate("none")),
                (NOT_FOUND, "no-voice", lambda: self.generate(adapters=[WORLD / "no-voice"])),
                (IO, "tokenizer.json", lambda: call("tokenizer_load", str(WORLD / "folder").encode(),
                                                    c.byref(c.c_void_p()))),
                (MALFORMED, "config.json", lambda: self.generate("broken")),
                (UNSUPPORTED, "mamba", lambda: self.generate("foreign")),
                (MISMATCH, "", lambda: self.generate("narrow")),
                (LIMIT, "", lambda: self.generate(prompt=b"x" * 2000, raw=1))):
            self.fails(status, word, work)

    def test_what_is_out_of_range_is_named(self):
        for field, value in (("count", 0), ("count", -1), ("max_tokens", 0), ("temperature", -1.0), ("top_p", 2.0),
                             ("temperature", float("nan")), ("min_p", -1.0), ("repetition_penalty", 0.0),
                             ("top_k", -1), ("char_limit", -2), ("min_chars", -2), ("retries", -1)):
            self.fails(USAGE, field, lambda: self.generate(**{field: value}))
        self.fails(USAGE, "seed", lambda: self.generate(has_seed=1, seed=2**64 - 1))
        for fields in (dict(device=b"gpu"), dict(threads=-1), dict(kv=b"f64"), dict(activations=b"q1"),
                       dict(prompt_form=b"none"), dict(max_context=-1)):
            with Generator(**fields) as generator:
                self.fails(USAGE, next(iter(fields)), generator.generate)

    def test_null(self):
        handle = c.c_void_p()
        with Generator() as generator:
            self.fails(USAGE, "generator is NULL", lambda: call("generator_generate", None, None, c.byref(handle)))
            self.fails(USAGE, "posts is NULL", lambda: call("generator_generate", generator.handle, None, None))
            self.fails(USAGE, "loaded is NULL", lambda: call("generator_loaded", generator.handle, None))
            self.fails(USAGE, "stats is NULL", lambda: call("generator_memory_stats", generator.handle, None))
            self.fails(USAGE, "json is NULL", lambda: call("generator_last_trace", generator.handle, None))
        for name, arguments in (("generator_create", (None, None)), ("generator_prewarm", (None, None, None)),
                                ("generator_loaded", (None, None)), ("generator_memory_stats", (None, None)),
                                ("generator_last_trace", (None, None)), ("posts_count", (None, None)),
                                ("posts_text", (None, c.c_size_t(0), None, None)), ("posts_json", (None, None)),
                                ("cancel_create", (None,)), ("cancel_set", (None,)),
                                ("tokenizer_load", (None, None)), ("tokenizer_vocab_size", (None, None)),
                                ("tokenizer_encode", (None, None, c.c_size_t(0), None, None)),
                                ("tokenizer_decode", (None, None, c.c_size_t(0), None, None)),
                                ("quantize", (None, None)), ("dequantize", (None, None)),
                                ("quantized_matmul", (None, c.c_int64(1), None, 0, None)),
                                ("generator_options_init", (None, c.c_size_t(c.sizeof(GeneratorOptions)))),
                                ("generate_options_init", (None, c.c_size_t(c.sizeof(GenerateOptions)))),
                                ("quantized_init", (None, c.c_size_t(c.sizeof(Quantized))))):
            self.fails(USAGE, "is NULL", lambda: call(name, *arguments))
            self.assertEqual(getattr(bobby, "bobby_" + name)(*arguments, None), USAGE)  # no place for a message
        for name in ("string", "generator", "posts", "cancel", "tokenizer", "tokens"):
            getattr(bobby, f"bobby_{name}_free")(None)

    def test_size_of_a_struct(self):
        for kind, name in ((GeneratorOptions, "generator_options"), (GenerateOptions, "generate_options"),
                           (Quantized, "quantized")):
            room = c.create_string_buffer(c.sizeof(kind) + 64)
            for size in (0, 8, c.sizeof(kind) - 1, c.sizeof(kind) + 8):
                self.fails(USAGE, "size is %d" % size, lambda: call(name + "_init", room, c.c_size_t(size)))
        handle = c.c_void_p()
        self.fails(USAGE, "size is 0", lambda: call("generator_create", c.byref(GeneratorOptions()), c.byref(handle)))
        self.assertIsNone(handle.value)
        with Generator() as generator:
            self.fails(USAGE, "older than its caller", lambda: generator.generate(size=c.sizeof(GenerateOptions) + 8))
            self.fails(USAGE, "size is 0",
                       lambda: call("generator_memory_stats", generator.handle, c.byref(MemoryStats())))


class TokensAndArrays(unittest.TestCase):
    def test_tokens_there_and_back(self):
        tokenizer, ids, count = c.c_void_p(), c.POINTER(c.c_int32)(), c.c_size_t()
        call("tokenizer_load", str(WORLD / "tiny").encode(), c.byref(tokenizer))
        text = "<|im_start|>grüß dich".encode()
        call("tokenizer_encode", tokenizer, text, c.c_size_t(len(text)), c.byref(ids), c.byref(count))
        self.assertEqual(ids[:count.value], [257, *"grüß dich".encode()])
        back, size = c.c_void_p(), c.c_size_t()
        call("tokenizer_decode", tokenizer, ids, count, c.byref(back), c.byref(size))
        self.assertEqual(c.string_at(back, size.value), text)
        bobby.bobby_string_free(back)
        bobby.bobby_tokens_free(ids)
        bobby.bobby_tokenizer_free(tokenizer)

    def test_a_grid_is_quantised_exactly(self):
        quantized = initialised(Quantized, "quantized")
        w, back = (c.c_float * 64)(*(i % 16 - 8 for i in range(64))), (c.c_float * 64)()
        quantized.rows, quantized.cols = 1, 64
        quantized.weight, quantized.scales, quantized.biases = (
            (c.c_uint32 * 8)(), (c.c_float * 1)(), (c.c_float * 1)())
        call("quantize", w, c.byref(quantized))
        call("dequantize", c.byref(quantized), back)
        self.assertEqual(list(w), list(back))
        product = (c.c_float * 1)()
        call("quantized_matmul", w, c.c_int64(1), c.byref(quantized), 1, product)
        self.assertEqual(product[0], sum(x * x for x in w))
        w[0] = float("inf")
        with self.assertRaises(Failed) as caught:
            call("quantize", w, c.byref(quantized))
        self.assertEqual(caught.exception.status, NUMERIC)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
