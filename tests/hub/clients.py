"""Two clients of one hub: the bobby under test, and huggingface_hub's own library."""

import json
import os
import pathlib
import subprocess
import sys
import time

import cache as cache_files
from hub import Hub
from repository import Repository

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOBBY = pathlib.Path(os.environ.get("BOBBY_BINARY", ROOT / "build/release/bin/bobby"))
FOREIGN = ("BOBBY_", "XDG_", "HF_", "HUGGING", "TRANSFORMERS_", "CURL_", "SSL_")


class Machine:
    """A person's computer: a home folder with a cache, on which commands run."""

    def __init__(self, home: pathlib.Path, hub: Hub):
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.hub = hub
        self.cache = home / ".cache/huggingface/hub"
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(FOREIGN) and not name.lower().endswith("_proxy")}
        self.environment = kept | {"HOME": str(home), "HF_ENDPOINT": hub.url, "HF_HUB_DOWNLOAD_TIMEOUT": "10",
                                   "HF_HUB_DISABLE_TELEMETRY": "1"}

    def set(self, **variables) -> "Machine":
        """Sets variables of the environment; None takes one out."""
        for name, value in variables.items():
            self.environment.pop(name, None)
            if value is not None:
                self.environment[name] = str(value)
        return self

    def start(self, *words, **popen) -> subprocess.Popen:
        return subprocess.Popen([str(BOBBY), *map(str, words)], env=self.environment, cwd=self.home, text=True,
                                **(dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) | popen))

    def run(self, *words, timeout: float = 100, text: str = "", **popen) -> subprocess.CompletedProcess:
        """Runs a command to its end; `text` is what it reads."""
        with self.start(*words, stdin=subprocess.PIPE, **popen) as process:
            try:
                out, err = process.communicate(text, timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"{words} did not end in {timeout} s:\n{out}\n{err}\n{self.requests()}") from None
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def succeed(self, *words, **options) -> subprocess.CompletedProcess:
        result = self.run(*words, **options)
        assert result.returncode == 0, f"{words}: {result.returncode}\n{result.stdout}\n{result.stderr}\n{self.requests()}"
        return result

    def pull(self, name: str, *options, **more) -> subprocess.CompletedProcess:
        return self.succeed("model", "pull", name, *options, **more)

    def refused(self, *words, **options) -> str:
        """The message of a command that must fail, in one sentence of JSON."""
        result = self.run(*words, "--json", **options)
        assert result.returncode in (1, 2), f"{words}: {result.returncode}\n{result.stdout}\n{result.stderr}\n{self.requests()}"
        return json.loads(result.stderr.splitlines()[-1])["error"]["message"]

    def requests(self) -> str:
        return "\n".join(map(str, self.hub.log[-60:]))

    def check(self, repository: Repository, names: list[str], commit: str | None = None) -> None:
        """The snapshot holds just `names`, with the right bytes, and nothing lies about."""
        assert cache_files.present(self.cache, repository, commit) == sorted(names)
        assert cache_files.wrong_bytes(self.cache, repository) == []
        assert cache_files.wrong_blobs(self.cache) == []
        assert cache_files.leftovers(self.cache) == []


def official(machine: Machine, code: str, *arguments, timeout: float = 60) -> object:
    """Runs `code` with huggingface_hub on that machine; what it leaves in `result` comes back as JSON."""
    program = ("import json, os, sys\nimport huggingface_hub as hf\n" + code +
               "\nprint(json.dumps(result if 'result' in dir() else None))\n")
    run = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], env=machine.environment, cwd=machine.home,
                         capture_output=True, text=True, timeout=timeout)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def wait_until(condition, what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.005)
