"""A `bobby serve` of a test's own: a free loopback port, its own state folder, its log in a file."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOBBY = pathlib.Path(os.environ.get("BOBBY_BINARY", ROOT / "build/release/bin/bobby"))
DATA = pathlib.Path(os.environ.get("XDG_DATA_HOME", pathlib.Path.home() / ".local/share"))
DEMO = pathlib.Path(os.environ.get("BOBBY_DEMO_MODEL", DATA / "bobby/models/demo"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def environment(home: pathlib.Path) -> dict[str, str]:
    """Nothing of the person who runs the tests gets in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BOBBY_", "XDG_"))}
    return kept | {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}


class Server:
    """Starts at once; `with` ends it. `options` are further flags of `bobby serve`."""

    def __init__(self, home: pathlib.Path, *options: str, wait: bool = True):
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "serve.log"
        command = [BOBBY, "serve", "--model", DEMO, *options]
        if "--host" not in options:
            command += ["--host", "127.0.0.1"]
        if "--port" not in options:
            command += ["--port", self.port]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=environment(home), cwd=home)
        self.http = httpx.Client(base_url=self.url, timeout=120)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"bobby serve ended with {self.process.returncode}:\n{self.log_text()}")
            try:
                if self.http.get("/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"bobby serve was not ready in {seconds} s:\n{self.log_text()}")

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def alive(self) -> bool:
        return self.process.poll() is None and self.http.get("/health").status_code == 200

    def rss(self) -> int:
        """Bytes of memory that are the process's own: not the pages of the mapped model file."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) * 1024

    def load(self, folder: pathlib.Path, name: str) -> dict:
        response = self.http.post("/v1/adapters", json={"path": str(folder), "name": name})
        assert response.status_code == 201, response.text
        return response.json()

    def metrics(self) -> str:
        response = self.http.get("/metrics")
        assert response.status_code == 200, response.text
        return response.text

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = 60) -> int:
        if self.process.poll() is None:
            self.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"bobby serve did not end:\n{self.log_text()}") from None
        finally:
            self.http.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def events(response: httpx.Response) -> list:
    """The JSON of a whole event stream; its last event must be [DONE]."""
    lines = [line for line in response.read().decode().split("\n\n") if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in lines), lines
    assert lines and lines[-1] == "data: [DONE]", lines[-1:]
    return [json.loads(line[len("data: "):]) for line in lines[:-1]]


def post(*arguments, home: pathlib.Path) -> list[dict]:
    """What `bobby post --json` prints."""
    command = [BOBBY, "post", *arguments, "--model", DEMO, "--json", "-q"]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment(home))
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]
