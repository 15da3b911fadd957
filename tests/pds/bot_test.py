"""`bobby bot` from login to the twentieth post, against a real PDS; then what may befall an account and its server."""

import base64
import functools
import hashlib
import hmac
import http.server
import json
import pathlib
import shutil
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from bot_machine import DEMO, Machine, Page
from network import Network

OWN_PASSWORD = "the-accounts-own-password"
DEMO_DRAFTS = 5
LONG = "https://example.com/articles/2026/a-path-that-goes-on?and=on#there"
# What a draft says, and which parts of what is posted lead where; the rest was written by the model.
WRITTEN = [
    ("Grüße 🏔️ aus https://example.org/bern", [("example.org/bern", "link", "https://example.org/bern")]),
    (f"🇨🇭 So lang: {LONG}", [("example.com/articles/202...", "link", LONG)]),
    ("Zwei Wörter: #Käse und #fondue!", [("#Käse", "tag", "Käse"), ("#fondue", "tag", "fondue")]),
    ("👩‍👩‍👧 meets @alice.test, and #2 is no tag", [("@alice.test", "mention", "alice")]),
    ("Nobody is called @nobody.test here", []),
    ("(see https://example.org/a_(b)) and #more.", [("example.org/a_(b)", "link", "https://example.org/a_(b)"),
                                                     ("#more", "tag", "more")]),
    ("No link: example.com", []),
    ("Zeile eins\nZeile zwei #zwei", [("#zwei", "tag", "zwei")]),
    ("é in two code points, then #é", [("#é", "tag", "é")]),
    ("漢字のあとに https://example.org/漢字", [("example.org/漢字", "link", "https://example.org/%E6%BC%A2%E5%AD%97")]),
    ("\"Quotes\" & <tags> \\ stay what they are", []),
    ("Eleven plain words that nobody has ever put in this order", []),
    ("Twelve is a dozen, and a dozen eggs is breakfast for three", []),
    ("Thirteen o'clock strikes seldom", []),
    ("x" * 299 + "é", []),
]


