// A PLC directory and a PDS of AT Protocol's own, on loopback, with two accounts whose repositories
// hold one record of each kind that an import must tell apart. Prints one JSON object when it is
// ready; ends when its standard input does. A line "restart MILLISECONDS" there takes the PDS away for
// so long, and is answered by a line when it is back.
//   node server.mjs FOLDER [POSTS]   (its data; so many plain posts besides, for pages: 230)
// The packages are those of package.json, which tools/pds.sh installs; Node looks for them beside this
// file, so it is copied there. tests/unit/data/bluesky/real_repo.car is what com.atproto.sync.getRepo
// gave of the first account, with 12 plain posts.

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { PDS, envToCfg, envToSecrets } from '@atproto/pds';
import plc from '@did-plc/server';

const [folder, posts = '230'] = process.argv.slice(2);
const nowhere = 'http://localhost:9';
const hex = (bytes) => randomBytes(bytes).toString('hex');

async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

async function startPlc() {
  const port = await freePort();
  const server = plc.PlcServer.create({ db: plc.Database.mock(), port });
  await server.start();
  return `http://localhost:${port}`;
}

async function startPds(plcUrl) {
  const port = await freePort();
  const blobs = path.join(folder, 'blobs');
  mkdirSync(blobs, { recursive: true });
  const env = {
    devMode: true,
    hostname: 'localhost',
    port,
    serviceDid: 'did:web:localhost',
    dataDirectory: folder,
    blobstoreDiskLocation: blobs,
    didPlcUrl: plcUrl,
    inviteRequired: false,
    jwtSecret: hex(16),
    adminPassword: hex(16),
    plcRotationKeyK256PrivateKeyHex: hex(32),
    serviceHandleDomains: ['.test'],
    disableSsrfProtection: true,
    bskyAppViewUrl: process.env.BOBBY_APP_VIEW ?? nowhere,
    bskyAppViewDid: 'did:web:nowhere.test',
    rateLimitsEnabled: 'BOBBY_RATE_LIMITS' in process.env,
    logEnabled: false,
  };
  const start = async () => {
    const pds = await PDS.create(envToCfg(env), envToSecrets(env));
    await pds.start();
    return pds;
  };
  let pds = await start();
  const restart = async (pause) => {
    await pds.destroy();
    await sleep(pause);
    pds = await start();
  };
  return { service: `http://localhost:${port}`, jwtSecret: env.jwtSecret, restart };
}

class Account {
  static async create(service, name) {
    const account = new Account();
    account.service = service;
    const made = await account.call('com.atproto.server.createAccount', {
      handle: `${name}.test`, email: `${name}@example.com`, password: hex(8),
    });
    Object.assign(account, { did: made.did, handle: made.handle, token: made.accessJwt });
    return account;
  }

  async call(method, body) {
    const answer = await fetch(`${this.service}/xrpc/${method}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
      },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }

  create(collection, record, rkey) {
    return this.call('com.atproto.repo.createRecord', {
      repo: this.did, collection, rkey, record: { $type: collection, ...record },
    });
  }

  post(text, rest = {}, rkey = undefined) {
    return this.create('app.bsky.feed.post', { text, createdAt: '2024-02-29T12:00:00.000Z', ...rest },
      rkey);
  }
}

const ref = ({ uri, cid }) => ({ uri, cid });
const link = (text, shown, uri) => {
  const start = Buffer.byteLength(text.slice(0, text.indexOf(shown)));
  return {
    index: { byteStart: start, byteEnd: start + Buffer.byteLength(shown) },
    features: [{ $type: 'app.bsky.richtext.facet#link', uri }],
  };
};

// Six digits of a timestamp identifier, which sort as the numbers do.
const tidDigits = (number) => [25, 20, 15, 10, 5, 0]
  .map((shift) => '234567abcdefghijklmnopqrstuvwxyz'[(number >> shift) & 31]).join('');

async function fill(alice, bob) {
  const theirs = await bob.post('What does bob say?');
  const hello = await alice.post('Grüße aus Bern 🏔️', { langs: ['de', 'en'] });
  const words = 'grün: example.com/a-long-pa... or here';
  await alice.post(words, {
    langs: ['en'],
    facets: [link(words, 'example.com/a-long-pa...', 'https://example.com/a-long-path?to=it'),
      link(words, 'here', 'https://example.org/')],
  });
  await alice.post('An answer to bob', { reply: { root: ref(theirs), parent: ref(theirs) } });
  const thread = await alice.post('My own thread goes on', {
    reply: { root: ref(hello), parent: ref(hello) },
  });
  await alice.post('An aside on that', { reply: { root: ref(hello), parent: ref(thread) } });
  await alice.post('What I think of it', {
    embed: { $type: 'app.bsky.embed.record', record: ref(theirs) },
  });
  await alice.post('', {
    embed: {
      $type: 'app.bsky.embed.external',
      external: { uri: 'https://example.com', title: 'A page', description: '' },
    },
  });
  const gone = await alice.post('This one is taken back');
  await alice.call('com.atproto.repo.deleteRecord', {
    repo: alice.did, collection: 'app.bsky.feed.post', rkey: gone.uri.split('/').pop(),
  });
  const createdAt = '2024-03-01T08:00:00Z';
  await alice.create('app.bsky.feed.repost', { subject: ref(theirs), createdAt });
  await alice.create('app.bsky.feed.like', { subject: ref(theirs), createdAt });
  await alice.create('app.bsky.graph.follow', { subject: bob.did, createdAt });
  await alice.create('app.bsky.actor.profile', { displayName: 'Alice' }, 'self');
  const { rev: middle } = await (await fetch(
    `${alice.service}/xrpc/com.atproto.sync.getLatestCommit?did=${alice.did}`)).json();
  for (let begin = 0; begin < Number(posts); begin += 100) {
    const writes = [];
    for (let i = begin; i < Math.min(begin + 100, Number(posts)); ++i) {
      writes.push({
        $type: 'com.atproto.repo.applyWrites#create',
        collection: 'app.bsky.feed.post',
        rkey: `3kplain${tidDigits(i)}`,
        value: {
          $type: 'app.bsky.feed.post',
          text: `Plain post number ${i}, of which there are many`,
          createdAt: new Date(Date.UTC(2024, 3, 1) + i * 1000).toISOString(),
        },
      });
    }
    await alice.call('com.atproto.repo.applyWrites', { repo: alice.did, writes });
  }
  return middle; // the revision before the plain posts
}

const plcUrl = await startPlc();
const { service, jwtSecret, restart } = await startPds(plcUrl);
const alice = await Account.create(service, 'alice');
const bob = await Account.create(service, 'bob');
const middle = await fill(alice, bob);
console.log(JSON.stringify({
  plc: plcUrl, service, jwtSecret, alice: alice.did, bob: bob.did, handle: alice.handle, middle,
}));
for await (const line of createInterface({ input: process.stdin })) {
  await restart(Number(line.split(' ')[1]));
  console.log('{}');
}
process.exit(0);
