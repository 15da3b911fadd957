"""A proxy between a client and a PDS that fails in every way in which a network and its servers do, drawn by a seed."""

import collections
import contextlib
import dataclasses
import random
import re
import socket
import socketserver
import struct
import threading
import time

# What may become of a request, and how often: applied or not by the server, told or not to the client.
CREATE_FAULTS = {
    "none": 40,
    "reset before it is read": 4,
    "request dropped": 6,
    "response dropped": 10,
    "response cut": 5,
    "reset after it was applied": 6,
    "500 before": 4,
    "503 before": 3,
    "502 after it was applied": 6,
    "429": 5,
    "a page in place of an answer": 2,
    "delayed before": 6,
    "delayed after": 6,
    "arrives when the client has gone": 8,
}
OTHER_FAULTS = {
    "none": 85,
    "reset before it is read": 3,
    "request dropped": 2,
    "response dropped": 3,
    "response cut": 2,
    "500 before": 2,
    "502 after it was applied": 2,
    "429": 1,
    "delayed after": 2,
}
STATUSES = {"429": "429 Too Many Requests", "500 before": "500 Internal Server Error",
            "503 before": "503 Service Unavailable", "502 after it was applied": "502 Bad Gateway",
            "a page in place of an answer": "200 OK"}

HOLD = 0.02  # seconds for which every answer is held back, so that someone may die meanwhile


@dataclasses.dataclass
class Stage:
    """How far a request has come: "arrived", "applied", "answered"."""
    method: str
    stage: str


def read_request(sock: socket.socket) -> bytes:
    """The bytes of one request; empty when the client closes."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return b""
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0:
        part = sock.recv(65536)
        if not part:
            return b""
        data += part
        missing -= len(part)
    return data


def reset(sock: socket.socket) -> None:
    """Ends a connection as a machine that has forgotten it does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class FaultProxy:
    """Hands requests on to the PDS at `port`; while `faults` is set, as CREATE_FAULTS and OTHER_FAULTS have it."""

    def __init__(self, port: int, seed: int):
        self.pds_port = port
        self.faults = False
        self.counts = collections.Counter()
        self.requests = collections.Counter()
        self.draws = random.Random(seed)
        self.lock = threading.Lock()
        self.moved = threading.Condition()
        self.stages: dict[int, Stage] = {}  # of requests that are under way
        self.number = 0
        self.late: list[threading.Thread] = []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError):
                    proxy.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.settle()

    def settle(self) -> None:
        """Waits for requests whose clients are gone."""
        for thread in self.late:
            thread.join()

    def wait_for(self, stage: str, seconds: float) -> bool:
        """Until a request to create a record or to renew a session comes so far."""
        with self.moved:
            begin = self.counts[stage]
            return self.moved.wait_for(lambda: self.counts[stage] > begin, seconds)

    def under_way(self) -> str:
        """How far the record that is being created has come; empty: none is."""
        with self.moved:
            stages = [stage.stage for stage in self.stages.values() if stage.method == "createRecord"]
        return stages[-1] if stages else ""

    def reach(self, number: int, method: str, stage: str) -> None:
        with self.moved:
            self.stages[number] = Stage(method, stage)
            if method in ("createRecord", "refreshSession"):
                self.counts[stage] += 1
            self.moved.notify_all()

    def draw(self, method: str) -> tuple[str, float]:
        with self.lock:
            if not self.faults:
                return "none", 0
            table = CREATE_FAULTS if method == "createRecord" else OTHER_FAULTS
            return self.draws.choices(list(table), list(table.values()))[0], self.draws.uniform(0.05, 1.2)

    def serve(self, client: socket.socket) -> None:
        client.settimeout(30)
        with self.lock:
            self.number += 1
            number = self.number
            before = self.faults and self.draws.random() < 0.02
        if before:
            self.counts["reset before it is read"] += 1
            return reset(client)
        request = read_request(client)
        if not request:
            return None
        method = re.match(rb"\w+ /xrpc/(?:\w+\.)*(\w+)", request)
        method = method[1].decode() if method else ""
        fault, pause = self.draw(method)
        with self.lock:
            self.requests[method] += 1
            if fault != "none":
                self.counts[fault] += 1
        self.reach(number, method, "arrived")
        try:
            self.fail(client, request, number, method, fault, pause)
        finally:
            with self.moved:
                del self.stages[number]

    def fail(self, client, request, number, method, fault, pause) -> None:
        if fault == "reset before it is read":
            return reset(client)
        if fault == "request dropped":
            return client.close()
        if fault == "arrives when the client has gone":
            thread = threading.Thread(target=self.forward_late, args=(request, pause))
            self.late.append(thread)
            thread.start()
            return client.close()
        if fault in STATUSES and "after" not in fault:
            return self.answer(client, STATUSES[fault])
        if fault == "delayed before":
            time.sleep(pause)
        answer = self.forward(request)
        self.reach(number, method, "applied")
        if self.faults:
            time.sleep(HOLD)
        if fault == "delayed after":
            time.sleep(pause)
        if fault == "response dropped":
            return client.close()
        if fault == "reset after it was applied" or not answer:
            return reset(client)
        if fault in STATUSES:
            return self.answer(client, STATUSES[fault])
        client.sendall(answer[:len(answer) * 2 // 3] if fault == "response cut" else answer)
        self.reach(number, method, "answered")
        return client.close()

    @staticmethod
    def answer(client: socket.socket, status: str) -> None:
        body = b"<html>a gateway's page</html>"
        wait = "Retry-After: 1\r\n" if status.startswith("429") else ""
        client.sendall(f"HTTP/1.1 {status}\r\n{wait}Content-Type: text/html\r\nContent-Length: {len(body)}\r\n"
                       "Connection: close\r\n\r\n".encode() + body)
        client.close()

    def forward(self, request: bytes) -> bytes:
        """What the PDS answers; nothing: it is away."""
        line, rest = request.split(b"\r\n", 1)
        with contextlib.suppress(OSError), socket.create_connection(("localhost", self.pds_port), 30) as server:
            server.sendall(line + b"\r\nConnection: close\r\n" + rest)
            answer = b""
            while part := server.recv(65536):
                answer += part
            return answer
        return b""

    def forward_late(self, request: bytes, pause: float) -> None:
        time.sleep(pause)
        self.forward(request)