def jwt_part(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def aged(token: str, secret: str, seconds: int) -> str:
    """The token, as if the PDS had made it so long ago."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    claims |= {"iat": claims["iat"] - seconds, "exp": claims["exp"] - seconds}
    signed = f"{jwt_part(header)}.{jwt_part(claims)}"
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


class BotTest(unittest.TestCase):
    """The steps come one after another: each goes on where the one before ended."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="bobby-pds-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.network = Network(cls.folder, 0)
        cls.addClassCleanup(cls.network.close)
        account = cls.network.call("com.atproto.server.createAccount", {
            "handle": "robin.test", "email": "robin@example.com", "password": OWN_PASSWORD})
        cls.did, cls.token = account["did"], account["accessJwt"]
        cls.network.call("com.atproto.repo.putRecord", {
            "repo": cls.did, "collection": "app.bsky.actor.profile", "rkey": "self",
            "record": {"$type": "app.bsky.actor.profile", "displayName": "Robin", "description": "A bird"}}, cls.token)
        cls.machine = Machine(cls.folder / "home")
        cls.addClassCleanup(cls.machine.close)
        cls.page = Page(cls.machine)
        cls.addClassCleanup(cls.page.close)
        cls.password = cls.app_password("bobby")

    @classmethod
    def app_password(cls, name: str) -> str:
        password = cls.network.call("com.atproto.server.createAppPassword", {"name": name}, cls.token)["password"]
        cls.machine.secrets.add(password)
        return password

    def log_in(self, handle: str, password: str, *options: str) -> dict:
        return self.machine.succeed("login", handle, "--service", self.network.service, "--plc", self.network.plc,
                                    "--password-file", "-", *options, stdin=password + "\n")[0]

    def approved(self, text: str) -> str:
        """The number of a draft that waits to be posted."""
        draft = str(self.page.draft(text))
        self.machine.succeed("approve", draft)
        return draft

    def posted(self, draft: str) -> None:
        """The draft is approved and is posted now, once."""
        post = self.machine.succeed("post", draft)[0]
        self.assertEqual(post["state"], "posted")
        found = [record for record in self.network.posts(self.did) if record["value"]["text"] == post["text"]]
        self.assertEqual([record["uri"] for record in found], [post["uri"]])

    def waits(self, draft: str) -> None:
        self.assertEqual(self.machine.outbox()[int(draft)]["state"], "approved")

    def test_1_wrong_password(self):
        said = self.machine.refused("login", "robin.test", "--service", self.network.service, "--password-file", "-",
                                    stdin="wrong-word\n")
        self.assertIn("does not take this password", said)
        self.assertNotIn("wrong-word", said)
        self.assertEqual(list(self.machine.home.glob("accounts/*/session.json")), [])
        self.assertIn("bot login", self.machine.refused("post"))

    def test_2_login(self):
        words = ["login", "@robin.test", "--service", self.network.service, "--plc", self.network.plc, "--label",
                 "--password-file", "-"]
        process = subprocess.Popen(self.machine.command(*words), env=self.machine.environment(), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.stdin.write(self.password + "\n")
        process.stdin.flush()
        listed = set()
        while process.poll() is None:
            listed.add(pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes())
            time.sleep(0.002)
        said = process.communicate()[0]
        self.machine.said.append(said)
        self.machine.note_secrets()
        answer = json.loads(said)
        self.assertEqual((answer["did"], answer["handle"], answer["labelled"]), (self.did, "robin.test", True), said)
        self.assertTrue(any(b"login" in line for line in listed))
        for secret in self.machine.secrets:
            self.assertFalse(any(secret.encode() in line for line in listed))
        profile = self.network.get("com.atproto.repo.getRecord", repo=self.did, collection="app.bsky.actor.profile",
                                   rkey="self")["value"]
        self.assertEqual((profile["displayName"], profile["description"]), ("Robin", "A bird"))
        self.assertEqual(profile["labels"], {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "bot"}]})
        folder = self.machine.account_folder()
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        for file in folder.glob("*.json"):
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)

    def test_3_twenty_drafts_are_posted(self):
        machine, network = self.machine, self.network
        machine.succeed("draft", DEMO_DRAFTS, "--model", DEMO, "--candidates", 1, "--max-tokens", 24, "--seed", 7)
        for text, _ in WRITTEN:
            self.page.draft(text)
        rejected = self.page.draft("This one is not wanted")
        drafts = range(1, DEMO_DRAFTS + len(WRITTEN) + 1)
        self.assertEqual((len(drafts), rejected), (20, 21))
        machine.succeed("approve", *drafts)
        machine.succeed("reject", rejected, "--reason", "not how I talk")
        self.assertEqual(network.posts(self.did), [])

        rules = ("--langs", "de", "--langs", "en", "--mentions", "keep")
        shown = {draft: machine.succeed("post", draft, "--dry-run", *rules)[0] for draft in drafts}
        self.assertEqual(network.posts(self.did), [])
        schedule = ("--cron", "* * * * *", "--zone", "UTC", "--misfire", "all", "--hourly-cap", 0, "--daily-cap", 0)
        machine.time_passes(self.did, 10)
        daemon = machine.start("run", *schedule, *rules)
        self.wait(lambda: len(network.posts(self.did)) >= 10)
        # Ten more times to post come and go while the server is away.
        away = threading.Thread(target=network.restart_pds, args=(1.5,))
        away.start()
        machine.time_passes(self.did, 15)
        machine.end(daemon)
        daemon = machine.start("run", *schedule, *rules)
        time.sleep(2)
        away.join()
        for _ in range(40):
            if all(post["state"] == "posted" for post in machine.outbox().values()):
                break
            machine.time_passes(self.did, 15)
            time.sleep(0.5)
        machine.end(daemon)
        self.read_back(shown)

    def read_back(self, shown: dict[int, dict]) -> None:
        posts = {record["uri"]: record["value"] for record in self.network.posts(self.did)}
        self.assertEqual(len(posts), 20)
        outbox = self.machine.outbox()
        self.assertEqual({post["state"] for post in outbox.values()}, {"posted"})
        self.assertEqual({post["uri"] for post in outbox.values()}, set(posts))
        for draft, dry in shown.items():
            with self.subTest(draft=draft, text=outbox[draft]["text"]):
                record = posts[outbox[draft]["uri"]]
                # But for the moment it is exactly what --dry-run showed, under the key it showed.
                self.assertEqual(outbox[draft]["uri"], f"at://{self.did}/app.bsky.feed.post/{dry['record_key']}")
                self.assertEqual(record | {"createdAt": ""}, dry["record"] | {"createdAt": ""})
                self.assertEqual(record["langs"], ["de", "en"])
                if draft > DEMO_DRAFTS:
                    self.check_facets(record, WRITTEN[draft - DEMO_DRAFTS - 1][1])
                else:
                    self.assertEqual(record["text"], outbox[draft]["text"])

    def check_facets(self, record: dict, wanted: list[tuple[str, str, str]]) -> None:
        text = record["text"].encode()
        found = []
        for facet in record.get("facets", []):
            begin, end = facet["index"]["byteStart"], facet["index"]["byteEnd"]
            feature = facet["features"][0]
            kind = feature["$type"].split("#")[1]
            found.append((text[begin:end].decode(), kind, feature[{"link": "uri", "tag": "tag", "mention": "did"}[kind]]))
        wanted = [(part, kind, self.network.alice if kind == "mention" else value) for part, kind, value in wanted]
        self.assertEqual(found, wanted)

    def wait(self, is_so, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            self.assertLess(time.monotonic(), end, self.machine.log()[-4000:])
            time.sleep(0.1)

    def test_4_sessions_end(self):
        machine = self.machine
        before = machine.session()
        time.sleep(1.1)  # a token says its time in whole seconds: one of the same second is the same token
        machine.change_session(good_until=int(time.time()) - 1)
        self.posted(self.approved("The session had run out, by its file"))
        after = machine.session()
        self.assertNotEqual(after["access"], before["access"])
        self.assertGreater(after["good_until"], time.time() + 3600)

        # By the server alone: this machine takes the token for good.
        old = aged(after["access"], self.network.jwtSecret, 3 * 3600)
        machine.change_session(access=old)
        machine.secrets.add(old)
        self.posted(self.approved("The session had run out, by the server"))
        self.assertNotEqual(machine.session()["access"], old)

        # Nothing can be renewed any more.
        self.network.call("com.atproto.server.revokeAppPassword", {"name": "bobby"}, self.token)
        machine.change_session(good_until=int(time.time()) - 1)
        draft = self.approved("The session could not be renewed")
        said = machine.refused("post", draft)
        self.assertIn("log in again", said)
        self.waits(draft)
        self.log_in("robin.test", self.app_password("another"))
        self.posted(draft)

    def test_5_a_card(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "tea.html").write_text("<title>Tea</title><meta name='description' content='Hot'>")
            handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
            with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as page:
                threading.Thread(target=page.serve_forever).start()
                url = f"http://127.0.0.1:{page.server_port}/tea.html"
                draft = self.approved(f"All of it is at {url}")
                uri = self.machine.succeed("post", draft, "--card")[0]["uri"]
                page.shutdown()
        record = next(post["value"] for post in self.network.posts(self.did) if post["uri"] == uri)
        self.assertEqual(record["embed"]["external"], {"uri": url, "title": "Tea", "description": "Hot"})

    def test_5_the_server_is_away(self):
        draft = self.approved("Posted when the server is back")
        away = threading.Thread(target=self.network.restart_pds, args=(2,))
        away.start()
        time.sleep(0.5)
        self.posted(draft)
        away.join()

    def test_6_another_handle(self):
        self.network.call("com.atproto.identity.updateHandle", {"handle": "wren.test"}, self.token)
        self.posted(self.approved("By the old name"))
        self.machine.change_session(good_until=int(time.time()) - 1)
        self.posted(self.approved("By the new name"))
        self.assertEqual(self.machine.succeed("status")[0]["account"]["handle"], "wren.test")
        self.posted(self.approved("By its handle"))
        self.assertIn("is not logged in", self.machine.refused("post", "--account", "robin.test"))
        self.assertIn("nothing is approved", self.machine.refused("post", "--account", "@wren.test"))

    def test_7_a_deactivated_account(self):
        draft = self.approved("Posted by an account that sleeps")
        self.network.call("com.atproto.server.deactivateAccount", {}, self.token)
        self.assertIn("deactivated", self.machine.refused("post", draft))
        self.waits(draft)
        # The daemon says so too, and asks no more for a while.
        self.machine.time_passes(self.did, 10)
        daemon = self.machine.start("run", "--cron", "@daily", "--hourly-cap", 0, "--daily-cap", 0)
        self.wait(lambda: '"no_account"' in self.machine.log())
        self.machine.end(daemon)
        self.assertIn("deactivated", self.machine.succeed("status")[0]["posts"]["pause"]["reason"])
        self.waits(draft)
        self.network.call("com.atproto.server.activateAccount", None, self.token)
        self.posted(draft)

    def test_8_logout(self):
        draft = self.approved("Posted after the next login")
        before = self.machine.session()
        answer = self.machine.succeed("logout")[0]
        self.assertEqual((answer["did"], answer["ended_at_server"]), (self.did, True))
        self.assertEqual(list(self.machine.home.glob("accounts/*/session.json")), [])
        with self.assertRaisesRegex(AssertionError, "ExpiredToken|InvalidToken"):
            self.network.call("com.atproto.server.refreshSession", None, before["refresh"])
        self.assertIn("bot login", self.machine.refused("post", draft))
        self.waits(draft)
        self.log_in("wren.test", self.app_password("after"))
        self.posted(draft)

    def test_9_no_secret_was_told(self):
        machine = self.machine
        self.assertGreater(len(machine.secrets), 8)
        files = [path for path in machine.home.rglob("*") if path.is_file() and path.name != "session.json"]
        self.assertIn(machine.store, files)
        for secret in machine.secrets | {OWN_PASSWORD}:
            for said in machine.said:
                self.assertNotIn(secret, said)
            for file in files:
                self.assertNotIn(secret.encode(), file.read_bytes(), file)


if __name__ == "__main__":
    unittest.main(verbosity=1)
