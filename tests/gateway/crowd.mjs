// A crowd of readers of numbered events, and the judgement of what each of them saw. A large crowd
// is in threads of its own, so that it does not hold up who posts, and what it saw is looked at as
// it comes: 300 readers of 20,000 events would fill the memory with it.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { equal, sleep, until } from '../clients/harness.mjs';
import { KINDS } from './readers.mjs';

// What one reader saw of events whose data is "topic number", each topic from 0 on: their numbers
// follow one another, but behind a notice, and their ids rise. It is the `seen` of a reader.
class Ledger {
  constructor(topics) {
    this.next = new Map(topics.map((t) => [t, 0]));
    this.jumps = new Set(); // topics of which events may be missing here, as the reader was told
    this.told = [];
    this.fault = null;
    this.count = 0;
    this.id = '';
    this.hash = 0; // of all ids, in order
  }

  push({ topic, data, id, notice, text }) {
    if (notice) {
      this.told.push(text);
      this.jumps = new Set(this.next.keys());
      this.id = '';
      return;
    }
    const number = Number(data.slice(topic.length + 1));
    const expected = this.next.get(topic);
    if (number < expected || (number > expected && !this.jumps.has(topic))) {
      this.fault ??= `${topic} ${number} at ${id}, expected ${expected}`;
    }
    if (id <= this.id) {
      this.fault ??= `${topic} ${number} at ${id} after ${this.id}`;
    }
    this.jumps.delete(topic);
    this.next.set(topic, number + 1);
    this.count += 1;
    this.id = id;
    this.hash = (Math.imul(this.hash, 31) + parseInt(id.slice(9), 16)) % 0x7fffffff;
  }

  // Has it the last event of each topic, of which there are `total`?
  has(total) { return [...this.next.values()].every((n) => n >= total); }

  // What was wrong, null if nothing. What the reader was told that it missed is no fault.
  faultAt(total) {
    const [topic, n] = [...this.next].find(([t, next]) => next !== total && !this.jumps.has(t))
      ?? [];
    return this.fault ?? (topic ? `${topic} ends at ${n}` : null);
  }
}

// What readers say together, of events 0 to total - 1 of each topic.
function look(readers, total) {
  const name = (r) => r.constructor.name;
  const faults = readers.map((r) => [r, r.seen.faultAt(total)]).filter(([, fault]) => fault)
    .map(([r, fault]) => `${name(r)}: ${fault}`);
  return {
    opened: readers.filter((r) => r.opened > 0 || r.id).length,
    done: readers.filter((r) => r.seen.has(total)).length,
    least: Math.min(...readers.map((r) => r.seen.count)), // events of the one that has the fewest
    faults,
    told: readers.flatMap((r) => r.seen.told.map((n) => `${name(r)} ${n}`)),
    hashes: [...new Set(readers.map((r) => r.seen.hash))],
    answers: readers.reduce((sum, r) => sum + r.opened, 0),
  };
}

const lookAll = (looks) => ({
  opened: looks.reduce((sum, l) => sum + l.opened, 0),
  done: looks.reduce((sum, l) => sum + l.done, 0),
  least: Math.min(...looks.map((l) => l.least)),
  faults: looks.flatMap((l) => l.faults),
  told: looks.flatMap((l) => l.told),
  hashes: [...new Set(looks.flatMap((l) => l.hashes))],
  answers: looks.reduce((sum, l) => sum + l.answers, 0),
});

const makeReaders = (url, topics, numbers) => numbers.map((i) => (
  new KINDS[i % KINDS.length](url, topics, i, new Ledger(topics))));

// Readers in a thread, which answers each message, the total, with a look.
class Thread {
  constructor(...args) {
    this.worker = new Worker(new URL(import.meta.url), { workerData: args });
    this.waiting = [];
    this.worker.on('message', (answer) => this.waiting.shift().done(answer));
    this.worker.on('error', (error) => {
      this.error = error;
      this.waiting.splice(0).forEach(({ fail }) => fail(error));
    });
  }

  look(total) {
    return new Promise((done, fail) => {
      this.waiting.push({ done, fail });
      if (this.error) {
        fail(this.error);
      }
      this.worker.postMessage(total);
    });
  }
}

const IN_THREADS = 150; // readers, or more
const THREADS = 2;

export class Crowd {
  constructor(url, topics, count) {
    this.count = count;
    const numbers = [...Array(count).keys()];
    this.readers = count < IN_THREADS ? makeReaders(url, topics, numbers) : [];
    this.threads = count < IN_THREADS ? [] : [...Array(THREADS).keys()].map((i) => new Thread(
      url, topics, numbers.filter((n) => Math.trunc(n / KINDS.length) % THREADS === i)));
    this.readers.forEach((r) => r.start());
  }

  async look(total = 0) {
    return lookAll(this.readers.length ? [look(this.readers, total)]
      : await Promise.all(this.threads.map((t) => t.look(total))));
  }

  async allOpen() {
    await until('all readers', async () => {
      await sleep(50);
      return (await this.look()).opened === this.count;
    }, 20_000);
  }

  // Waits for the last events 0 to total - 1 of each topic, then looks at all: each reader has
  // every event once and in order, with the same ids as all others, and was told nothing. run,
  // more: words for a failure.
  async haveAll(total, run, more) {
    await until('all readers to have the last events', async () => {
      await sleep(50);
      return (await this.look(total)).done === this.count;
    }, 30_000).catch(() => {});
    const { faults, told, hashes } = await this.look(total);
    equal(faults.length, 0,
      `${run}: readers with faults: ${faults.slice(0, 3).join('; ')}; ${more}`);
    equal(told.length, 0, `${run}: what readers were told: ${told.slice(0, 5)}`);
    equal(hashes.length, 1, `${run}: how many sequences of ids`);
  }

  stop() {
    this.readers.forEach((r) => r.stop());
    return Promise.all(this.threads.map((t) => t.worker.terminate()));
  }
}

if (!isMainThread) {
  const readers = makeReaders(...workerData);
  parentPort.on('message', (total) => parentPort.postMessage(look(readers, total)));
  readers.forEach((r) => r.start());
}
