"""Exactly once: daemons of `bobby bot run` that are killed at random moments, behind a network that fails in every way.

BOBBY_BOT_KILLS is how often they are killed (24), BOBBY_BOT_SEED what chance is drawn from (drawn, and printed).
"""

import collections
import os
import pathlib
import random
import shutil
import tempfile
import threading
import time
import unittest
import urllib.parse

from bot_machine import Machine, Page
from fault_proxy import FaultProxy
from network import Network

KILLS = int(os.environ.get("BOBBY_BOT_KILLS", "24"))
SEED = int(os.environ.get("BOBBY_BOT_SEED", random.randrange(10**6)))
SCHEDULE = ("--cron", "* * * * *", "--zone", "UTC", "--misfire", "all", "--hourly-cap", "0", "--daily-cap", "0")
AHEAD = 5  # so many approved posts always wait
ROUNDS_OF_ONE = 12  # then as many with two at once, and so on


class Posts:
    """The person: writes drafts, approves them, and changes his mind about some. `wanted` and `unwanted` are texts."""

    def __init__(self, machine: Machine, page: Page, draws: random.Random):
        self.machine, self.page, self.draws = machine, page, draws
        self.wanted: dict[int, str] = {}
        self.unwanted: set[str] = set()
        self.counts = collections.Counter()

    def write(self) -> int:
        number = len(self.wanted) + len(self.unwanted)
        text = f"Post {number}: {self.draws.choice('🏔️ é #tag x'.split())} {self.draws.randrange(10**9)}"
        draft = self.page.draft(text)
        self.wanted[draft] = text
        self.counts["drafts"] += 1
        return draft

    def fill(self) -> None:
        """Approves drafts until enough wait: on the page, where the daemon gives them keys, or by the command."""
        waiting = sum(post["state"] == "approved" for post in self.machine.outbox().values())
        drafts = [self.write() for _ in range(AHEAD - waiting)]
        if not drafts:
            return
        self.counts["approved"] += len(drafts)
        if self.draws.random() < 0.5:
            self.machine.succeed("approve", *drafts)
            return
        for draft in drafts:
            assert self.page.change(draft, status="approved")

    def change_mind(self) -> None:
        """Rejects a post, or changes its text, if it is not too late; that may be at any moment of its life."""
        recent = sorted(self.wanted)[-AHEAD - 2:]
        if not recent:
            return
        draft = self.draws.choice(recent)
        text = self.wanted[draft]
        if self.draws.random() < 0.5:
            if self.machine.run("reject", draft, "--reason", "on second thoughts").returncode == 0:
                self.counts["rejected"] += 1
                self.unwanted.add(self.wanted.pop(draft))
            else:
                self.counts["rejected too late"] += 1
        elif self.page.change(draft, text=text + " (changed)"):
            self.counts["withdrawn"] += 1
            self.unwanted.add(self.wanted.pop(draft))
            if self.draws.random() < 0.5:
                self.machine.succeed("approve", draft)
                self.counts["approved again with another text"] += 1
                self.wanted[draft] = text + " (changed)"
            else:
                self.unwanted.add(text + " (changed)")
        else:
            self.counts["withdrawn too late"] += 1


class KillTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bobby-pds-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.network = Network(self.folder, 0)
        self.addCleanup(self.network.close)
        self.proxy = FaultProxy(urllib.parse.urlparse(self.network.service).port, SEED)
        self.addCleanup(self.proxy.close)
        account = self.network.call("com.atproto.server.createAccount", {
            "handle": "robin.test", "email": "robin@example.com", "password": "the-accounts-own"})
        self.did = account["did"]
        password = self.network.call("com.atproto.server.createAppPassword", {"name": "bobby"},
                                     account["accessJwt"])["password"]
        self.machine = Machine(self.folder / "home")
        self.addCleanup(self.machine.close)
        self.machine.succeed("login", "robin.test", "--service", self.proxy.url, "--plc", self.network.plc,
                             "--password-file", "-", stdin=password + "\n")
        self.page = Page(self.machine)
        self.addCleanup(self.page.close)
        self.draws = random.Random(SEED)
        self.counts = collections.Counter()

    def start(self, beside: list) -> None:
        """A daemon, or someone at a terminal who does not wait for his turn."""
        if beside:
            # What keeps two of a machine apart is taken from them: that is not what exactly once may hang on.
            (self.machine.account_folder() / "daemon.lock").unlink(missing_ok=True)
        words = ("post",) if beside and self.draws.random() < 0.3 else ("run", *SCHEDULE)
        beside.append(self.machine.start(*words))

    def kill_one(self, running: list) -> None:
        """At a random moment, or shortly after a request has come so far as one is seldom seen."""
        stage = self.draws.choice(["", "", "arrived", "applied", "answered"])
        if stage:
            self.proxy.wait_for(stage, 1.5)
            time.sleep(self.draws.expovariate(1 / 0.005))
        else:
            time.sleep(self.draws.uniform(0, 0.8))
        victim = running.pop(self.draws.randrange(len(running)))
        if victim.poll() is not None:
            return  # `bobby bot post` was done already
        victim.kill()
        under_way = self.proxy.under_way()
        victim.wait()
        self.counts["kills"] += 1
        self.counts["kills of one of two"] += bool(running)
        if any(post["state"] == "sending" for post in self.machine.outbox().values()):
            self.counts["kills while a post was being sent"] += 1
        if under_way:
            self.counts[f"kills while the request for a record was under way: it had {under_way}"] += 1

    def one_round(self, number: int, posts: Posts, running: list) -> None:
        wanted = 1 + number // ROUNDS_OF_ONE % 2
        posts.fill()
        if self.draws.random() < 0.25:
            posts.change_mind()
        self.machine.time_passes(self.did, 8)
        if not running and self.draws.random() < 0.1:
            self.machine.change_session(good_until=int(time.time()) - 1)
            self.counts["sessions run out"] += 1
        while len(running) < wanted:
            self.start(running)
        if self.draws.random() < 0.2:
            posts.change_mind()
        self.kill_one(running)

    def finish(self, running: list) -> None:
        """The network is well again, and whatever is under way comes to its end."""
        self.proxy.faults = False
        self.proxy.settle()
        while len(running) < 2:
            running.append(self.machine.start("run", *SCHEDULE))
        for _ in range(60):
            if {post["state"] for post in self.machine.outbox().values()} <= {"posted", "refused"}:
                break
            self.machine.time_passes(self.did, 20)
            time.sleep(1)
        for process in running:
            self.machine.end(process)

    def test_every_approved_post_appears_exactly_once(self):
        posts = Posts(self.machine, self.page, self.draws)
        running: list = []
        restarts = []
        self.proxy.faults = True
        number = 0
        while self.counts["kills"] < KILLS:
            self.one_round(number, posts, running)
            number += 1
            if number % 40 == 10:
                restarts.append(threading.Thread(target=self.network.restart_pds, args=(0.7,)))
                restarts[-1].start()
                restarts[-1].join()
        self.finish(running)
        self.judge(posts, len(restarts))

    def judge(self, posts: Posts, restarts: int) -> None:
        found = collections.Counter(record["value"]["text"] for record in self.network.posts(self.did))
        wanted = set(posts.wanted.values())
        counts = dict(self.counts + posts.counts) | {
            "restarts of the server": restarts,
            "posts in the repository": sum(found.values()),
            "approved, and there exactly once": sum(found[text] == 1 for text in wanted),
            "there twice": sum(count > 1 for count in found.values()),
            "lost": len(wanted - set(found)),
            "rejected or withdrawn, and there all the same": len(posts.unwanted & set(found)),
            "there, and nobody's": len(set(found) - wanted - posts.unwanted),
        }
        states = collections.Counter(post["state"] for post in self.machine.outbox().values())
        print(f"\nbot: seed {SEED}")
        for title, counts in (("", counts), ("requests: ", self.proxy.requests), ("faults: ", {
                name: count for name, count in sorted(self.proxy.counts.items())
                if name not in ("arrived", "applied", "answered")}), ("store: ", states)):
            for name, count in counts.items():
                print(f"  {count:5} {title}{name}")
        self.assertEqual({text: found[text] for text in wanted if found[text] != 1}, {})
        self.assertEqual(set(found) - wanted, set())
        self.assertEqual(set(states), {"posted"})
        self.assertEqual({post["uri"] for post in self.machine.outbox().values()},
                         {record["uri"] for record in self.network.posts(self.did)})


if __name__ == "__main__":
    unittest.main(verbosity=1)
