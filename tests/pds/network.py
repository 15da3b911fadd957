"""The servers of server.mjs, and calls to them, for the tests beside this."""

import json
import os
import pathlib
import shutil
import subprocess
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

    def call(self, method: str, body: dict, token: str = "") -> dict:
        """POSTs to the PDS."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"{self.service}/xrpc/{method}", data=json.dumps(body).encode(), headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
