// rtpush.js - v0.1 - the page's side of rtpush.h - MIT-0 or public domain
//
// One ES module without dependencies: receives what rtpush_publish sends, over the best transport
// that works, reconnects by itself and resumes where it stopped. README.md beside this file has an
// example and the table of options.
//
//     import { connect } from './rtpush.js';
//     connect({ topics: ['temp'], onEvent: (topic, data) => console.log(topic, data) });
//
// Terms. A *record* is one event or STATE value: topic, payload, id. A *notice* is the record with
// the topic "rtpush" that begins every stream: "fresh", "replayed 3", "gap 12" or "reset". An *id*
// is a place in the server's log. It is opaque here: kept, and given back when reconnecting.
//
// A connection is "up" when its notice has arrived, not when the transport says open: only then is
// it known that records come through, and not, say, end in a proxy's buffer.
//
//     connecting --notice--> open --lost--> waiting --backoff--> connecting
//     any --page hidden for hiddenMs, or put away--> hidden --shown again--> connecting
//     any --close()--> closed

const TRANSPORTS = ['websocket', 'sse', 'poll']; // the order of falling back
const NOTICE = 'rtpush';
const RECORD = /^([0-9a-f]{8}-[0-9a-f-]+)(?: ([\w.-]{1,32})\n|$)/; // id and topic of rtpush.1
const RECORD_MAX = 96; // characters of that line, and some

const DEFAULTS = {
    url: '',              // base that the paths are relative to; '' is the page's own address
    paths: {
        websocket: 'ws',
        sse: 'events',
        poll: 'poll',
        control: 'control', // send() posts here where there is no WebSocket
        ping: 'ping',       // any small GET: tells "server down" from "transport blocked"
    },
    topics: [],           // names; an EventSource hears only the events it listens for
    transport: 'auto',    // or one of TRANSPORTS
    lastEventId: '',      // resume from here
    ticket: null,         // async () => text: asked before each connection, sent as ?ticket=
    ping: false,          // measure the round trip: see README.md for what the server must answer
    pingMs: 5000,         // between two measurements
    silenceMs: 45000,     // WebSocket: silence before an unanswered ping means a dead connection
    establishMs: 10000,   // for a connection to come up
    backoffMs: 500,       // first wait; doubles up to
    backoffMaxMs: 15000,
    stableMs: 5000,       // up for this long: the next loss starts again from backoffMs
    pollS: 20,            // longest wait of one long poll, in seconds
    hiddenMs: 120000,     // a hidden page gives its slot back after this; 0: never
    onEvent() {},         // (topic, data, id): data is text, or a Uint8Array for a binary topic
    onNotice() {},        // (kind, n): 'fresh' | 'replayed' | 'gap' | 'reset'
    onGap() {},           // (n): events this page will never see
    onReset() {},         // the server started again: ids and events are new
    onMessage() {},       // (data): what rtpush_send gave to this connection alone: text, or a
                          // Uint8Array
    onState() {},         // (status): see Client.status
};

export function connect(options = {}) {
    return new Client(options);
}

// -- parsing --------------------------------------------------------------------------------------

// Server-Sent Events, WHATWG HTML 9.2.6, for an answer that is complete: calls
// onRecord(topic, data, id) for each event and returns the last id, which a block without data
// also sets.
export function parseEvents(text, lastId, onRecord) {
    let topic = '';
    let data = [];
    let id = lastId;
    // A block that the end of the text cuts off is not dispatched: the standard drops it too.
    const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
    lines.pop();
    for (const line of lines) {
        if (line === '') {
            lastId = id;
            if (data.length > 0) {
                onRecord(topic || 'message', data.join('\n'), lastId);
            }
            topic = '';
            data = [];
            continue;
        }
        const colon = line.indexOf(':');
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') {
            topic = value;
        } else if (field === 'data') {
            data.push(value);
        } else if (field === 'id' && !value.includes('\0')) {
            id = value;
        }
    }
    return lastId;
}

