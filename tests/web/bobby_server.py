"""Starts and stops `bobby serve` for the page's tests, with folders of its own for state and adapters."""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_adapter(folder: Path, model: Path, seed: int) -> None:
    """A small random LoRA on every q_proj, in mlx-lm's form: enough to be listed, chosen and scaled."""
    config = json.loads((model / "config.json").read_text())
    hidden = config["hidden_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    layers, rank = config["num_hidden_layers"], 2
    draw = random.Random(seed)
    header, data = {}, bytearray()
    for layer in range(layers):
        for part, shape in (("lora_a", (hidden, rank)), ("lora_b", (rank, head * config["num_attention_heads"]))):
            count = shape[0] * shape[1]
            start = len(data)
            data += struct.pack(f"<{count}f", *(draw.uniform(-0.001, 0.001) for _ in range(count)))
            name = f"model.layers.{layer}.self_attn.q_proj.{part}"
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
    parameters = {"rank": rank, "scale": 2.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]}
    (folder / "adapter_config.json").write_text(
        json.dumps({"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": parameters}))


class BobbyServer:
    """One server on a port of its own; it can be killed and started again on the same port."""

    def __init__(self, folder: Path, adapters=("warm-voice", "dry-voice"), keys=()):
        self.bobby = os.environ["BOBBY_BIN"]
        self.model = Path(os.environ["BOBBY_MODEL"])
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process = None
        self.adapters = [folder / name for name in adapters]
        for seed, adapter in enumerate(self.adapters):
            write_adapter(adapter, self.model, seed)
        self.key_file = None
        if keys:
            self.key_file = folder / "keys"
            self.key_file.write_text("# keys of the test\n" + "\n".join(keys) + "\n")
            self.key_file.chmod(0o600)

    def start(self, wait: bool = True) -> "BobbyServer":
        command = [self.bobby, "serve", "--port", str(self.port), "--model", str(self.model)]
        for adapter in self.adapters:
            command += ["--adapter", str(adapter)]
        if self.key_file:
            command += ["--api-key-file", str(self.key_file)]
        (self.folder / "state").mkdir(exist_ok=True)
        self.log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(command, env=self.environment(), cwd=self.folder, stdout=self.log,
                                        stderr=self.log)
        if wait:
            self.wait_for("/ready")
        return self

    def environment(self) -> dict:
        # What the tests are told by, and a developer's own settings, are not the server's.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BOBBY_")}
        return dict(kept, XDG_STATE_HOME=str(self.folder / "state"), XDG_CONFIG_HOME=str(self.folder / "config"))

    def command(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess:
        """`bobby WORDS`, on the server's own store."""
        return subprocess.run([self.bobby, *words], env=self.environment(), cwd=self.folder, input=stdin, text=True,
                              capture_output=True, timeout=120)

    def start_command(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen([self.bobby, *words], env=self.environment(), cwd=self.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait_for(self, path: str) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url.rstrip("/") + path, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"bobby serve did not answer {path}:\n" + (self.folder / "server.log").read_text())

    def call(self, method: str, path: str, body=None):
        request = urllib.request.Request(self.url.rstrip("/") + path, method=method)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            return json.loads(answer.read())

    def clear_drafts(self) -> None:
        while drafts := self.call("GET", "/v1/drafts")["data"]:
            for draft in drafts:
                self.call("DELETE", f"/v1/drafts/{draft['id']}")

    def pause(self) -> None:
        """Stops the process where it is, until resume(); one that was killed stays so."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
