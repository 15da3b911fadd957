"""bobby data import bluesky, against a PDS and a PLC directory of AT Protocol's own: tools/pds_tests.sh."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

from network import ROOT, Network

BOBBY = pathlib.Path(os.environ.get("BOBBY_BINARY", ROOT / "build/release/bin/bobby"))
PLAIN_POSTS = 230  # three pages of a listing

WORDS = [
    "Grüße aus Bern 🏔️",
    "grün: https://example.com/a-long-path?to=it or here",
    "An answer to bob",
    "My own thread goes on",
    "An aside on that",
    "What I think of it",
]


class ImportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="bobby-pds-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.network = Network(cls.folder, PLAIN_POSTS)
        cls.addClassCleanup(cls.network.close)
        cls.car = cls.folder / "alice.car"
        cls.car.write_bytes(cls.network.repository(cls.network.alice))

    def bobby(self, *words) -> subprocess.CompletedProcess:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BOBBY_", "XDG_"))}
        return subprocess.run([BOBBY, "data", "import", *map(str, words), "--json"], env=kept | {"HOME": str(self.folder)},
                              cwd=self.folder, capture_output=True, text=True, timeout=120)

    def imported(self, *words) -> dict:
        """What was imported: the source's part of the manifest, and the files' bytes."""
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "data"
        run = self.bobby(*words, "--out", out, "--min-chars", 0, "--links", "keep", "--near", 0)
        self.assertEqual(run.returncode, 0, run.stderr)
        source = json.loads(run.stdout)["sources"][0]
        source["bytes"] = [(out / name).read_bytes() for name in ("train.jsonl", "valid.jsonl")]
        source["texts"] = sorted(json.loads(line)["messages"][-1]["content"]
                                 for part in source["bytes"] for line in part.splitlines())
        return source

    def refused(self, *words) -> str:
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "data"
        run = self.bobby(*words, "--out", out)
        self.assertIn(run.returncode, (1, 2), run.stdout + run.stderr)
        self.assertFalse(out.exists())
        return json.loads(run.stderr.splitlines()[-1])["error"]["message"]

    def test_repository(self):
        found = self.imported("bluesky", self.car, "--replies", "--quotes")
        plain = [f"Plain post number {i}, of which there are many" for i in range(PLAIN_POSTS)]
        self.assertEqual(found["texts"], sorted(plain + WORDS))
        self.assertEqual(found["left_out"], {
            "a picture or a link, without words": 1,
            "a repost": 1,
            "a record of app.bsky.feed.like, not a post": 1,
            "a record of app.bsky.graph.follow, not a post": 1,
            "a record of app.bsky.actor.profile, not a post": 1,
        })
        self.assertEqual(found["read"], found["taken"] + sum(found["left_out"].values()))
        self.assertEqual(found["files"][0]["bytes"], self.car.stat().st_size)

    def test_replies_and_quotes_are_left_out_by_default(self):
        found = self.imported("bluesky", self.car)
        self.assertEqual(found["taken"], PLAIN_POSTS + 4)
        self.assertNotIn("An answer to bob", found["texts"])
        self.assertNotIn("What I think of it", found["texts"])
        self.assertIn("My own thread goes on", found["texts"])

    def test_listing_gives_what_the_repository_does(self):
        wanted = self.imported("bluesky", self.car)["bytes"]
        network = self.network
        for words in ([network.handle, "--service", network.service],
                      ["@" + network.handle, "--service", network.service + "/"],
                      [network.alice, "--service", network.service],
                      [network.alice, "--plc", network.plc]):
            found = self.imported("bluesky", *words)
            self.assertEqual(found["bytes"], wanted, words)
            self.assertEqual(found["read"], PLAIN_POSTS + 7)

    def test_nobody(self):
        network = self.network
        self.assertIn("nobody.test", self.refused("bluesky", "nobody.test", "--service", network.service))
        unknown = "did:plc:" + "a" * 24
        self.assertIn(unknown, self.refused("bluesky", unknown, "--plc", network.plc))
        self.assertIn("Could not find repo", self.refused("bluesky", unknown, "--service", network.service))
        self.assertIn("neither", self.refused("bluesky", "nobody"))
        self.assertIn("offline", self.refused("bluesky", network.alice, "--plc", network.plc, "--offline"))

    def test_damaged_repositories(self):
        whole = self.car.read_bytes()
        damaged = self.folder / "damaged.car"
        for name, bytes_, wanted in (("cut", whole[:-100], "cut off"),
                                     ("changed", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], "byte "),
                                     ("a part", self.part(), "export the whole repository")):
            damaged.write_bytes(bytes_)
            with self.subTest(name):
                self.assertIn(wanted, self.refused("bluesky", damaged))

    def part(self) -> bytes:
        """What a server gives of the changes since a revision."""
        url = f"{self.network.service}/xrpc/com.atproto.sync.getRepo?did={self.network.alice}&since={self.network.middle}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read()


if __name__ == "__main__":
    unittest.main(verbosity=1)
