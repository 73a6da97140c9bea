// Gateways whose network to the broker loses all packets for a time, started by cut.sh.
//     sh tests/gateway/cut.sh redis build/gateway-asan [PART OF A TEST NAME]
// SEED=n chooses the moments at which it is cut.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { BROKERS, daemon, folder, startHaproxy } from './brokers.mjs';
import { Crowd } from './crowd.mjs';
import { PollReader, SseReader } from './readers.mjs';
import { fresh, healthy, metric, postAll } from './gateways.mjs';
import {
  afterTest, call, check, equal, run, runAll, sleep, startServer, test, until,
} from '../clients/harness.mjs';

const [name, binary, only] = process.argv.slice(2);
const broker = BROKERS[name];
const peer = process.env.RTPUSH_PEER;
if (!broker || !binary || !peer) {
  console.log('usage: sh tests/gateway/cut.sh redis|nats|rabbit GATEWAY');
  process.exit(2);
}

const TOPICS = ['a', 'b', 'c'];
const READERS = Number(process.env.READERS ?? 15);
const PACE_MS = 150; // at most, between two events of a topic
const CUT_MS = 8_000;
const LINKS = [1, 2, 3]; // of the gateways 0, 1 and 2 to the broker
const THERE = ['-t', peer, '-n'];

let state = Number(process.env.SEED ?? Date.now() % 1_000_000);
const seed = state;
function random(limit) { // MINSTD
  state = (state * 48271) % 2147483647;
  return state % limit;
}

// -- the network ----------------------------------------------------------------------------------

async function command(program, args) {
  const { code, text } = await run(program, args);
  equal(code, 0, `${program} ${args.join(' ')}: ${text}`);
}

// Packets go to a hardware address that nobody has, in both directions, and whoever gets them drops
// them. (What a queue of the sender drops, its TCP hears of, and gives up in seconds.) cut.sh has
// given the ends of a link 01 and 02.
async function setLinks(links, dropped) {
  await Promise.all(links.flatMap((link) => {
    const args = (end) => ['neigh', 'replace', `10.9.${link}.${end}`, 'lladdr',
      `02:00:00:00:0${link}:${dropped ? 'ff' : `0${end}`}`, 'dev', `link${link}`, 'nud',
      'permanent'];
    return [command('ip', args(2)), command('nsenter', [...THERE, 'ip', ...args(1)])];
  }));
}

const isCut = new Set();
async function cut(links) {
  await setLinks(links, true);
  links.forEach((link) => isCut.add(link));
}

async function heal() {
  const links = [...isCut];
  isCut.clear();
  await setLinks(links, false);
}

// Waits for what takes seconds: a look costs more than that.
const eventually = (what, probe, ms) => until(what, async () => {
  await sleep(250);
  return probe();
}, ms);

// -- what is there --------------------------------------------------------------------------------

const reachedBy = (url, link) => url.replace('127.0.0.1', `10.9.${link}.1`);

// A gateway in the other namespace, on a source or a feed that is reached by this link.
function startGateway(port, ...args) {
  return startServer('nsenter', ...THERE, binary, '--host', '10.9.0.2', '--port', port,
    '--check-ms', 300, '--drain-s', 1, '--log', 1 << 20, ...args);
}

const isUp = async (g) => (await metric(g, 'source_up')) === 1;
const all = async (gs, probe) => (await Promise.all(gs.map(probe))).every(Boolean);
const statusOf = (r) => {
  const last = r.events.filter((e) => e.topic === 'status').at(-1);
  return last && JSON.parse(last.data).source;
};

// Cuts some gateways off and joins them again.
async function cutOff(which, { gs, readers, pages }) {
  const others = gs.filter((g, i) => !which.includes(i));
  const cutGateways = which.map((i) => gs[i]);
  const streams = readers.filter((r) => !(r instanceof PollReader));
  await sleep(500 + random(1500));
  const opened = [...streams, ...pages].map((r) => r.opened);
  const began = Date.now();
  await cut(which.map((i) => LINKS[i]));
  await eventually('the gateways to notice', () => all(cutGateways, async (g) => !(await isUp(g))));
  await until('their pages to be told', () => which.every((i) => statusOf(pages[i]) === 'away'));
  await sleep(Math.max(0, CUT_MS - (Date.now() - began)));
  for (const g of gs) {
    equal((await call(`${g.url}/healthz`)).status, 200, 'healthz, for 30 s');
  }
  check(await all(others, isUp), 'another gateway lost its source');
  equal([...streams, ...pages].map((r) => r.opened), opened, 'streams that were opened, by reader');
  await heal();
  await eventually('the gateways to be back', () => all(gs, isUp), 20_000);
  await until('all pages to be told', () => pages.every((r) => statusOf(r) === 'up'), 20_000);
}

