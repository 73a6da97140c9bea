// rtpush.js - v0.1 - the browser client of rtpush.h - MIT-0 or public domain
//
// One ES module without dependencies: receives what rtpush_publish sends, over the best transport
// that works, reconnects by itself and resumes where it stopped. README.md beside this file has an
// example and the table of options.
//
//     import { connect } from './rtpush.js';
//     connect({ topics: ['temp'], onEvent: (topic, data) => console.log(topic, data) });
//
// Terms. A *record* is one event or STATE value: topic, payload, id. A *notice* is the record with
// the topic "rtpush" that begins every stream: "fresh 5", "replayed 3 5", "gap 12 5" or "reset 5";
// its last word is the *period*: within so many seconds the server sends something, if only a
// *keep-alive*, a notice without text. An *id* is a position in the server's log; it is
// opaque here: kept, and sent when reconnecting.
//
// A connection is "up" when its notice has arrived, not when the transport says open: only then is
// it known that records arrive, and do not stay in a proxy's buffer, for example. From then on only
// what arrives on the connection counts: after two periods without a byte it is silent, after four
// it is dropped.
//
//     connecting --notice--> open --2 periods--> silent --4 periods--> waiting --> connecting
//     open, silent --lost--> waiting --backoff--> connecting     silent --heard--> open
//     connecting --401, 403--> refused --30 s and more--> connecting
//     connecting --429, 503--> waiting, for the same transport: the server is full
//     any --page hidden for hiddenMs, or page cached--> hidden --shown again--> connecting
//     any --close(), or 204--> closed
//
// For browsers as new as Safari 15, and for workers, which have no document. In Node.js there are
// also no global events, no navigator and no location: functions that need them are left out. No
// secure context is needed: a page of plain http has none.

const TRANSPORTS = ['websocket', 'sse', 'poll']; // the order of falling back
const NEEDED = ['fetch', 'URL', 'AbortController', 'TextDecoder'];
const NOTICE = 'rtpush';
const BUSY = [429, 503]; // the server has no room now: no fault of the transport
const NOT_NOW = /^retry: \d+\n\n$/; // the same to an EventSource, which 503 would end: a whole body
const NOT_NOW_MS = 1000; // for that body, which comes with its head
const RECORD = /^([0-9a-f]{8}-[0-9a-f-]+)(?: ([\w.-]{1,32})\n|$)/; // id and topic of rtpush.1
const RECORD_MAX = 96; // that line is shorter

const DEFAULTS = {
    url: '',              // base that the paths are relative to; '' is the page's own address
    paths: {
        websocket: 'ws',
        sse: 'events',
        poll: 'poll',
        control: 'control', // send() posts here where there is no WebSocket
    },
    topics: [],           // names; an EventSource receives only events with a listener
    transport: 'auto',    // or one of TRANSPORTS
    lastEventId: '',      // resume from here; 'first': all that the log holds
    ticket: null,         // async () => text: asked before each connection, sent as ?ticket=
    establishMs: 10000,   // until a connection is up
    backoffMs: 500,       // first wait; doubles up to
    backoffMaxMs: 15000,
    refusedMs: 30000,     // first wait after 401 or 403; doubles up to ten times that
    stableMs: 5000,       // up for this long: the next loss starts again from backoffMs
    hiddenMs: 120000,     // a hidden page closes its connection after this; 0: never
    // Callbacks, all of them optional. An error in one is reported, and changes nothing here.
    //   onEvent(topic, data, id)  data is text, or a Uint8Array for a binary topic
    //   onNotice(kind, n)         'fresh' | 'replayed' | 'gap' | 'reset' | 'expired'
    //   onGap(n)                  events this page will never see
    //   onReset()                 the server has restarted: ids and events are new
    //   onMessage(data)           what rtpush_send gave to this connection alone: text, or bytes
    //   onRefused(status)         401 or 403, on any transport
    //   onState(status)           see Client.status
};

