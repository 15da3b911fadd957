"""A hub on loopback, and the content server that its large files lie on, under another name and port.

It speaks as the real one does: what huggingface_hub's own library needs of it is in official_test.py.
"""

import base64
import gzip
import hashlib
import hmac
import http.server
import json
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse

from messages import Answer, Fault, Request
from repository import File, Repository

KEY = b"the key that signs addresses"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self):
        hub: Hub = self.server.hub
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.server.side, self.command, self.path, headers, self.client_address[1])
        fault = hub.note(request)
        try:
            self.answer(hub, request, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_GET

    def answer(self, hub: "Hub", request: Request, fault: Fault) -> None:
        if fault.before:
            fault.before()
        if fault.wait:
            hub.closing.wait(fault.wait)
        if fault.reset:
            self.hang_up()
            return
        answer = fault.answer() or getattr(hub, f"{request.server}_answer")(request)
        if answer.file and not fault.ignore_range:
            answer = in_range(request, answer)
        if answer.file and hub.compress and "gzip" in request.headers.get("accept-encoding", "") or fault.gzip:
            answer.body = gzip.compress(answer.body, 1)
            answer.headers["Content-Encoding"] = "gzip"
            answer.headers["ETag"] = "W/" + answer.headers.get("ETag", '""')
        length = len(answer.body)
        answer.headers.setdefault("Content-Length", str(length))
        fault.change(answer)
        request.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method != "HEAD" and answer.status not in (204, 304):
            self.send_body(hub, request, answer.body, fault)

    def send_body(self, hub: "Hub", request: Request, body: bytes, fault: Fault) -> None:
        end = len(body) if fault.cut_after is None else min(fault.cut_after, len(body))
        rate = fault.rate or hub.rate
        step = max(1, min(1 << 16, rate // 50)) if rate else 1 << 18
        begin = time.monotonic()
        while request.sent < end:
            stop = min(end, request.sent + step)
            if fault.stall_after is not None and request.sent <= fault.stall_after < stop:
                stop = fault.stall_after
            self.wfile.write(body[request.sent:stop])
            request.sent = stop
            if fault.stall_after == stop:
                hub.closing.wait(fault.stall_seconds)
            if rate:
                time.sleep(max(0.0, begin + request.sent / rate - time.monotonic()))
            if hub.closing.is_set():
                break
        if end < len(body) or fault.declare or hub.closing.is_set():
            self.hang_up(fault.cut_by_reset and end < len(body))

    def hang_up(self, reset: bool = True) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def finish(self):
        try:
            super().finish()
        except (ValueError, OSError):
            pass  # hung up

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, hub: "Hub", side: str, tls: ssl.SSLContext | None = None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub = hub
        self.side = side
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_):
        pass  # a client that went away


def in_range(request: Request, answer: Answer) -> Answer:
    """What of `answer` the request's Range and If-Range ask for."""
    answer.headers["Accept-Ranges"] = "bytes"
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if not found or found.groups() == ("", "") or answer.status != 200:
        return answer
    if "if-range" in request.headers and request.headers["if-range"] != answer.headers.get("ETag"):
        return answer
    size = len(answer.body)
    first, last = found.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if first and last and int(last) < begin:
        return answer
    if begin >= size:
        return Answer(416, {"Content-Range": f"bytes */{size}"})
    headers = answer.headers | {"Content-Range": f"bytes {begin}-{end - 1}/{size}"}
    return Answer(206, headers, answer.body[begin:end])


def json_answer(value, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, {"Content-Type": "application/json"} | named, json.dumps(value).encode())


def error(status: int, code: str, message: str, **headers: str) -> Answer:
    return json_answer({"error": message}, status, X_Error_Code=code, X_Error_Message=message, **headers)


def lfs_fields(file: File) -> dict:
    return {"oid": file.sha256, "size": len(file.data), "pointerSize": len(file.pointer)}


class Hub:
    """Both servers. `with` ends them. Everything they were asked is in `log`."""

    def __init__(self, *repositories: Repository, tls: ssl.SSLContext | None = None):
        self.repositories = {repository.name: repository for repository in repositories}
        self.renamed: dict[str, str] = {}
        self.tokens: set[str] = set()       # the ones that it knows
        self.log: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.page = 1000                    # entries in one answer of a tree
        self.rate = 0                       # bytes a second of each body; 0 is all at once
        self.compress = False
        self.resolve_cache = True           # small files answer by a redirect within the hub
        self.weak_etags = False
        self.content_etag = "md5"           # what the content server names its files by
        self.signature_seconds = 3600.0
        self.xet = False
        self.hub_server = Server(self, "hub", tls)
        self.content_server = Server(self, "content")
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.hub_server.server_port}"
        self.content_url = f"http://localhost:{self.content_server.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        for server in (self.hub_server, self.content_server):
            server.shutdown()
            server.server_close()

    def add(self, repository: Repository) -> Repository:
        self.repositories[repository.name] = repository
        return repository

    def fail(self, path: str = "", **what) -> Fault:
        """The next request whose path holds `path` meets this fault; more of them with `times`."""
        fault = Fault(path, **what)
        with self.lock:
            self.faults.append(fault)
        return fault

    def note(self, request: Request) -> Fault:
        with self.lock:
            self.log.append(request)
            return next((fault for fault in self.faults if fault.takes(request)), Fault())

    def asked(self, path: str = "", method: str | None = None, server: str | None = None) -> list[Request]:
        with self.lock:
            return [request for request in self.log if path in request.path and method in (None, request.method)
                    and server in (None, request.server)]

    def sent(self, path: str = "") -> int:
        """Bytes of bodies of what `path` names: the content server's paths end in a file's SHA-256."""
        return sum(request.sent for request in self.asked(path, "GET"))

    def forget(self) -> None:
        with self.lock:
            self.log.clear()
            self.faults.clear()

    # The hub's answers.

    def hub_answer(self, request: Request) -> Answer:
        token = request.token.removeprefix("Bearer ") if request.token else None
        if token is not None and token not in self.tokens:
            return error(401, "", "Invalid credentials in Authorization header")
        path = urllib.parse.urlsplit(request.target).path
        for pattern, answer in (
                (r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", self.model_info),
                (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(/.*)?", self.tree),
                (r"/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)", self.cached_file),
                (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.resolve)):
            if found := re.fullmatch(pattern, path):
                parts = [urllib.parse.unquote(part) if part else None for part in found.groups()]
                return self.of_repository(request, token, parts, answer)
        return error(404, "", "Sorry, we can't find the page you are looking for.")

    def of_repository(self, request: Request, token: str | None, parts: list, answer) -> Answer:
        name, revision, *rest = parts
        if name in self.renamed:
            target = request.target.replace(name, self.renamed[name], 1)
            return Answer(307, {"Location": self.url + target})
        repository = self.repositories.get(name)
        readable = repository and not (repository.private and token not in repository.readers)
        if not readable:
            if token is None:
                return error(401, "", "Invalid username or password.")
            return error(404, "RepoNotFound", "Repository not found")
        if repository.disabled:
            return error(403, "", "Access to this resource is disabled.")
        commit = repository.resolve(revision or "main")
        if commit is None:
            return error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if repository.gated and token not in repository.readers and answer in (self.resolve, self.cached_file):
            wanted = "be authenticated" if token is None else "be in the authorized list"
            return error(401 if token is None else 403, "GatedRepo",
                         f"Access to model {name} is restricted. You must {wanted} to access it.")
        return answer(request, repository, commit, *rest)

    def model_info(self, request: Request, repository: Repository, commit: str) -> Answer:
        siblings = []
        for path, file in repository.commits[commit].items():
            sibling = {"rfilename": path}
            if request.query.get("blobs") in ("true", "True", "1"):
                sibling |= {"size": len(file.data), "blobId": file.git}
                if file.lfs:
                    sibling["lfs"] = {"sha256": file.sha256, "size": len(file.data), "pointerSize": len(file.pointer)}
            siblings.append(sibling)
        return json_answer({"_id": "6511bb5d5b7d3b0001", "id": repository.name, "modelId": repository.name, "sha": commit,
                            "private": repository.private, "gated": "auto" if repository.gated else False,
                            "disabled": False, "tags": ["safetensors"], "downloads": 3, "likes": 1,
                            "lastModified": "2026-10-01T12:00:00.000Z", "createdAt": "2026-09-01T12:00:00.000Z",
                            "siblings": siblings}, X_Repo_Commit=commit)

    def tree(self, request: Request, repository: Repository, commit: str, _folder: str | None) -> Answer:
        entries = []
        folders = set()
        for path, file in sorted(repository.commits[commit].items()):
            folder = path.rpartition("/")[0]
            if folder and folder not in folders:
                folders.add(folder)
                entries.append({"type": "directory", "oid": hashlib.sha1(folder.encode()).hexdigest(), "size": 0,
                                "path": folder})
            entry = {"type": "file", "oid": file.git, "size": len(file.data), "path": path}
            if file.lfs:
                entry["lfs"] = lfs_fields(file)
            entries.append(entry)
        first = int(base64.b64decode(request.query.get("cursor", "")) or 0)
        page = min(self.page, int(request.query.get("limit", self.page)))
        headers = {"X-Repo-Commit": commit}
        if first + page < len(entries):
            query = request.query | {"cursor": base64.b64encode(str(first + page).encode()).decode()}
            path = urllib.parse.urlsplit(request.target).path
            headers["Link"] = f'<{self.url}{path}?{urllib.parse.urlencode(query)}>; rel="next"'
        answer = json_answer(entries[first:first + page])
        answer.headers |= headers
        return answer

    def resolve(self, request: Request, repository: Repository, commit: str, path: str) -> Answer:
        file = repository.commits[commit].get(path)
        if file is None:
            return error(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit)
        if file.lfs:
            return self.to_content(file, commit)
        if not self.resolve_cache:
            return self.cached_file(request, repository, commit, path)
        target = f"/api/resolve-cache/models/{repository.name}/{commit}/{urllib.parse.quote(path)}"
        query = urllib.parse.quote(urllib.parse.urlsplit(request.target).path, safe="")
        return Answer(307, {"Location": f"{target}?{query}=&etag=%22{file.etag}%22", "X-Repo-Commit": commit,
                            "X-Linked-Size": str(len(file.data)), "X-Linked-ETag": self.quoted(file.etag),
                            "Content-Type": "text/plain"}, b"Temporary Redirect. Redirecting to " + target.encode())

    def cached_file(self, _request: Request, repository: Repository, commit: str, path: str) -> Answer:
        file = repository.commits[commit].get(path)
        if file is None or file.lfs:
            return error(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit)
        return Answer(200, {"ETag": self.quoted(file.etag), "X-Repo-Commit": commit, "Content-Type": "text/plain",
                            "Content-Disposition": f'inline; filename="{path.rpartition("/")[2]}";'},
                      file.data, file=True)

    def to_content(self, file: File, commit: str) -> Answer:
        headers = {"Location": self.signed(file), "X-Repo-Commit": commit, "X-Linked-Size": str(len(file.data)),
                   "X-Linked-ETag": self.quoted(file.etag), "ETag": '"of the redirect"', "Accept-Ranges": "bytes"}
        if self.xet:
            refresh = f"{self.url}/api/models/any/xet-read-token/{commit}"
            headers["X-Xet-Hash"] = hashlib.sha256(b"xet" + file.data).hexdigest()
            headers["Link"] = f'<{refresh}>; rel="xet-auth"'
        return Answer(302, headers, b"Found. Redirecting to another server")

    def quoted(self, etag: str) -> str:
        return f'W/"{etag}"' if self.weak_etags else f'"{etag}"'

    # The content server's.

    def signed(self, file: File) -> str:
        expires = f"{time.time() + self.signature_seconds:.3f}"
        return f"{self.content_url}/repos/6511bb/{file.sha256}?Expires={expires}&Signature={self.signature(file.sha256, expires)}"

    @staticmethod
    def signature(sha256: str, expires: str) -> str:
        return hmac.new(KEY, f"{sha256}{expires}".encode(), "sha256").hexdigest()

    def content_answer(self, request: Request) -> Answer:
        if request.token is not None:
            return Answer(400, {"Content-Type": "application/xml"},
                          b"<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>")
        sha256 = request.path.rpartition("/")[2]
        expires = request.query.get("Expires", "0")
        if request.query.get("Signature") != self.signature(sha256, expires) or float(expires) < time.time():
            return Answer(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for file in files.values():
                    if file.lfs and file.sha256 == sha256:
                        etag = file.md5 if self.content_etag == "md5" else sha256
                        return Answer(200, {"ETag": f'"{etag}"', "Content-Type": "binary/octet-stream"}, file.data, file=True)
        return Answer(404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>")


