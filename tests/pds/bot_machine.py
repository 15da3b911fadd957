"""A machine on which `bobby bot` runs: a home of its own, its store, and a clock that can be put forward."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

from network import ROOT

BOBBY = pathlib.Path(os.environ.get("BOBBY_BINARY", ROOT / "build/release/bin/bobby"))
DATA = pathlib.Path(os.environ.get("XDG_DATA_HOME", pathlib.Path.home() / ".local/share"))
DEMO = pathlib.Path(os.environ.get("BOBBY_DEMO_MODEL", DATA / "bobby/models/demo"))


class Machine:
    """Everything that commands print is kept in `said`, and every token that a session ever held in `secrets`."""

    def __init__(self, home: pathlib.Path):
        home.mkdir()
        self.home = home
        self.store = home / "bobby.sqlite"
        self.said: list[str] = []
        self.secrets: set[str] = set()
        self.processes: list[subprocess.Popen] = []

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BOBBY_", "XDG_"))}
        return kept | {"HOME": str(self.home), "TZ": "UTC"}

    def command(self, *words) -> list[str]:
        return [str(BOBBY), "bot", *map(str, words), "--drafts", str(self.store), "--json"]

    def run(self, *words, stdin: str = "") -> subprocess.CompletedProcess:
        run = subprocess.run(self.command(*words), env=self.environment(), cwd=self.home, input=stdin, text=True,
                             capture_output=True, timeout=240)
        self.said.append(run.stdout + run.stderr)
        self.note_secrets()
        return run

    def succeed(self, *words, stdin: str = "") -> list[dict]:
        run = self.run(*words, stdin=stdin)
        if run.returncode != 0:
            raise AssertionError(f"{words}: {run.returncode}\n{run.stdout}{run.stderr}")
        return [json.loads(line) for line in run.stdout.splitlines()]

    def refused(self, *words, stdin: str = "") -> str:
        """What a command that must fail says."""
        run = self.run(*words, stdin=stdin)
        if run.returncode not in (1, 2, 3):
            raise AssertionError(f"{words}: {run.returncode}\n{run.stdout}{run.stderr}")
        return json.loads(run.stderr.splitlines()[-1])["error"]["message"]

    def start(self, *words) -> subprocess.Popen:
        """A command that goes on; its output goes to a file."""
        with (self.home / "daemons.log").open("ab") as log:
            process = subprocess.Popen(self.command(*words), env=self.environment(), cwd=self.home, stdout=log,
                                       stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def log(self) -> str:
        path = self.home / "daemons.log"
        return path.read_text() if path.exists() else ""

    def end(self, process: subprocess.Popen) -> None:
        """As a system does it: the daemon ends well, or on a busy machine at once after most of a second."""
        process.send_signal(signal.SIGTERM)
        if process.wait(30) not in (0, 130):
            raise AssertionError(f"{process.returncode}: {self.log()[-4000:]}")

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    # The account's files.

    def account_folder(self) -> pathlib.Path:
        return next(path.parent for path in (self.home / "accounts").glob("*/session.json"))

    def session(self) -> dict:
        return json.loads((self.account_folder() / "session.json").read_text())

    def change_session(self, **changes) -> None:
        path = self.account_folder() / "session.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def note_secrets(self) -> None:
        for path in (self.home / "accounts").glob("*/session.json"):
            with contextlib.suppress(OSError, ValueError):
                session = json.loads(path.read_text())
                self.secrets |= {session["access"], session["refresh"]}

    # The store, as only a test looks at it.

    @contextlib.contextmanager
    def database(self):
        database = sqlite3.connect(self.store, timeout=30)
        try:
            with database:
                yield database
        finally:
            database.close()

    def outbox(self) -> dict[int, dict]:
        """By the drafts' numbers."""
        with self.database() as database:
            database.row_factory = sqlite3.Row
            names = ("approved", "sending", "posted", "refused")
            return {row["draft_id"]: dict(row) | {"state": names[row["state"]]}
                    for row in database.execute("SELECT * FROM outbox")}

    def time_passes(self, did: str, minutes: int) -> None:
        """As if the machine had been off for so long: all that the store knows of time lies further back."""
        passed = minutes * 60_000
        with self.database() as database:
            # A bot that never ran has missed nothing: as if it had run until now.
            database.execute("INSERT INTO accounts (account, handled_until) VALUES (?1, ?2) ON CONFLICT (account) "
                             "DO UPDATE SET handled_until = ?2 WHERE handled_until = 0", (did, int(time.time() * 1000)))
            for table, columns in {"accounts": ["handled_until", "paused_until"], "leases": ["until"],
                                   "outbox": ["not_before", "approved_at", "sent_at", "tried_at", "posted_at"]}.items():
                for column in columns:
                    database.execute(f"UPDATE {table} SET {column} = max({column} - ?1, 0) WHERE {column} > 0", (passed,))


class Page:
    """The API behind bobby's page, over the machine's store."""

    def __init__(self, machine: Machine):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        words = [BOBBY, "serve", "--model", DEMO, "--host", "127.0.0.1", "--port", port, "--drafts", machine.store]
        with (machine.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen([str(word) for word in words], env=machine.environment(), cwd=machine.home,
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for _ in range(1200):
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(self.url + "/ready", timeout=10):
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError((machine.home / "serve.log").read_text())

    def call(self, verb: str, path: str, body: dict) -> tuple[int, dict]:
        request = urllib.request.Request(self.url + path, data=json.dumps(body).encode(), method=verb,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def draft(self, text: str) -> int:
        status, draft = self.call("POST", "/v1/drafts", {"text": text})
        assert status == 201, draft
        return draft["id"]

    def change(self, draft: int, **change) -> bool:
        """Whether it was allowed."""
        status, answer = self.call("PATCH", f"/v1/drafts/{draft}", change)
        assert status in (200, 409), (status, answer)
        return status == 200

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