// rtpush.1, a message from the server: { id, topic, data } is a record, { id } alone a position,
// { data } alone what the application sent, which begins with "=". Null: none of these.
export function parseMessage(message) {
    const bytes = typeof message === 'string' ? null : new Uint8Array(message);
    const head = bytes ? String.fromCharCode(...bytes.subarray(0, RECORD_MAX)) : message;
    const rest = (from) => (bytes ? bytes.subarray(from) : message.slice(from));
    if (head[0] === '=') {
        return { data: rest(1) };
    }
    const match = RECORD.exec(head);
    if (!match) {
        return null;
    }
    const [begin, id, topic] = match;
    return topic ? { id, topic, data: rest(begin.length) } : { id };
}

// -- transports -----------------------------------------------------------------------------------
// Each opens at once and reports to a sink: record(topic, data, id), direct(data), pending()
// (trying again by itself), answered(lastId) (a position) and down(status), the last call. It
// returns { close, send? }; after close() the sink hears nothing more. `extra` goes into the query.

function openWebSocket(target, sink, extra) {
    const socket = new WebSocket(target.address('websocket', extra), 'rtpush.1');
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => {
        const { id, topic, data } = parseMessage(event.data) ?? {};
        if (topic) {
            sink.record(topic, data, id);
        } else if (id) {
            sink.answered(id);
        } else if (data !== undefined) {
            sink.direct(data);
        }
    };
    socket.onclose = () => sink.down(0);
    return {
        send: (text) => socket.send(text),
        close() {
            socket.onmessage = null;
            socket.onclose = null;
            socket.close();
        },
    };
}

// An EventSource comes back by itself after most failures, with the id it saw last (also the ids of
// blocks without data, which a script never sees). It gives up for good on a status other than 200:
// then it is CLOSED and the client opens another. With a ticket it must not come back by itself:
// its address holds once.
function openEvents(target, sink, extra) {
    const source = new EventSource(target.address('sse', extra));
    const onRecord = ({ type, data, lastEventId }) => sink.record(type, data, lastEventId);
    for (const topic of [NOTICE, ...target.topics]) {
        source.addEventListener(topic, onRecord);
    }
    source.onerror = () => {
        if (source.readyState === EventSource.CLOSED || extra.ticket) {
            source.close();
            sink.down(0);
        } else {
            sink.pending();
        }
    };
    return { close: () => source.close() };
}

// Each event has an id of its own; a STATE value has none, and shows the one before it.
function countEvents(records) {
    return new Set(records.map(([, , id]) => id).filter(Boolean)).size;
}

function openPoll(target, sink, extra) {
    const abort = new AbortController();
    let first = true; // after resuming with nothing missed a poll has no notice: make one
    let seconds = 1;  // an answer comes soon even if nothing happens: it shows that we are up
    const ask = async () => {
        const started = performance.now();
        // A network that died silently leaves a fetch hanging: the server's limit and some is ours.
        const limit = setTimeout(() => abort.abort(), (seconds + 15) * 1000);
        try {
            const query = { timeout: seconds, ...(extra ?? await target.ticket()) };
            extra = null; // the first ticket is used
            const response = await fetch(target.address('poll', query),
                { signal: abort.signal, cache: 'no-store' });
            if (response.status !== 200) {
                return response.status;
            }
            const records = [];
            const id = parseEvents(await response.text(), '', (...record) => records.push(record));
            if (first && !records.some(([topic]) => topic === NOTICE)) {
                records.unshift([NOTICE, `replayed ${countEvents(records)}`, '']);
            }
            first = false;
            records.forEach((record) => sink.record(...record));
            sink.answered(id);
            // Something between us and the server may answer at once with nothing, for ever.
            if (records.length === 0 && performance.now() - started < 250) {
                await new Promise((done) => setTimeout(done, 250));
            }
        } finally {
            clearTimeout(limit);
        }
        return 200;
    };
    const loop = async () => {
        let status = 200;
        try {
            while (status === 200) {
                status = await ask();
                seconds = target.pollS;
            }
        } catch {
            status = 0; // no answer
        }
        sink.down(status);
    };
    loop();
    return { close: () => abort.abort() };
}

