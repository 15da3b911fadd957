"""An account's server on loopback, as far as `bobby bot login` and `bobby bot post` ask it. It takes posts, refuses
them, or answers as one that is out of order, after which nobody knows whether a post is there."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
HANDLE = "alice.test"
CID = "bafyreihffx5a2e7k5uwrmmgofbvzujc5cmw5h4espouwuxt3liqoflx3ee"


class FakeService:
    def __init__(self):
        self.mode = "take"  # or "refuse", "fail"
        self.records = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, name: str, query: dict, body: dict):
        """Status and body."""
        if name == "com.atproto.identity.resolveHandle":
            return 200, {"did": DID}
        if name == "com.atproto.server.createSession":
            return 200, {"did": DID, "handle": HANDLE, "accessJwt": "the-access-token", "refreshJwt": "the-refresh-token"}
        if self.mode == "fail":
            return 500, {"error": "InternalServerError", "message": "Internal Server Error"}
        if name == "com.atproto.repo.createRecord":
            if self.mode == "refuse":
                return 400, {"error": "InvalidRequest", "message": "Record/text must not be longer than 300 graphemes"}
            self.records[body["rkey"]] = body["record"]
            return 200, {"uri": self.uri(body["rkey"]), "cid": CID}
        if name == "com.atproto.repo.getRecord":
            key = query["rkey"][0]
            if key not in self.records:
                return 400, {"error": "RecordNotFound", "message": "Could not locate record"}
            return 200, {"uri": self.uri(key), "cid": CID, "value": self.records[key]}
        return 501, {"error": "MethodNotImplemented", "message": "Method Not Implemented"}

    @staticmethod
    def uri(key: str) -> str:
        return f"at://{DID}/app.bsky.feed.post/{key}"

    def handler(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            def respond(self):
                target = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or b"{}")
                status, answer = service.answer(target.path.removeprefix("/xrpc/"), parse_qs(target.query), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = respond

            def log_message(self, *_):
                pass

        return Handler
