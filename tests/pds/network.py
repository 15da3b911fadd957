"""The servers of server.mjs, and calls to them, for the tests beside this."""

import json
import os
import pathlib
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Network:
    """A PLC directory and a PDS, filled with what server.mjs says; close() ends them."""

    def __init__(self, folder: pathlib.Path, posts: int, **settings: str):
        home = pathlib.Path(os.environ["BOBBY_PDS"])
        # Node finds packages beside a module's own file; another run may be starting.
        script = pathlib.Path(shutil.copy(pathlib.Path(__file__).with_name("server.mjs"),
                                          home / f"server-{os.getpid()}.mjs"))
        self.process = subprocess.Popen(
            [home / "node/bin/node", script, folder / "pds", str(posts)], env=os.environ | settings,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        script.unlink()
        if not line:
            raise AssertionError(f"the PDS did not start: {self.process.wait()}")
        vars(self).update(json.loads(line))

    def repository(self, did: str) -> bytes:
        url = f"{self.service}/xrpc/com.atproto.sync.getRepo?did={did}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read()

    def call(self, method: str, body: dict | None, token: str = "") -> dict:
        """POSTs to the PDS; None: without a body."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self.service}/xrpc/{method}", headers=headers,
                                         data=b"" if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method}: {error.code} {error.read()}") from None

    def get(self, method: str, **query: str) -> dict:
        """GETs from the PDS."""
        url = f"{self.service}/xrpc/{method}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.loads(answer.read())

    def posts(self, did: str) -> list[dict]:
        """The account's posts as the PDS lists them: uri, cid, value; the newest key first."""
        found, cursor = [], {}
        while True:
            page = self.get("com.atproto.repo.listRecords", repo=did, collection="app.bsky.feed.post", limit="100",
                            **cursor)
            found += page["records"]
            if not page.get("cursor"):
                return found
            cursor = {"cursor": page["cursor"]}

    def restart_pds(self, pause: float) -> None:
        """Takes the PDS away for `pause` seconds; back on the same port when this returns."""
        self.process.stdin.write(f"restart {int(pause * 1000)}\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            raise AssertionError("the PDS did not start again")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