export function connect(options = {}) {
    const missing = NEEDED.filter((name) => typeof globalThis[name] !== 'function');
    if (missing.length > 0) {
        throw new Error(`rtpush: this browser has no ${missing.join(', ')}`);
    }
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
    // An incomplete block at the end of the text is not dispatched (WHATWG HTML 9.2.6).
    const lines = text.split(/\r\n|\r|\n/);
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

// Resolves to an answer, or to null for none. With correct arguments fetch rejects only for network
// errors and when it is aborted. Nothing else is inside this catch, or an error of our own code
// would count as "the server is down".
const request = (url, signal) => fetch(url, { signal, cache: 'no-store' }).catch(() => null);

// A redirect counts as 401 too: it leads to a login page.
const statusOf = (response) => (response?.redirected ? 401 : response?.status ?? 0);

// Null where the browser has none, or the page's policy forbids the address (DOMException).
function create(name, ...args) {
    try {
        return new globalThis[name](...args);
    } catch (error) {
        if (globalThis[name] && !(error instanceof DOMException)) {
            throw error;
        }
        return null;
    }
}

// -- transports -----------------------------------------------------------------------------------
// Each opens at once and reports to a sink: record(topic, data, id), direct(data), heard(lastId) (a
// position, or '' for anything else that came), pending() (trying again by itself) and
// down(status = 0), the last call. It returns { close, send? }, or null where it is not available;
// after close() the sink is not called again. `extra` goes into the query.

function openWebSocket(target, sink, extra) {
    const url = target.address('websocket', extra);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = create('WebSocket', url.href, 'rtpush.1');
    if (!socket) {
        return null;
    }
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => {
        const { id = '', topic, data } = parseMessage(event.data) ?? {};
        if (topic) {
            sink.record(topic, data, id);
        } else if (data !== undefined) {
            sink.direct(data);
        } else {
            sink.heard(id);
        }
    };
    socket.onclose = () => sink.down();
    return {
        // Where it is not open, send() would write an error to the console.
        send: (text) => socket.readyState === 1 && (socket.send(text), true),
        close() {
            socket.onmessage = null;
            socket.onclose = null;
            socket.close();
        },
    };
}

// An EventSource reconnects by itself after most failures, with the id it saw last (also the ids of
// blocks without data, which a script never sees). A status other than 200 makes it CLOSED for
// good, and the client opens another. With a ticket it must not reconnect by itself: its URL is
// valid once.
function openEvents(target, sink, extra) {
    const source = create('EventSource', target.address('sse', extra).href);
    const onRecord = ({ type, data, lastEventId }) => sink.record(type, data, lastEventId);
    if (!source) {
        return null;
    }
    for (const topic of [NOTICE, ...target.topics]) {
        source.addEventListener(topic, onRecord);
    }
    source.onerror = () => {
        if (source.readyState === 2 || extra.ticket) { // CLOSED
            source.close();
            sink.down();
        } else {
            sink.pending();
        }
    };
    return { close: () => source.close() };
}

// Each event has a new id; a STATE value has none, and repeats the id before it.
function countEvents(records) {
    return new Set(records.map(([, , id]) => id).filter(Boolean)).size;
}

// The text of an answer, or null if it was cut off. Calls heard() at each part, so that a long
// answer on a slow connection does not look silent.
async function readText(response, heard) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
        const part = await reader.read().catch(() => null);
        if (!part || part.done) {
            return part && text + decoder.decode();
        }
        text += decoder.decode(part.value, { stream: true });
        heard();
    }
}

function openPoll(target, sink, extra) {
    const abort = new AbortController();
    const heard = () => sink.heard('');
    const loop = async () => {
        for (let first = true; ; first = false) {
            // The first answer comes soon even if nothing happens: it shows that we are up. Any
            // other comes within less than two periods.
            const timeout = first ? 1 : Math.floor(1.6 * target.period);
            const ticket = extra ?? await target.ticket();
            extra = null; // the first ticket is used
            const response = ticket &&
                await request(target.address('poll', { timeout, ...ticket }), abort.signal);
            const status = statusOf(response);
            const text = status === 200 ? await readText(response, heard) : null;
            if (text === null) {
                sink.down(status === 200 ? 0 : status);
                return;
            }
            const records = [];
            const id = parseEvents(text, '', (...record) => records.push(record));
            // After resuming with nothing missed a poll has no notice: make one.
            if (first && !records.some(([topic]) => topic === NOTICE)) {
                records.unshift([NOTICE, `replayed ${countEvents(records)} ${target.period}`, '']);
            }
            records.forEach((record) => sink.record(...record));
            sink.heard(id);
            // A proxy may answer every poll at once without records: do not poll in a tight loop.
            if (records.length === 0) {
                await new Promise((done) => setTimeout(done, 250));
            }
        }
    };
    loop();
    return { close: () => abort.abort() };
}

const OPEN = { websocket: openWebSocket, sse: openEvents, poll: openPoll };