test(`${READERS} readers of gateways that are cut off from ${name} miss nothing and stay`,
  async () => {
    const b = await broker.start({ durable: true });
    afterTest(heal);
    const gs = [];
    for (const [i, link] of LINKS.entries()) {
      gs.push(await healthy(await startGateway(8100 + i, '--status', 'status', '--publish-ms', 3000,
        reachedBy(b.url, link))));
    }
    const proxy = await startHaproxy(gs.map((g) => g.url.slice('http://'.length)));
    const url = `http://127.0.0.1:${proxy.port}`;
    await healthy({ url });
    const crowd = new Crowd(url, TOPICS, READERS);
    const { readers } = crowd;
    const pages = gs.map((g, i) => new SseReader(g.url, ['status'], i));
    afterTest(() => [...readers, ...pages].forEach((r) => r.stop()));
    pages.forEach((r) => r.start());
    await crowd.allOpen();
    await until('the status', () => pages.every((r) => statusOf(r) === 'up'));

    const repeated = {};
    const posted = {};
    let total = Infinity;
    const posts = Promise.all(TOPICS.map((t) => postAll(url, t, (n) => {
      posted[t] = n;
      return n < total;
    }, { count: repeated, pause: () => sleep(random(PACE_MS)) })));
    await cutOff([random(3)], { gs, readers, pages });
    await cutOff([0, 1, 2], { gs, readers, pages });
    total = Math.max(...Object.values(posted)) + 10;
    await posts;
    await crowd.haveAll(total, `seed ${seed}`, `posts ${JSON.stringify(repeated)}`);
    check(repeated[503] > 0, `no POST was refused: ${JSON.stringify(repeated)}`);
    [...readers, ...pages].forEach((r) => r.stop());
    await Promise.all(gs.map((g) => g.stop()));
  }, 180_000);

test(`a gateway that stays cut off from ${name} is not healthy, and its pages leave`, async () => {
  const b = await broker.start({ durable: true });
  afterTest(heal);
  const g = await healthy(await startGateway(8110, '--away-s', 2, '--drain-s', 2,
    reachedBy(b.url, 1)));
  const readers = [await fresh(g), await fresh(g), await fresh(g)];
  await cut([1]);
  await eventually('404', async () => (await call(`${g.url}/healthz`)).status === 404, 20_000);
  equal(readers.filter((r) => r.closed).length, 0, 'streams that were closed');
  await until('all streams to end', () => readers.every((r) => r.closed), 20_000);
  await heal();
  await healthy(g, 20_000);
  await g.stop();
}, 60_000);

// Each attempt to connect has a limit of its own: that of the system is 127 s.
async function feedIsCut(args) {
  const at = await folder('mosquitto');
  const port = 1883;
  await writeFile(join(at, 'conf'), `listener ${port} 0.0.0.0
allow_anonymous true
user root
`);
  await daemon('mosquitto', ['-c', join(at, 'conf')], port);
  const b = await broker.start();
  afterTest(heal);
  const put = (text) => command('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(port), '-q', '1',
    '-t', 'home/a', '-m', text]);
  const g = await healthy(await startGateway(8111, reachedBy(b.url, 2), '--from',
    `mqtt://10.9.1.1:${port}/home/#${args}`));
  const feed = (what) => metric(g, `feed_${what}{feed="1"}`);
  const r = await fresh(g);
  await until('the feed', async () => await feed('up') === 1);
  await put('before');
  await r.wait('the event', () => r.events.some((e) => e.data === 'before'));
  await cut([1]);
  const began = Date.now();
  await eventually('the feed to be away', async () => await feed('up') === 0, 20_000);
  const ended = await feed('failures');
  await eventually('two attempts to end', async () => await feed('failures') >= ended + 2, 30_000);
  check(Date.now() - began < 100_000, `${Date.now() - began} ms`);
  await put('meanwhile');
  await heal();
  await eventually('the feed to be back', async () => await feed('up') === 1, 20_000);
  await put('after');
  await r.wait('the event', () => r.events.some((e) => e.data === 'after'));
  equal(await metric(g, 'source_connects'), 1, 'connections to the source');
  equal(r.notices, ['fresh'], 'notices');
  r.close();
  await g.stop();
  return r.events.map((e) => e.data);
}

if (name === 'redis') {
  test('a feed of MQTT that is cut off is noticed, and tried again until it is back', async () => {
    equal(await feedIsCut(''), ['before', 'after'], 'events');
  }, 120_000);

  test('a session of MQTT 5 that was cut off brings what came meanwhile', async () => {
    equal(await feedIsCut('?v=5&session=one'), ['before', 'meanwhile', 'after'], 'events');
  }, 120_000);
}

await broker.prepare?.();
runAll(only);
