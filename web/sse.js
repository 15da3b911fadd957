// Server-sent events out of a stream of bytes: any chunk borders, any line ends, comments left out.

// Feed it text as it comes; it hands back the data of each event that is complete.
export class EventParser {
  constructor() {
    this.rest = "";
    this.data = [];
  }

  push(text) {
    const events = [];
    this.rest += text;
    for (;;) {
      const end = this.rest.search(/[\r\n]/);
      // A carriage return at the very end may be half of a pair that the next chunk completes.
      if (end < 0 || (this.rest[end] === "\r" && end === this.rest.length - 1)) return events;
      const line = this.rest.slice(0, end);
      const width = this.rest[end] === "\r" && this.rest[end + 1] === "\n" ? 2 : 1;
      this.rest = this.rest.slice(end + width);
      this.takeLine(line, events);
    }
  }

  takeLine(line, events) {
    if (line === "") {
      if (this.data.length > 0) events.push(this.data.join("\n"));
      this.data = [];
    } else if (line.startsWith("data:")) {
      this.data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
}

// The data of each event of a response's body, until it ends. A server says something at least every
// ten seconds; silence far beyond that is a connection that broke without a word.
export async function* readEvents(body, silence_ms = 45000) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      let timer;
      const silent = new Promise((_, fail) => {
        timer = setTimeout(() => fail(new TypeError("the server fell silent")), silence_ms);
      });
      const { value, done } = await Promise.race([reader.read(), silent]).finally(() => clearTimeout(timer));
      yield* parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
