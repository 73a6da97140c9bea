// Readers over the three transports that come back by themselves, as pages do, and keep what they
// were told: `seen` has the events in order, { topic, data, id }, and { notice } where something
// was missed. In a crowd it is a Ledger, which keeps nothing (crowd.mjs).
import http from 'node:http';
import { createRequire } from 'node:module';
import { call, EventParser, noticesOf, sleep } from '../clients/harness.mjs';

const require = createRequire(new URL('../clients/', import.meta.url));
const WebSocket = require('ws');
const { EventSource } = require('eventsource');

const again = (n) => sleep(100 + (n * 37) % 200);

class Reader {
  constructor(url, topics, number, seen = []) {
    this.url = url;
    this.topics = topics;
    this.number = number;
    this.seen = seen;
    this.id = '';
    this.opened = 0;
    this.codes = []; // with which its WebSockets were closed
    this.closed = false;
  }

  query(id) {
    return `topics=${this.topics.join(',')}${id ? `&last_event_id=${id}` : ''}`;
  }

  take(topic, data, id) {
    const before = this.id;
    if (id) {
      this.id = id;
    }
    if (topic !== 'rtpush') {
      this.seen.push({ topic, data, id });
    } else if (data !== '') {
      const [notice] = noticesOf([{ event: topic, data }]);
      this.last = notice;
      if (/^(gap|reset)/.test(notice)) {
        this.seen.push({ notice, text: `${notice} at ${id} after ${before}` });
      }
    }
  }

  get events() { return this.seen.filter((e) => !e.notice); }

  get notices() { return this.seen.filter((e) => e.notice).map((e) => e.text); }
}

// The package eventsource. It gives up after an answer that is no event stream (WHATWG HTML
// 9.2.3); then a page has to make a new one.
export class SseReader extends Reader {
  cut() {
    this.source.close();
    this.start();
  }

  start() {
    if (this.closed) {
      return;
    }
    const source = new EventSource(`${this.url}/events?${this.query(this.id)}`);
    this.source = source;
    source.onopen = () => { this.opened += 1; };
    for (const name of [...this.topics, 'rtpush']) {
      source.addEventListener(name, (e) => this.take(name, e.data, e.lastEventId));
    }
    source.onerror = async () => {
      if (source.readyState === 2) {
        source.close();
        await again(this.number);
        this.start();
      }
    };
  }

  stop() {
    this.closed = true;
    this.source.close();
  }
}

// RFC 6455 with rtpush.1: "id SP topic LF payload", an id alone, or nothing.
export class WsReader extends Reader {
  cut() { this.ws.terminate(); }

  start() {
    if (this.closed) {
      return;
    }
    const url = `${this.url.replace('http', 'ws')}/ws?${this.query(this.id)}`;
    const ws = new WebSocket(url, 'rtpush.1');
    this.ws = ws;
    ws.on('open', () => { this.opened += 1; });
    ws.on('message', (bytes) => {
      const text = bytes.toString();
      const m = /^(\S+) (\S+)\n([^]*)$/.exec(text);
      if (m) {
        this.take(m[2], m[3], m[1]);
      } else if (text !== '') {
        this.id = text;
      }
    });
    ws.on('error', () => {});
    ws.on('close', async (code) => {
      this.codes.push(code);
      await again(this.number);
      this.start();
    });
  }

  stop() {
    this.closed = true;
    this.ws.terminate();
  }
}

// It keeps its connection from poll to poll, as browsers do (RFC 9112 9.3). In a crowd the first
// two ask again at once, the others get what came in 100 ms with one answer.
export class PollReader extends Reader {
  constructor(...args) {
    super(...args);
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  }

  // Its next request is on a new connection, and may go elsewhere.
  cut() { this.agent.destroy(); }

  async start() {
    while (!this.closed) {
      try {
        const a = await call(`${this.url}/poll?timeout=3&${this.query(this.id)}`,
          { agent: this.agent });
        if (a.status === 200) {
          this.opened += 1;
          const parser = new EventParser();
          parser.push(a.body);
          for (const e of parser.events) {
            this.take(e.event, e.data, e.id);
          }
          this.id = parser.lastId || this.id;
          if (this.number > 5) {
            await sleep(100);
          }
        } else {
          await again(this.number);
        }
      } catch {
        await again(this.number);
      }
    }
  }

  stop() {
    this.closed = true;
    this.agent.destroy();
  }
}

export const KINDS = [SseReader, WsReader, PollReader];
