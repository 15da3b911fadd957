"""What a hub is asked, what it answers, and what can go wrong on the way."""

import dataclasses
import re
import time
import urllib.parse
from collections.abc import Callable


@dataclasses.dataclass
class Request:
    server: str  # "hub" or "content"
    method: str
    target: str  # path and query, as sent
    headers: dict[str, str]
    port: int
    at: float = dataclasses.field(default_factory=time.monotonic)
    status: int = 0
    sent: int = 0  # bytes of the body

    @property
    def path(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.target).query, keep_blank_values=True))

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization")

    def __str__(self):
        return f"{self.server} {self.method} {self.target} {self.headers.get('range', '')} -> {self.status}, {self.sent} B"


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    file: bool = False  # of which ranges may be asked


@dataclasses.dataclass
class Fault:
    """Met by `times` requests (all of them when None) whose path holds `path`, after `skip` others."""

    path: str = ""
    method: str | None = None
    server: str | None = None
    ranged: bool | None = None               # only requests with a Range, or only those without
    times: int | None = 1
    skip: int = 0

    before: Callable[[], object] | None = None  # called before the request is answered
    wait: float = 0                          # seconds before the answer begins
    reset: bool = False                      # the connection is reset instead of an answer
    status: int | None = None                # this status, these headers and this body instead of the answer
    body: bytes = b""
    headers: dict[str, str | None] = dataclasses.field(default_factory=dict)  # put into any answer; None takes one out

    ignore_range: bool = False               # 200 and the whole file
    gzip: bool = False                       # compressed, asked or not
    corrupt_at: int | None = None            # this byte of the file is another
    replace: bytes | None = None             # the whole body is another
    shift_range: int = 0                     # Content-Range says it begins that much later than it does
    declare: int = 0                         # Content-Length says that much more than comes
    cut_after: int | None = None             # bytes of the body, then the connection ends
    cut_by_reset: bool = True
    stall_after: int | None = None           # bytes of the body, then nothing for `stall_seconds`
    stall_seconds: float = 30
    rate: int = 0                            # bytes a second

    met: int = 0

    def takes(self, request: Request) -> bool:
        if self.path not in request.path or self.method not in (None, request.method):
            return False
        if self.server not in (None, request.server):
            return False
        if self.ranged is not None and self.ranged != ("range" in request.headers):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.met >= self.times:
            return False
        self.met += 1
        return True

    def answer(self) -> Answer | None:
        return None if self.status is None else Answer(self.status, {"Content-Type": "text/plain"}, self.body)

    def change(self, answer: Answer) -> None:
        if self.replace is not None:
            answer.body = self.replace
            answer.headers["Content-Length"] = str(len(self.replace))
        if self.corrupt_at is not None:
            found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            at = self.corrupt_at - int(found[1] if found else 0)
            if 0 <= at < len(answer.body):
                answer.body = answer.body[:at] + bytes([answer.body[at] ^ 0x40]) + answer.body[at + 1:]
        if self.declare:
            answer.headers["Content-Length"] = str(len(answer.body) + self.declare)
        if self.shift_range and "Content-Range" in answer.headers:
            unit, _, rest = answer.headers["Content-Range"].partition(" ")
            span, _, size = rest.partition("/")
            first, last = (int(number) + self.shift_range for number in span.split("-"))
            answer.headers["Content-Range"] = f"{unit} {first}-{last}/{size}"
        for name, value in self.headers.items():
            for known in [known for known in answer.headers if known.lower() == name.lower()]:
                del answer.headers[known]
            if value is not None:
                answer.headers[name] = value