// Exponential backoff, randomized within its upper half: pages that a restart disconnected at the
// same time must not reconnect at the same time.
function spread(first, most, times) {
    return Math.min(most, first * 2 ** times) * (0.5 + Math.random() / 2);
}

// -- client ---------------------------------------------------------------------------------------

class Client {
    // What onState gets, a fresh copy each time.
    //   state      'connecting' | 'open' | 'silent' | 'waiting' | 'refused' | 'hidden' | 'closed'
    //   transport  the one in use or being tried
    //   refusal    401 or 403 since the server refused, until it is up again; else 0
    //   retryAt    Date.now() of the next attempt while waiting or refused, else 0
    //   offline    the browser says that there is no network
    //   received, replayed, missed   events since connect(): all, of those after a reconnect, lost
    //   connects, resets             times up, restarts of the server seen
    #status = {
        state: 'connecting', transport: 'websocket', refusal: 0, retryAt: 0,
        received: 0, replayed: 0, missed: 0, connects: 0, resets: 0,
    };
    #options;
    #base;
    #lastId;
    #period = 5;          // seconds, as the last notice said
    #link = null;         // the open transport
    #generation = 0;      // a late callback of an earlier transport does not count
    #timer = 0;           // establish or backoff
    #attempts = 0;        // for the backoff
    #refusals = 0;        // in a row
    #failures = 0;        // in a row of this transport while the server was reachable
    #proven = new Set();  // transports that were up once on this network
    #upAt = 0;
    #heardAt = 0;
    #watchedAt = 0;
    #watcher = 0;
    #hider = 0;
    #listeners = new AbortController(); // removes them

    constructor(options) {
        this.#options = { ...DEFAULTS, ...options, paths: { ...DEFAULTS.paths, ...options.paths } };
        this.#base = new URL(this.#options.url, globalThis.document?.baseURI ??
            globalThis.location?.href);
        this.#lastId = this.#options.lastEventId;
        this.#listen();
        this.#choose(this.#options.transport);
        this.#visibility();
        // Not before the caller has the client: its callbacks may use it.
        queueMicrotask(() => this.#status.state === 'connecting' && this.#open());
    }

    get status() {
        return { ...this.#status, offline: globalThis.navigator?.onLine === false };
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
        this.#refusals = 0;
        this.#wait(delayMs);
    }

    close() {
        this.#listeners.abort();
        clearTimeout(this.#hider);
        this.#drop();
        this.#enter('closed');
    }

    // Text to the server: a WebSocket message, or a POST to paths.control. Resolves when handed
    // over (WebSocket) or answered with 2xx (POST).
    async send(text) {
        if (this.#status.transport === 'websocket') {
            if (this.#up && this.#link.send(text)) {
                return;
            }
            throw new Error('not connected');
        }
        const response = await fetch(this.#plain('control'), {
            method: 'POST', body: text, headers: { 'Content-Type': 'text/plain' },
        });
        if (!response.ok) {
            throw new Error(`${response.status} ${await response.text()}`.trim());
        }
    }

    // -- as transports see the client --

    get topics() {
        return this.#options.topics;
    }

    get period() {
        return this.#period;
    }

    // Query parameters of a new connection: { ticket }, or none. Null: no ticket is available.
    async ticket() {
        const { ticket } = this.#options;
        try {
            return ticket ? { ticket: encodeURIComponent(await ticket()) } : {};
        } catch {
            return null;
        }
    }

    // A stream's address. Commas and ids need no escaping, and a short query fits a small server.
    address(transport, extra = {}) {
        const url = this.#plain(transport);
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

    // Without "user:password@", which an address inherits from the page's own: fetch refuses it.
    #plain(name) {
        const url = new URL(this.#options.paths[name], this.#base);
        url.username = '';
        url.password = '';
        return url;
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

    get #up() {
        return this.#status.state === 'open' || this.#status.state === 'silent';
    }

    async #open() {
        this.#drop();
        const generation = this.#generation;
        const { transport } = this.#status;
        this.#enter('connecting');
        this.#establish();
        const extra = await this.ticket();
        if (generation !== this.#generation) {
            return; // closed, hidden or too late
        }
        if (!extra) {
            this.#wait(this.#backoff()); // no fault of the transport
            return;
        }
        this.#link = OPEN[transport](this, this.#sink(generation), extra);
        if (!this.#link) {
            this.#lost();
        }
    }

    #establish() {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#lost(), this.#options.establishMs);
    }

    // Ends the transport without a report; its later callbacks are of an earlier generation.
    #drop() {
        this.#generation++;
        clearTimeout(this.#timer);
        clearInterval(this.#watcher);
        const link = this.#link;
        this.#link = null;
        link?.close();
    }

    #sink(generation) {
        const ifCurrent = (act) => (...args) => generation === this.#generation && act(...args);
        return {
            record: ifCurrent((topic, data, id) => this.#record(topic, data, id)),
            direct: ifCurrent((data) => this.#direct(data)),
            heard: ifCurrent((id) => this.#heard(id)),
            pending: ifCurrent(() => this.#pending()),
            down: ifCurrent((status) => this.#lost(status)),
        };
    }

    // The notice has arrived: the connection is up.
    #came() {
        clearTimeout(this.#timer);
        this.#failures = 0;
        this.#refusals = 0;
        this.#proven.add(this.#status.transport);
        this.#upAt = this.#watchedAt = Date.now();
        clearInterval(this.#watcher);
        this.#watcher = setInterval(() => this.#watch(), 1000);
        this.#status.refusal = 0;
        this.#status.connects++;
        this.#enter('open');
    }

    // Only the first failure starts the timer: while the server is down an EventSource retries at a
    // fixed interval, and after establishMs our backoff replaces it.
    #pending() {
        if (this.#up) {
            clearInterval(this.#watcher);
            this.#enter('connecting');
            this.#establish();
        }
    }

    // The transport failed, or was never up. In 'auto', if a plain request to its route is
    // answered, something on the path blocks this transport: try the next one. If there is no
    // answer the server is down, and after 429 or 503 it is full: then the same transport is tried
    // again.
    async #lost(status = 0) {
        const wasUp = this.#up;
        const { transport } = this.#status;
        if (wasUp && Date.now() - this.#upAt > this.#options.stableMs) {
            this.#attempts = 0;
        }
        this.#drop();
        const generation = this.#generation;
        this.#enter('waiting');
        if (!wasUp && status === 0 && transport !== 'poll') {
            status = await this.#ask(transport);
        }
        if (generation !== this.#generation) {
            return; // closed, hidden or told to reconnect meanwhile
        }
        if (status === 204) { // as for an EventSource: no more
            this.close();
        } else if (status === 401 || status === 403) {
            this.#refuse(status);
        } else {
            if (BUSY.includes(status)) {
                // The next answer may come from a server that has room again, to a request made
                // after the transport was refused: that is no sign of a blocked transport.
                this.#failures = -1;
                status = 0;
            }
            const moved = !wasUp && status > 0 &&
                this.#options.transport === 'auto' && this.#countFailure();
            this.#wait(moved ? 0 : this.#backoff());
        }
    }

    // A script sees no status of a WebSocket or an EventSource, so the same route is requested once
    // more. 0: no answer.
    async #ask(transport) {
        const abort = new AbortController();
        const limit = setTimeout(() => abort.abort(), this.#options.establishMs);
        this.#link = { close: () => abort.abort() };
        const ticket = await this.ticket();
        const response = ticket &&
            await request(this.address(transport, ticket), abort.signal);
        let status = statusOf(response);
        if (status === 200 && transport === 'sse') {
            const late = new Promise((done) => setTimeout(done, NOT_NOW_MS));
            const text = await Promise.race([readText(response, () => {}), late]);
            status = NOT_NOW.test(text) ? 503 : status;
        }
        clearTimeout(limit);
        abort.abort(); // the stream that may have been opened
        return status;
    }

    // A refusal lasts until somebody logs in.
    #refuse(status) {
        const { refusedMs } = this.#options;
        this.#status.refusal = status;
        this.#wait(spread(refusedMs, 10 * refusedMs, this.#refusals++), 'refused');
        this.#tell('onRefused', status);
    }

    // Counts a failure. After one, or three for a transport that was up here before, the next
    // transport is chosen. True: try it at once.
    #countFailure() {
        const { transport } = this.#status;
        if (++this.#failures < (this.#proven.has(transport) ? 3 : 1)) {
            return false;
        }
        this.#failures = 0;
        const next = TRANSPORTS.indexOf(transport) + 1;
        this.#status.transport = TRANSPORTS[next % TRANSPORTS.length];
        return next < TRANSPORTS.length; // all were tried: wait first
    }

    #backoff() {
        return spread(this.#options.backoffMs, this.#options.backoffMaxMs, this.#attempts++);
    }

    #wait(delayMs, state = 'waiting') {
        this.#drop();
        if (delayMs === 0) {
            this.#open();
            return;
        }
        this.#enter(state, Date.now() + delayMs);
        this.#timer = setTimeout(() => this.#open(), delayMs);
    }

    #forget() {
        this.#proven.clear();
        this.#failures = 0;
        this.#attempts = 0;
    }

    // -- receiving --

    #heard(id) {
        this.#heardAt = Date.now();
        this.#lastId = id || this.#lastId;
        if (this.#status.state === 'silent') {
            this.#enter('open');
        }
    }

    #record(topic, data, id) {
        this.#heard(id);
        if (topic === NOTICE) {
            this.#notice(data);
            return;
        }
        this.#status.received++;
        this.#tell('onEvent', topic, data, id);
    }

    #notice(text) {
        const [kind, ...words] = text.split(' ');
        if (!kind) {
            return; // a keep-alive
        }
        const n = words.length > 1 ? Number(words[0]) : 0;
        this.#period = Number(words.pop()) || this.#period;
        // Every answer of a long poll may begin with a notice. "replayed" in the first one, before
        // we are up, means events that were missed; in the others it means new events.
        const again = this.#status.transport === 'poll' && this.#up;
        if (kind === 'gap') {
            this.#status.missed += n;
        } else if (kind === 'reset') {
            this.#status.resets++;
        } else if (kind === 'replayed' && !again) {
            this.#status.replayed += n;
        }
        if (!again || kind !== 'replayed') {
            this.#tell('onNotice', kind, n);
        }
        if (kind === 'gap') {
            this.#tell('onGap', n);
        } else if (kind === 'reset') {
            this.#tell('onReset');
        }
        if (this.#up) {
            this.#tell('onState', this.status);
        } else {
            this.#came();
        }
    }

    #direct(data) {
        this.#heard('');
        this.#tell('onMessage', data);
    }

    // -- liveness --

    // Each second while up. If our own timer was late by much, the machine slept: what arrived
    // before that proves nothing, and the connection is now silent or lost.
    #watch() {
        const now = Date.now();
        const most = 2000 * this.#period;
        let silence = now - this.#heardAt;
        if (Math.abs(now - this.#watchedAt) > most) {
            silence = silence < most ? most : 2 * most;
            this.#heardAt = now - silence;
        }
        this.#watchedAt = now;
        if (silence >= 2 * most) {
            this.#lost();
        } else if (silence >= most && this.#status.state === 'open') {
            this.#enter('silent');
        }
    }

    // -- the page, or a worker --

    #listen() {
        const { signal } = this.#listeners;
        const on = (target, name, handler) => (
            target.addEventListener?.(name, handler, { signal }));
        on(globalThis, 'offline', () => this.#tell('onState', this.status));
        on(globalThis, 'online', () => {
            this.#forget(); // perhaps another network: a blocked transport may work here, and an
            this.#tell('onState', this.status); // open connection is of the earlier network
            if (this.#status.state !== 'hidden') {
                this.reconnect();
            }
        });
        if (globalThis.document) {
            // A page in the back/forward cache must hold no connection, or it is not kept there.
            on(globalThis, 'pagehide', () => this.#hide());
            on(globalThis, 'pageshow', (event) => event.persisted && this.#show());
            on(document, 'visibilitychange', () => this.#visibility());
        }
    }

    #visibility() {
        clearTimeout(this.#hider);
        if (!globalThis.document?.hidden) {
            this.#show();
        } else if (this.#options.hiddenMs > 0) {
            this.#hider = setTimeout(() => this.#hide(), this.#options.hiddenMs);
        }
    }

    #hide() {
        if (this.#status.state !== 'closed') {
            this.#drop();
            this.#enter('hidden');
        }
    }

    #show() {
        if (['hidden', 'waiting', 'refused'].includes(this.#status.state)) {
            this.reconnect();
        } else if (this.#up) {
            this.#watch();
        }
    }

    #tell(name, ...args) {
        try {
            this.#options[name]?.(...args);
        } catch (error) {
            queueMicrotask(() => { throw error; });
        }
    }

    #enter(state, retryAt = 0) {
        this.#status.state = state;
        this.#status.retryAt = retryAt;
        this.#tell('onState', this.status);
    }
}
