"""The client of src/bluesky (client_test.cpp) against a real PDS, with an app view of our own for drafts."""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

from network import ROOT, Network

BINARY = pathlib.Path(os.environ.get("BOBBY_PDS_CLIENT", ROOT / "build/release/tests/pds/bluesky_pds_test"))


class AppView(http.server.BaseHTTPRequestHandler):
    """app.bsky.draft.* of one account, in memory: all that is asked of it here."""

    drafts: dict[str, dict] = {}
    protocol_version = "HTTP/1.1"

    def answer(self, body: dict | None, status: int = 200) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        if text:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        method = urllib.parse.urlparse(self.path).path.rsplit(".", 1)[-1]
        if method != "getDrafts":
            return self.answer({"error": "MethodNotImplemented", "message": method}, 501)
        times = {"createdAt": "2025-11-28T16:00:00.000Z", "updatedAt": "2025-11-28T16:00:00.000Z"}
        return self.answer({"drafts": [{"id": key, "draft": draft} | times for key, draft in self.drafts.items()]})

    def do_POST(self):
        method = self.path.rsplit(".", 1)[-1]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if method == "createDraft":
            key = f"3kdraft{len(self.drafts):06d}".translate(str.maketrans("01", "ab"))
            self.drafts[key] = body["draft"]
            return self.answer({"id": key})
        if method == "updateDraft":
            if body["draft"]["id"] in self.drafts:
                self.drafts[body["draft"]["id"]] = body["draft"]["draft"]
            return self.answer(None)
        if method == "deleteDraft":
            self.drafts.pop(body["id"], None)
            return self.answer(None)
        return self.answer({"error": "MethodNotImplemented", "message": method}, 501)

    def log_message(self, *_):
        pass


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="bobby-pds-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        app_view = http.server.ThreadingHTTPServer(("127.0.0.1", 0), AppView)
        threading.Thread(target=app_view.serve_forever, daemon=True).start()
        cls.addClassCleanup(app_view.server_close)
        cls.addClassCleanup(app_view.shutdown)
        cls.network = Network(cls.folder, 0, BOBBY_APP_VIEW=f"http://localhost:{app_view.server_port}",
                              BOBBY_RATE_LIMITS="yes")
        cls.addClassCleanup(cls.network.close)
        account = cls.network.call("com.atproto.server.createAccount", {
            "handle": "carol.test", "email": "carol@example.com", "password": "the-accounts-own"})
        cls.did, cls.token = account["did"], account["accessJwt"]
        cls.password = cls.network.call("com.atproto.server.createAppPassword", {"name": "bobby"},
                                        cls.token)["password"]

    def run_client(self, *arguments: str, handle: str = "carol.test"):
        settings = {"PDS_SERVICE": self.network.service, "PDS_PLC": self.network.plc, "PDS_DID": self.did,
                    "PDS_PASSWORD": self.password, "PDS_HANDLE": handle, "PDS_OTHER_HANDLE": self.network.handle,
                    "PDS_FOLDER": str(self.folder)}
        run = subprocess.run([BINARY, "--gtest_brief=1", *arguments], env=os.environ | settings, text=True,
                             capture_output=True, timeout=300)
        self.assertEqual(run.returncode, 0, run.stdout[-8000:] + run.stderr[-4000:])
        return run.stdout + run.stderr

    def test_1_everything(self):
        said = self.run_client()
        session = json.loads((self.folder / "account/session.json").read_text())
        for secret in (self.password, session["access"], session["refresh"]):
            self.assertNotIn(secret, said)

    def test_2_another_handle(self):
        self.network.call("com.atproto.identity.updateHandle", {"handle": "carla.test"}, self.token)
        self.run_client("--gtest_also_run_disabled_tests", "--gtest_filter=*AnotherHandle*", handle="carla.test")

    def test_3_a_deactivated_account(self):
        self.network.call("com.atproto.server.deactivateAccount", {}, self.token)
        self.run_client("--gtest_also_run_disabled_tests", "--gtest_filter=*Deactivated*")


if __name__ == "__main__":
    unittest.main(verbosity=1)
