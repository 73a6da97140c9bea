// Pages in front of a gateway whose source is a device: firmware on an emulated board with 64 KB of
// RAM. The device has one connection, the pages get what it says or are told what they missed.
//     node tests/gateway/device.test.mjs '{"board":"lm3s6965evb","elf":...,"seedAt":...}' GATEWAY
import process from 'node:process';
import { SseReader, WsReader } from './readers.mjs';
import { command, Ledger, startTarget } from '../clients/device.mjs';
import {
  afterTest, call, check, equal, freePort, runAll, startProxy, startServer, test, until,
} from '../clients/harness.mjs';

const [how, binary, only] = process.argv.slice(2);
if (!binary) {
  console.log('usage: device.test.mjs \'{"board":..., "elf":...}\' GATEWAY [PART OF A TEST NAME]');
  process.exit(2);
}
// The EVENT topics of examples/dashboard: together they have all ids.
const TOPICS = ['sample', 'log', 'burst'];

// A page that follows the ids: each event is the one behind the last, or a notice says how many are
// missing.
function paged(Reader) {
  return class extends Reader {
    constructor(url, number) {
      super(url, TOPICS, number);
      this.ledger = new Ledger(`${Reader.name} ${number}`);
    }

    take(topic, data, id) {
      super.take(topic, data, id);
      this.ledger.take(id || this.id, topic, data); // npm eventsource does not keep the last one
    }
  };
}
const KINDS = [paged(SseReader), paged(WsReader)];

async function startGateway(url, port) {
  const g = await startServer(binary, '--port', port, '--topics', TOPICS.join(','), '--conns', 250,
    '--check-ms', 0, '--drain-s', 0, url);
  await until('the gateway to have caught up', async () => (
    (await call(`${g.url}/healthz`)).status === 200), 20_000);
  return g;
}

async function openPages(url, count) {
  const pages = [...Array(count).keys()].map((i) => new KINDS[i % 2](url, i));
  afterTest(() => pages.forEach((p) => p.stop()));
  for (let i = 0; i < count; i += 20) {
    pages.slice(i, i + 20).forEach((p) => p.start());
    await until('their notices', () => pages.slice(0, i + 20).every((p) => p.ledger.notices.length),
      20_000);
  }
  return pages;
}

// The newest id of the device, once nothing more is published.
async function quiet(device) {
  await command(device, 'pause 1');
  let last = '';
  return until('the device to be quiet', async () => {
    const before = last;
    last = (await call(`${device.url}/ping`)).body;
    return last === before && last;
  }, 20_000);
}

// All pages are at this id, by events and notices that leave nothing out.
async function arrive(pages, id) {
  const [epoch, seq] = [id.slice(0, 8), parseInt(id.slice(9), 16)];
  const late = () => pages.filter(({ ledger: l }) => l.epoch !== epoch || l.seq !== seq);
  await until(`all pages to be at ${id}`, () => late().length === 0, 30_000).catch((error) => {
    const l = late()[0]?.ledger;
    throw new Error(`${error.message}: ${late().length} are not, ${l?.name} is at ${l?.epoch}-${
      l?.seq?.toString(16)}, ${l?.notices}`);
  });
  pages.forEach((p) => p.ledger.check());
}

// A device, a network that can be cut, a gateway, and pages. `use` gets also what counts the
// device's connections.
function behind(title, count, use) {
  test(title, async () => {
    const device = await startTarget(JSON.parse(how));
    const network = await startProxy(device.port);
    const url = `${network.url}/events?topics=${TOPICS.join(',')}`;
    const gateway = {};
    gateway.again = async (port) => Object.assign(gateway, await startGateway(url, port));
    await gateway.again(await freePort());
    const pages = await openPages(gateway.url, count);
    await use({ device, network, gateway, pages });
    pages.forEach((p) => p.stop());
    await gateway.stop();
    device.alive();
    check(!/fault|assert/i.test(device.log()), `the log says: ${device.log().slice(-800)}`);
    await device.stop();
  }, 120_000);
}

behind('200 pages are one connection of the device, and each gets all events in order', 200,
  async ({ device, network, pages }) => {
    let most = 0;
    const watch = setInterval(() => { most = Math.max(most, network.connections); }, 5);
    await command(device, 'period 200');
    await command(device, 'burst 400');
    await until('the burst', () => pages[0].last && pages.every(
      (p) => /"n":400,/.test(p.ledger.last.burst ?? '')), 30_000);
    await arrive(pages, await quiet(device));
    clearInterval(watch);
    equal(most, 1, 'connections of the device at a time');
    // What it counts itself, in the value that it published before this request came.
    const counts = /^data: (.*"streams".*)$/m.exec(
      (await call(`${device.url}/poll?topics=server&timeout=2`)).body);
    equal(JSON.parse(counts[1]).streams, 1, 'streams of the device');
    // What the device gave up before its one reader had it is a gap for every page alike.
    const [{ ledger }] = pages;
    check(ledger.bursts.length > 200, `${ledger.bursts.length} of the burst, ${ledger.notices}`);
    const { id } = pages.at(-1).events[0];
    const since = (p) => p.seen.slice(p.seen.findIndex((e) => e.id === id));
    for (const p of pages) {
      equal(since(p), since(pages[0]), p.ledger.name);
    }
  });

behind('while the network to the device is cut no page notices, and nothing is missing', 20,
  async ({ device, network, pages }) => {
    await command(device, 'period 200');
    for (let i = 0; i < 3; i++) {
      network.cut();
      const { events } = pages[0].ledger;
      await until('events', () => pages.every((p) => p.ledger.events > events + 3), 30_000);
    }
    await arrive(pages, await quiet(device));
    pages.forEach((p) => equal([p.opened, p.ledger.notices], [1, ['fresh']], p.ledger.name));
  });

behind('pages of a gateway that is killed go on at the one in its place', 20,
  async ({ device, gateway, pages }) => {
    await command(device, 'period 200');
    const { port, child, ended } = gateway;
    child.kill('SIGKILL');
    await ended;
    await gateway.again(port);
    await until('all pages to be back', () => pages.every((p) => p.opened > 1), 30_000);
    await arrive(pages, await quiet(device));
    pages.forEach((p) => check(/^replayed/.test(p.ledger.notices[1]), `${p.ledger.notices}`));
  });

behind('a device that restarts is a reset for all pages, which then get its new events', 20,
  async ({ device, network, pages }) => {
    await until('an event', () => pages.every((p) => p.ledger.events > 0), 20_000);
    await device.reset();
    await until('the reset', () => pages.every((p) => p.ledger.notices.length > 1), 30_000);
    await arrive(pages, await quiet(device));
    for (const p of pages) {
      equal([p.opened, p.ledger.notices], [1, ['fresh', 'reset']], p.ledger.name);
      check(p.seen.some((e) => /Server started/.test(e.data)), `${p.ledger.name}: no first event`);
    }
    equal(network.connections, 1, 'connections of the device');
  });

runAll(only);