const OPEN = { websocket: openWebSocket, sse: openEvents, poll: openPoll };

// -- client ---------------------------------------------------------------------------------------

class Client {
    // What onState gets, a fresh copy each time.
    //   state      'connecting' | 'open' | 'waiting' | 'hidden' | 'closed'
    //   transport  the one in use or being tried
    //   rtt        last round trip in ms, or null
    //   retryAt    Date.now() of the next attempt while waiting, else 0
    //   offline    the browser says that there is no network
    //   received, replayed, missed   events since connect(): all, of those after a reconnect, lost
    //   connects, resets             times up, times the server was found to have started again
    #status = {
        state: 'connecting', transport: 'websocket', rtt: null, retryAt: 0, offline: false,
        received: 0, replayed: 0, missed: 0, connects: 0, resets: 0,
    };
    #options;
    #base;
    #lastId;
    #link = null;         // the open transport
    #generation = 0;      // a late callback of an earlier transport does not count
    #timer = 0;           // establish or backoff
    #attempts = 0;        // for the backoff
    #strikes = 0;         // failures in a row of this transport while the server was reachable
    #proven = new Set();  // transports that were up once on this network
    #upAt = 0;
    #heardAt = 0;
    #ping = null;         // { id, at, late } while a WebSocket ping waits for its answer
    #check = 0;           // timer of the quick question after a change of network
    #pinger = 0;
    #suspect = false;     // a plain request failed while the stream looked fine
    #hider = 0;
    #listeners = [];

    constructor(options) {
        this.#options = { ...DEFAULTS, ...options, paths: { ...DEFAULTS.paths, ...options.paths } };
        this.#base = new URL(this.#options.url, document.baseURI);
        this.#lastId = this.#options.lastEventId;
        this.#listen();
        this.#choose(this.#options.transport);
        this.#visibility();
        // Not before the caller holds the client: its callbacks may want it.
        queueMicrotask(() => this.#status.state === 'connecting' && this.#open());
    }

    get status() {
        return { ...this.#status, offline: navigator.onLine === false };
    }

    get lastEventId() {
        return this.#lastId;
    }

    // 'auto' or one of TRANSPORTS; resumes over the new one.
    setTransport(transport) {
        this.#choose(transport);
        this.reconnect();
    }

    // Drops the connection and opens another one after delayMs.
    reconnect(delayMs = 0) {
        if (this.#status.state === 'closed') {
            return;
        }
        this.#attempts = 0;
        this.#wait(delayMs);
    }

    close() {
        for (const [target, name, handler] of this.#listeners) {
            target.removeEventListener(name, handler);
        }
        clearTimeout(this.#hider);
        this.#drop();
        this.#change({ state: 'closed', rtt: null, retryAt: 0 });
    }

    // Text to the server: a WebSocket message, or a POST to paths.control. Resolves when handed
    // over (WebSocket) or answered with 2xx (POST).
    async send(text) {
        if (this.#status.state === 'open' && this.#link.send) {
            this.#link.send(text);
            return;
        }
        const response = await fetch(this.#plain('control'), {
            method: 'POST', body: text, headers: { 'Content-Type': 'text/plain' },
        });
        if (!response.ok) {
            throw new Error(`${response.status} ${await response.text()}`.trim());
        }
    }

    // -- addresses, as transports see the client --

    get topics() {
        return this.#options.topics;
    }

    get pollS() {
        return this.#options.pollS;
    }

    // What a new connection brings along: { ticket }, or nothing.
    async ticket() {
        const { ticket } = this.#options;
        return ticket ? { ticket: encodeURIComponent(await ticket()) } : {};
    }

    // A stream's address. Commas and ids need no escaping, and a short query fits a small server.
    address(transport, extra = {}) {
        const url = this.#plain(transport);
        if (transport === 'websocket') {
            url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
        }
        const query = url.search ? [url.search.slice(1)] : [];
        if (this.topics.length > 0) {
            query.push(`topics=${this.topics.join(',')}`);
        }
        if (this.#lastId) {
            query.push(`last_event_id=${encodeURIComponent(this.#lastId)}`);
        }
        for (const [name, value] of Object.entries(extra)) {
            query.push(`${name}=${value}`);
        }
        url.search = query.join('&');
        return url;
    }

    #plain(name) {
        return new URL(this.#options.paths[name], this.#base);
    }

    #choose(transport) {
        if (transport !== 'auto' && !TRANSPORTS.includes(transport)) {
            throw new RangeError(`rtpush: no transport "${transport}"`);
        }
        this.#options.transport = transport;
        this.#status.transport = transport === 'auto' ? TRANSPORTS[0] : transport;
        this.#forget();
    }

    // -- connecting --

    async #open() {
        this.#drop();
        const generation = this.#generation;
        const { transport } = this.#status;
        this.#change({ state: 'connecting', retryAt: 0 });
        this.#establish();
        let extra = {};
        if (this.#options.ticket) {
            extra = await this.ticket().catch(() => null);
            if (generation !== this.#generation) {
                return; // closed, hidden or too late
            }
            if (extra === null) {
                this.#wait(this.#backoff()); // says nothing about the transport
                return;
            }
        }
        try {
            this.#link = OPEN[transport](this, this.#sink(generation), extra);
        } catch {
            this.#lost(0); // the browser lacks it, or a policy of the page forbids the address
        }
    }

    #establish() {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#lost(0), this.#options.establishMs);
    }

    // Ends the transport without a word; whatever it still says is of an earlier generation.
    #drop() {
        this.#generation++;
        clearTimeout(this.#timer);
        clearInterval(this.#pinger);
        const link = this.#link;
        this.#link = null;
        link?.close();
    }

    #sink(generation) {
        const current = () => generation === this.#generation;
        return {
            record: (topic, data, id) => current() && this.#record(topic, data, id),
            direct: (data) => current() && this.#direct(data),
            pending: () => current() && this.#pending(),
            down: (status) => current() && this.#lost(status),
            answered: (id) => {
                if (current()) {
                    this.#heard();
                    this.#lastId = id || this.#lastId;
                    this.#up();
                }
            },
        };
    }

    #up() {
        if (this.#status.state === 'open') {
            return;
        }
        clearTimeout(this.#timer);
        this.#strikes = 0;
        this.#proven.add(this.#status.transport);
        this.#upAt = Date.now();
        this.#suspect = false;
        this.#ping = null;
        this.#change({ state: 'open', retryAt: 0, connects: this.#status.connects + 1 });
        if (this.#options.ping) {
            clearInterval(this.#pinger);
            this.#pinger = setInterval(() => this.#measure(), this.#options.pingMs);
            // The first one soon, but behind the records that come first: it would wait for them.
            this.#timer = setTimeout(() => this.#measure(), Math.min(1000, this.#options.pingMs));
        }
    }

    // Only the first failure starts the clock: while the server is down an EventSource tries at a
    // fixed pace, and after establishMs the backoff takes over.
    #pending() {
        if (this.#status.state === 'open') {
            clearInterval(this.#pinger);
            this.#change({ state: 'connecting', rtt: null });
            this.#establish();
        }
    }

    // The transport failed, or never came up. In 'auto', a transport that fails while a plain
    // request gets through is blocked somewhere on the way: try the next one. If nothing gets
    // through the server is down, and the same transport is right when it is back.
    async #lost(status) {
        const wasUp = this.#status.state === 'open';
        if (wasUp && Date.now() - this.#upAt > this.#options.stableMs) {
            this.#attempts = 0;
        }
        this.#drop();
        const generation = this.#generation;
        let moved = false;
        this.#change({ state: 'waiting', rtt: null, retryAt: 0 });
        const auto = this.#options.transport === 'auto';
        if (auto && !wasUp && (status > 0 || await this.#reachable())) {
            if (generation !== this.#generation) {
                return; // closed, hidden or told to reconnect meanwhile
            }
            moved = this.#strike();
        }
        if (generation === this.#generation) {
            this.#wait(moved ? 0 : this.#backoff());
        }
    }

    // One failure more; three for a transport that has worked here. True: move on at once.
    #strike() {
        const { transport } = this.#status;
        if (++this.#strikes < (this.#proven.has(transport) ? 3 : 1)) {
            return false;
        }
        this.#strikes = 0;
        const next = TRANSPORTS.indexOf(transport) + 1;
        this.#status.transport = TRANSPORTS[next % TRANSPORTS.length];
        return next < TRANSPORTS.length; // after a whole round wait like everybody else
    }

    async #reachable() {
        try {
            await fetch(this.#plain('ping'),
                { cache: 'no-store', signal: AbortSignal.timeout(this.#options.establishMs) });
            return true; // any status: somebody answers
        } catch {
            return false;
        }
    }

    // Exponential, and spread over half of it: pages that a restart threw out together must not
    // come back together.
    #backoff() {
        const { backoffMs, backoffMaxMs } = this.#options;
        const most = Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(this.#attempts++, 16));
        return most * (0.5 + Math.random() / 2);
    }

    #wait(delayMs) {
        this.#drop();
        if (delayMs === 0) {
            this.#open();
            return;
        }
        this.#change({ state: 'waiting', rtt: null, retryAt: Date.now() + delayMs });
        this.#timer = setTimeout(() => this.#open(), delayMs);
    }

    #forget() {
        this.#proven.clear();
        this.#strikes = 0;
        this.#attempts = 0;
    }

    // -- receiving --

    #heard() {
        this.#heardAt = performance.now();
    }

    #record(topic, data, id) {
        this.#heard();
        this.#lastId = id || this.#lastId;
        if (topic === NOTICE) {
            this.#notice(data);
            return;
        }
        this.#status.received++;
        this.#options.onEvent(topic, data, id);
    }

    #notice(text) {
        if (!text) {
            return; // a keep-alive
        }
        const [kind, ...numbers] = text.split(' ').map((word, i) => (i ? Number(word) : word));
        const n = numbers.length > 1 ? numbers[0] : 0; // the last one is the keep-alive period
        // Every answer of a long poll may have a notice of its own: what it calls replayed is
        // simply what is new, unless we come from somewhere else.
        const again = this.#status.transport === 'poll' && this.#status.state === 'open';
        if (kind === 'gap') {
            this.#status.missed += n;
        } else if (kind === 'reset') {
            this.#status.resets++;
        } else if (kind === 'replayed' && !again) {
            this.#status.replayed += n;
        }
        if (!again || kind === 'gap' || kind === 'reset') {
            this.#options.onNotice(kind, n);
        }
        if (kind === 'gap') {
            this.#options.onGap(n);
        } else if (kind === 'reset') {
            this.#options.onReset();
        }
        if (this.#status.state === 'open') {
            this.#change({});
        } else {
            this.#up();
        }
    }

    #direct(data) {
        this.#heard();
        if (this.#ping && data === `pong ${this.#ping.id}`) {
            const rtt = performance.now() - this.#ping.at;
            this.#ping = null;
            this.#change({ rtt });
            return;
        }
        this.#options.onMessage(data);
    }

    // -- round trip and liveness --
    // A script sees no WebSocket ping, so the application answers a text of ours; elsewhere a small
    // GET is timed. Silence alone means nothing (a quiet topic, a laptop asleep): only a ping that
    // stays unanswered does.

    #measure() {
        if (this.#status.state !== 'open') {
            return;
        }
        if (this.#link.send) {
            this.#measureSocket();
        } else if (!document.hidden) {
            this.#measureRequest();
        }
    }

    #measureSocket() {
        const now = performance.now();
        if (this.#ping === null) {
            this.#ping = { id: Math.floor(now), at: now, late: 0 };
            this.#link.send(`ping ${this.#ping.id}`);
            return;
        }
        // Late twice in a row of our own timer: the time a machine slept is not the server's.
        const silent = now - Math.max(this.#heardAt, this.#ping.at);
        this.#ping.late = silent > this.#options.silenceMs ? this.#ping.late + 1 : 0;
        if (this.#ping.late >= 2) {
            this.#lost(0);
        }
    }

    // After sleep or a change of network: an old connection is likely dead, so ask at once and
    // wait for less than silenceMs.
    #doubt() {
        if (this.#status.state !== 'open' || !this.#options.ping) {
            return;
        }
        const generation = this.#generation;
        const asked = performance.now();
        this.#ping = null;
        this.#measure();
        clearTimeout(this.#check);
        this.#check = setTimeout(() => {
            if (generation === this.#generation && this.#link?.send && this.#heardAt < asked) {
                this.#lost(0);
            }
        }, this.#options.establishMs);
    }

    async #measureRequest() {
        const generation = this.#generation;
        const start = performance.now();
        let good = false;
        let boot = null;
        try {
            const response = await fetch(this.#plain('ping'),
                { cache: 'no-store', signal: AbortSignal.timeout(this.#options.establishMs) });
            boot = /^([0-9a-f]{8})-[0-9a-f]{8}/.exec(await response.text());
            good = true;
        } catch {
            // Not reachable now. The stream may not know it yet.
        }
        if (generation !== this.#generation || this.#status.state !== 'open') {
            return;
        }
        if (!good) {
            this.#suspect = true;
            return;
        }
        // Reachable again, yet the stream is silent: it died with the network. Or the server is in
        // another boot than the stream: a device that restarts at once has forgotten it, and an
        // EventSource, which never sends, would not notice for as long as the page is open.
        const reborn = boot && this.#lastId && !this.#lastId.startsWith(boot[1]);
        if ((this.#suspect || reborn) && this.#heardAt < start) {
            this.#suspect = false;
            this.reconnect();
            return;
        }
        this.#suspect = false;
        this.#change({ rtt: performance.now() - start });
    }

    // -- the page --

    #listen() {
        const on = (target, name, handler) => {
            target.addEventListener(name, handler);
            this.#listeners.push([target, name, handler]);
        };
        // A page in the back/forward cache must hold no connection, or it is not kept there.
        on(window, 'pagehide', () => this.#hide());
        on(window, 'pageshow', (event) => event.persisted && this.#show());
        on(document, 'visibilitychange', () => this.#visibility());
        on(window, 'offline', () => this.#change({}));
        on(window, 'online', () => {
            this.#forget(); // perhaps another network: what was blocked may work here
            this.#change({});
            if (this.#status.state === 'waiting') {
                this.reconnect();
            } else {
                this.#doubt();
            }
        });
    }

    #visibility() {
        clearTimeout(this.#hider);
        if (!document.hidden) {
            this.#show();
        } else if (this.#options.hiddenMs > 0) {
            this.#hider = setTimeout(() => this.#hide(), this.#options.hiddenMs);
        }
    }

    #hide() {
        if (this.#status.state !== 'closed') {
            this.#drop();
            this.#change({ state: 'hidden', rtt: null, retryAt: 0 });
        }
    }

    #show() {
        if (this.#status.state === 'hidden' || this.#status.state === 'waiting') {
            this.reconnect();
        } else {
            this.#doubt();
        }
    }

    #change(fields) {
        Object.assign(this.#status, fields);
        this.#options.onState(this.status);
    }
}
