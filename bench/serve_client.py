"""A small HTTP client for measuring servers with many connections, of the standard library alone, and
the start and end of a server process."""

import asyncio
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.request


class Refused(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, retry_after: float, text: str):
        super().__init__(f"{status}: {text[:200]}")
        self.status, self.retry_after = status, retry_after


class Call:
    """One POST on a connection of its own. close() at any moment is a client that leaves."""

    def __init__(self, port: int, path: str, body: dict):
        self.port, self.path, self.body = port, path, json.dumps(body).encode()
        self.chunked, self.length = False, 0
        self.writer = None

    async def begin(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        self.writer.write(f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n"
                          f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n".encode()
                          + self.body)
        await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
        self.chunked = "chunked" in fields.get("transfer-encoding", "")
        self.length = int(fields.get("content-length", "0"))
        status = int(head.split()[1])
        if not 200 <= status < 300:
            text = (await self.whole()).decode(errors="replace")
            raise Refused(status, float(fields.get("retry-after", "1")), text)

    async def chunk(self) -> bytes:
        """The next piece of a chunked body; empty: it was the last."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def whole(self) -> bytes:
        if not self.chunked:
            return await (self.reader.readexactly(self.length) if self.length else self.reader.read())
        pieces = []
        while piece := await self.chunk():
            pieces.append(piece)
        return b"".join(pieces)

    async def events(self):
        """The JSON of each event; ends after [DONE], and fails without one."""
        text = b""
        while piece := await (self.chunk() if self.chunked else self.reader.read(65536)):
            text += piece
            while b"\n\n" in text:
                event, text = text.split(b"\n\n", 1)
                if event == b"data: [DONE]":
                    return
                if event.startswith(b"data: "):
                    yield json.loads(event[6:])
        raise ConnectionError("the stream ended without [DONE]")

    def close(self) -> None:
        if self.writer:
            self.writer.close()


async def post(port: int, path: str, body: dict) -> dict:
    call = Call(port, path, body)
    try:
        await call.begin()
        return json.loads(await call.whole())
    finally:
        call.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class ServerProcess:
    """Starts `command` (in which PORT is replaced) and waits until `ready_path` is answered with 200."""

    def __init__(self, command: list, log: pathlib.Path, ready_path: str, env: dict | None = None):
        self.port, self.log = free_port(), log
        command = [str(part).replace("PORT", str(self.port)) for part in command]
        # Whoever measures has settings of their own, which are none of the server's.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BOBBY_")}
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                                            env=kept | (env or {}))
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                self.get(ready_path)
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
            return response.read().decode()

    def rss(self) -> int:
        """Bytes of memory that are the process's own: not the pages of the mapped model file."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) * 1024

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
