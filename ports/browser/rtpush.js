// rtpush.js - v0.1 - the browser client of rtpush.h - MIT-0 or public domain
//
// One ES module without dependencies: receives what rtpush_publish sends, over the best transport
// that works, reconnects by itself and resumes where it stopped. README.md beside this file has an
// example and the table of options.
//
//     import connect from './rtpush.js';
//     connect({ topics: ['temp'], onEvent: (topic, data) => console.log(topic, data) });
//
// The default export has everything. What a page names are values, so that a bundler leaves out
// what it does not name:
//
//     import { connect, websocket, sse } from './rtpush.js';
//     connect({ transports: [websocket, sse], topics: ['temp'], ... });
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
// also no global events and no location: functions that need them are left out. No secure context
// is needed: a page of plain http has none.

const NOTICE = 'rtpush';
const NOT_NOW = /^retry: \d+\n\n$/; // a full server's answer to an EventSource, which 503 would end
const NOT_NOW_MS = 1000; // for that body, which comes with its head
const RECORD = /^([0-9a-f]{8}-[0-9a-f-]+)(?: ([\w.-]{1,32})\n|$)/; // id and topic of rtpush.1
const RECORD_MAX = 96; // that line is shorter

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
        const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (line === '') {
            lastId = id;
            if (data.length > 0) {
                onRecord(topic || 'message', data.join('\n'), lastId);
            }
            topic = '';
            data = [];
        } else if (field === 'event') {
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
// A transport is { name, path, open }. open(url, host) begins and returns { close, send? }; an
// exception means that it is not available here. The host has
//     topics, transports, period()   names; all that the page named; seconds
//     address(query)          the URL anew, with another ticket
//     take(topic, data, id)   a record. Without a topic: data is what the application sent to this
//                             connection alone; without data: something came, perhaps a position
//     down(status)            the last call: it failed, with an HTTP status where that is known
//     enter(state, ms, then, more)   another connection's state, for this long; more: of status
// and ignores what comes after close().

// A redirect counts as 401: it leads to a login page. 0: no answer. With correct arguments fetch
// rejects only for network errors and when it is aborted. Nothing else is inside this catch, or an
// error of our own code would count as "the server is down".
// An AbortController serves as options: it has a member "signal".
const request = async (url, abort) => {
    const response = await fetch(url, abort).catch(() => {});
    return [response?.redirected ? 401 : response?.status ?? 0, response];
};

export const websocket = {
    name: 'websocket',
    path: 'ws',
    open(url, { take, down }) {
        url.protocol = url.protocol.replace('http', 'ws');
        const socket = new WebSocket(url, 'rtpush.1');
        socket.binaryType = 'arraybuffer';
        socket.onmessage = (event) => {
            const { topic, data, id } = parseMessage(event.data) ?? {};
            take(topic, data, id);
        };
        socket.onclose = () => down();
        return {
            close: () => socket.close(),
            send(data) {
                if (socket.readyState !== 1) { // send() would write an error to the console
                    throw new Error('not connected');
                }
                socket.send(data);
                return true;
            },
        };
    },
};

// An EventSource would reconnect by itself after most failures, at a fixed interval and with the
// same ticket. It is closed instead, and another one opened as with any transport.
export const sse = {
    name: 'sse',
    path: 'events',
    open(url, { topics, take, down }) {
        const source = new EventSource(url);
        for (const topic of [NOTICE, ...topics]) {
            source.addEventListener(topic, (event) => take(topic, event.data, event.lastEventId));
        }
        source.onerror = () => down();
        return source;
    },
};

// The text of an answer, or undefined if it was cut off. Calls heard() at each part, so that a long
// answer on a slow connection does not look silent.
async function readText(response, heard) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
        const part = await reader.read().catch(() => {});
        if (!part || part.done) {
            return part && text + decoder.decode();
        }
        text += decoder.decode(part.value, { stream: true });
        heard();
    }
}

export const poll = {
    name: 'poll',
    path: 'poll',
    open(url, { period, address, take, down }) {
        const abort = new AbortController();
        const begun = url.searchParams.get('last_event_id');
        const ask = async (target, first) => {
            const [status, response] = await request(target, abort);
            const text = status === 200 ? await readText(response, take) : undefined;
            if (text === undefined) {
                down(status === 200 ? 0 : status);
                return;
            }
            const records = [];
            const id = parseEvents(text, '', (...record) => records.push(record));
            const [topic, notice] = records[0] ?? [];
            if (first && topic !== NOTICE) {
                // After resuming with nothing missed a poll has no notice: make one. Each event has
                // a new id; a STATE value has none, and repeats the id before it.
                const count = new Set(records.map((record) => record[2]).filter(Boolean)).size;
                take(NOTICE, `replayed ${count} ${period()}`, begun);
            } else if (!first && topic === NOTICE && notice.startsWith('replayed')) {
                records.shift(); // new events, none that were missed
            }
            records.forEach((record) => take(...record));
            take('', undefined, id);
            // A proxy may answer every poll at once without records: do not poll in a tight loop.
            setTimeout(next, records.length > 0 ? 0 : 250);
        };
        // Any other answer comes within less than two periods.
        const next = () => abort.signal.aborted ||
            address(`timeout=${Math.floor(1.6 * period())}`).then(ask, () => down(0));
        // The first one comes soon even if nothing happens: it shows that we are up.
        url.search += `${url.search && '&'}timeout=1`;
        ask(url, true);
        return { close: () => abort.abort() };
    },
};

// A script sees no status of a WebSocket or an EventSource. After a failure the same route is
// requested once more, by a transport that reports nothing but the status.
const probe = {
    open(url, { down }) {
        const abort = new AbortController();
        request(url, abort).then(async ([status, response]) => {
            setTimeout(() => abort.abort(), NOT_NOW_MS); // it may be a stream
            down(NOT_NOW.test(await response?.text().catch(() => {})) ? 503 : status);
        });
        return { close: () => abort.abort() };
    },
};

// -- client ---------------------------------------------------------------------------------------

export function connect({
    transports,         // of the values above, in the order of falling back
    url = globalThis.location?.href, // base that the paths are relative to
    topics = [],        // names; an EventSource receives only events with a listener
    lastEventId = '',   // resume from here; 'first': all that the log holds
    ticket,             // async () => text: asked before each connection, sent as ?ticket=
    establishMs = 10000, // until a connection is up
    backoffMs = 500,    // first wait; doubles up to 32 times that. After 401 or 403: 60 times that
    hiddenMs = 120000,  // a hidden page closes its connection after this; 0: never
    // All of them optional. They run soon after, in order: an error in one changes nothing here.
    //   onEvent(topic, data, id)  data is text, or a Uint8Array for a binary topic
    //   onNotice(kind, n, id)     'fresh' | 'replayed' | 'gap' | 'reset' | 'expired'. gap: n events
    //                             that this page will never see. reset: the server has restarted,
    //                             ids and events are new
    //   onMessage(data)           what rtpush_send gave to this connection alone: text, or bytes
    //   onState(status)           a copy of what follows
    ...callbacks
}) {
    let [transport] = transports;
    const status = {
        // state: 'connecting' | 'open' | 'silent' | 'waiting' | 'refused' | 'hidden' | 'closed'
        // retryAt: Date.now() of the next attempt while waiting or refused, else 0
        transport: transport.name, // in use or being tried
        refusal: 0, // 401 or 403 since the server refused, until it is up again
    };
    const listeners = new AbortController(); // removes them
    let proven;         // the transport that was up last on this network
    let link;           // the transport that is open or was last
    let run = 0;        // what comes from an earlier one does not count
    let timer;          // of the state
    let hider;
    let period = 5;     // seconds, as the last notice said
    let attempts = 0;   // for the backoff
    let failures = 0;   // in a row of this transport while the server was reachable
    let upAt;           // 0: not up
    let heardAt;
    let watchedAt;

    const tell = (name, ...args) => queueMicrotask(() => callbacks[name]?.(...args));

    // The one place where a state begins. If it still lasts after so many ms, `then` is called.
    const enter = (state, ms, then, more) => {
        const retryAt = then === dial ? Date.now() + ms : 0;
        clearTimeout(timer);
        timer = then && setTimeout(then, ms);
        if (status.state !== state || retryAt || more) {
            Object.assign(status, { state, retryAt }, more);
            tell('onState', { ...status });
        }
    };

    // Ends the connection without a report, and enters a state that has none.
    const leave = (...state) => {
        if (status.state !== 'closed') {
            run++;
            link?.close();
            upAt = 0;
            enter(...state);
        }
    };

    // -- connecting --

    // Commas and ids need no escaping, and a short query fits a small server. Without
    // "user:password@", which it would inherit from the page's own: fetch refuses that.
    const address = async (query) => {
        const target = new URL(transport.path, url);
        target.username = target.password = '';
        target.search = [
            topics[0] && `topics=${topics}`,
            lastEventId && `last_event_id=${lastEventId}`,
            ticket && `ticket=${encodeURIComponent(await ticket())}`,
            query,
        ].filter(Boolean).join('&');
        return target;
    };

    const open = (by, ...state) => {
        leave(...state);
        const mine = run;
        const ifCurrent = (act) => (...args) => mine === run && act(...args);
        address().then(ifCurrent((target) => {
            link = by.open(target, {
                topics, transports, address, period: () => period,
                take: ifCurrent(take), down: ifCurrent(lost), enter: ifCurrent(enter),
            });
        })).catch(ifCurrent(blocked));
    };

    const dial = () => {
        status.transport = transport.name;
        open(transport, 'connecting', establishMs, lost);
    };

    // Randomized: pages that a restart disconnected at the same time must not reconnect at the same
    // time.
    const again = (state = 'waiting', ms = backoffMs) => (
        leave(state, ms * 2 ** Math.min(attempts++, 5) * (1 + Math.random()) / 2, dial));

    // Something on the path blocks this transport, or the browser has none. After one failure, or
    // three if it was up here before, the next one is tried; after the last one it waits first.
    const blocked = () => {
        if (++failures >= (proven === transport ? 3 : 1)) {
            failures = 0;
            transport = transports[transports.indexOf(transport) + 1];
            if (transport) {
                return dial();
            }
            [transport] = transports;
        }
        again();
    };

    // The transport failed, or was never up. If it gave no status, the probe does. If that has an
    // answer, the transport is blocked. 0: the server is down; 429, 503: it is full.
    const lost = (code = upAt ? 0 : -1) => {
        if (code < 0) {
            open(probe, 'waiting', establishMs, again);
        } else if (code === 204) { // as for an EventSource: no more
            close();
        } else if (code === 401 || code === 403) { // lasts until somebody logs in
            status.refusal = code;
            again('refused', 60 * backoffMs);
        } else if (code && !upAt) {
            // Neither this answer is a sign of a blocked transport nor the next one: that may come
            // from a server that has room again, to a request made after the transport was refused.
            failures = code === 429 || code === 503 ? -2 : failures;
            blocked();
        } else {
            again();
        }
    };

    // Drops the connection and opens another one after delayMs.
    const reconnect = (delayMs = 0) => {
        attempts = 0;
        leave('waiting', delayMs, dial);
    };

    const close = () => {
        leave('closed');
        listeners.abort();
    };

    // -- receiving --

    const take = (topic, data, id) => {
        heardAt = Date.now();
        lastEventId = id || lastEventId;
        if (topic === NOTICE) {
            const [kind, a, b] = data.split(' ');
            if (kind) { // else a keep-alive
                period = +(b ?? a) || period;
                tell('onNotice', kind, b ? +a : 0, id);
                if (!upAt) {
                    failures = status.refusal = 0;
                    proven = transport;
                    upAt = watchedAt = heardAt;
                }
            }
        } else if (topic) {
            tell('onEvent', topic, data, id);
        } else if (data !== undefined) {
            tell('onMessage', data);
        }
        if (upAt) {
            watch();
        }
    };

    // Each second while up. If our own timer was late by much, the machine slept: what arrived
    // before that proves nothing, and the connection is now silent or lost.
    const watch = () => {
        const now = Date.now();
        const most = 2000 * period;
        if (Math.abs(now - watchedAt) > most) {
            heardAt = Math.min(heardAt, now - most);
        }
        watchedAt = now;
        if (now - upAt > 5000) {
            attempts = 0;
        }
        if (now - heardAt < 2 * most) {
            enter(now - heardAt < most ? 'open' : 'silent', 1000, watch);
        } else {
            lost();
        }
    };

    // -- the page, or a worker --

    const page = ({ type }) => {
        clearTimeout(hider);
        if (type === 'online') { // perhaps another network: a blocked transport may work here, and
            proven = failures = heardAt = 0; // an open connection is of the earlier network
        }
        if (type === 'pagehide') { // with a connection the back/forward cache does not keep a page
            leave('hidden');
        } else if (globalThis.document?.hidden) {
            hider = hiddenMs && setTimeout(leave, hiddenMs, 'hidden');
        } else if (upAt) {
            watch();
        } else if (status.state !== 'connecting') {
            reconnect();
        }
    };

    for (const type of ['online', 'pagehide', 'pageshow', 'visibilitychange']) {
        globalThis.addEventListener?.(type, page, listeners);
    }
    enter('connecting', 0, dial); // not before the caller has the client
    page({});

    return {
        status, // as it is now
        get lastEventId() { return lastEventId; },
        reconnect,
        close,

        // To the server. Resolves to true when handed over, else the transport cannot.
        send: async (data) => link.send?.(data),
    };
}

// -- one connection for all tabs ------------------------------------------------------------------
// A SharedWorker, which runs this file too, holds the one connection, subscribed to the topics of
// all tabs; each tab gets its own. It also works on plain http, where there are no Web Locks.
//
// A tab joins with its topics and its position, and the connection is opened anew, from the oldest
// position that a tab has: so it is replayed what it missed, and gets every STATE value. The other
// tabs drop the events that they have had. They are told of a notice only if it is news to them:
// what is missed is the difference of two positions, since positions are numbers of the log.
//
// A STATE value has the id of the last event before it, so a record whose id is the one before is a
// value. One whose id lies between two events of topics that nobody here asked for looks like an
// event. If such a record is dropped, nobody knows whether it was a value: then the connection is
// opened once more, from the newest position, where nothing has to be dropped.
//
// Messages, to the tab: take, state, gone; from it: join, here, bye. A port does not say when its
// tab ends: one that does not answer `here` to so many states has crashed or is frozen. If it
// wakes, it finds "gone" behind what it had missed by then, and joins again.

const PING_MS = 5000;
const PINGS_MAX = 5; // without an answer

const positionOf = (id) => id.slice(0, 17); // epoch-number; sorts as the log does, in one epoch
const numberOf = (id) => parseInt(id.slice(9), 16);

function serveTabs({ url, use }) {
    const byName = { websocket, sse, poll };
    const transports = use.map(([name, path]) => ({ ...byName[name], path }));
    const members = new Set(); // { port, topics, id, up, pings }
    const values = new Set();  // topics that are known to be STATE
    let client;
    let run = 0;
    let soon;
    let at = '';        // position of the connection
    let unsure = false; // a record was dropped that may have been a value

    const say = ({ port }, ...words) => port.postMessage(words);

    const dial = () => {
        const mine = ++run;
        const ours = (act) => (...args) => mine === run && act(...args);
        const ids = [...members].map(({ id }) => id).filter(Boolean).sort();
        const now = client?.status.transport; // works, so it is tried first
        transports.sort((a, b) => (b.name === now) - (a.name === now));
        client?.close();
        unsure = false;
        client = connect({
            transports, url,
            topics: [...new Set([...members].flatMap(({ topics }) => topics))],
            lastEventId: ids.includes('first') ? 'first'
                : ids.find((id) => id.startsWith(at.slice(0, 8))) ?? ids[0],
            onEvent: ours(event),
            onNotice: ours(notice),
            onMessage: ours((data) => members.forEach((m) => say(m, 'take', '', data))),
            onState: ours(state),
        });
    };

    const event = (topic, data, id) => {
        const before = at;
        at = positionOf(id);
        if (at === before) {
            values.add(topic);
        }
        for (const m of members) {
            if (!m.up) {
                continue; // its notice comes first
            }
            const isNew = at > m.id;
            m.id = isNew ? at : m.id;
            if (m.topics.includes(topic)) {
                if (isNew || values.has(topic)) {
                    say(m, 'take', topic, data, m.id);
                } else {
                    unsure = true;
                }
            }
        }
        if (unsure && [...members].every((m) => m.id <= at)) {
            dial();
        }
    };

    const notice = (kind, n, id) => {
        const from = id === 'first' ? '' : positionOf(id ?? '');
        const head = numberOf(from) + (kind === 'replayed' ? n : 0);
        at = from;
        for (const m of members) {
            let told = kind;
            let count = n;
            if (kind === 'expired') {
                m.up = false;
            } else if (m.id === '') {
                told = 'fresh';
                count = 0;
                m.id = from.slice(0, 9) + head.toString(16).padStart(8, '0');
            } else if (m.id === 'first' || from === '') {
                m.id = from;
            } else if (kind === 'reset' || from.slice(0, 8) !== m.id.slice(0, 8)) {
                told = 'reset';
                m.id = from;
            } else if (m.id < from) {
                told = 'gap';
                count = numberOf(from) - numberOf(m.id);
                m.id = from;
            } else {
                told = 'replayed';
                count = Math.max(0, head - numberOf(m.id));
            }
            if (!m.up || told !== 'replayed') {
                say(m, 'take', NOTICE, `${told} ${count} ${PING_MS / 1000}`, m.id);
            }
            m.up = true;
        }
    };

    // Also past events that nobody here asked for: they are no gap after the next notice. That the
    // connection is opened anew for another tab is no news.
    const state = (status) => {
        const id = positionOf(client.lastEventId);
        at = id > at && id !== 'first' ? id : at;
        for (const m of members) {
            m.id = m.up && at > m.id ? at : m.id;
            if (status.state === 'closed') { // by 204
                say(m, 'gone', 204);
                leave(m);
            } else if (!m.up || status.state !== 'connecting') {
                m.up &&= ['open', 'silent'].includes(status.state);
                say(m, 'state', status, m.up ? m.id : '');
            }
        }
    };

    const leave = (m) => {
        members.delete(m);
        m.port.close();
        if (members.size === 0) {
            clearTimeout(soon);
            run++;
            client?.close();
        }
    };

    setInterval(() => {
        for (const m of members) {
            if (++m.pings > PINGS_MAX) {
                say(m, 'gone', 0);
                leave(m);
            }
        }
        if (members.size > 0 && client) {
            state(client.status);
        }
    }, PING_MS);

    globalThis.onconnect = ({ ports: [port] }) => {
        const m = { port, topics: [], id: '', up: false, pings: 0 };
        const acts = {
            here() {},
            bye: () => leave(m),
            join(topics, id) {
                Object.assign(m, { topics, id: positionOf(id ?? '') });
                members.add(m);
                clearTimeout(soon);
                soon = setTimeout(dial, 20); // for several that open at once
            },
        };
        port.onmessage = ({ data: [act, ...args] }) => {
            m.pings = 0;
            acts[act](...args);
        };
    };
}

// What this file does as a worker of ours, whose name begins with "rtpush". Nobody uses the value,
// so a bundler leaves it out of pages.
export const sharing = /* @__PURE__ */ (() => {
    const { onconnect, name } = globalThis;
    return onconnect === null && name.startsWith(NOTICE) &&
        serveTabs(JSON.parse(name.slice(NOTICE.length)));
})();

// Has no send: what the server answered would reach every tab.
export const tabs = {
    name: 'tabs',
    path: '', // the base of the others
    open(url, { topics, transports, take, down, enter }) {
        const id = url.searchParams.get('last_event_id');
        const script = this.script ?? import.meta.url;
        // A ticket is for one connection. A bundle, by its name, would run the page in the worker.
        if (url.searchParams.has('ticket') || !/rtpush\./.test(script)) {
            throw new Error('tabs');
        }
        url.search = '';
        const use = transports.filter(({ path }) => path).map(({ name, path }) => [name, path]);
        const worker = new SharedWorker(script, {
            type: 'module', name: NOTICE + JSON.stringify({ url, use }),
        });
        const { port } = worker;
        const acts = {
            take,
            gone: down,
            state({ state, ...more }, position) {
                port.postMessage(['here']);
                if (state === 'open') {
                    take('', undefined, position);
                } else {
                    enter(state, 4 * PING_MS, down, more);
                }
            },
        };
        port.onmessage = ({ data: [act, ...args] }) => acts[act](...args);
        worker.onerror = () => down(1); // no script, or forbidden: as if it were blocked
        port.postMessage(['join', topics, id]);
        return { close: () => port.postMessage(['bye']) };
    },
};

// -- both ways ------------------------------------------------------------------------------------
// connect, and send on every transport: where there is no WebSocket by a POST to `control`. One
// after the other, so they keep their order.
//
//     send(data)                  resolves when handed over to the WebSocket, or when the POST was
//                                 answered with 2xx. Sent once: an error may mean that it arrived
//     send(text, { ack: true })   resolves to the server's words when it has done it, exactly once,
//                                 however often the connection breaks; rejects if that is not known
//                                 (409: the server has restarted, or it forgot this page). Needs
//                                 the handler of examples/upstream
//
// An acknowledged text has a key, "epoch-page-number", and is repeated with it, over whatever
// transport there is, until it is answered:
//     WebSocket   @KEY TRY LF text      answered by rtpush_send: @KEY STATUS SP words
//     POST        ?once=KEY&try=TRY     answered by its status and body

const ACK = /^@(\w+-\w+-\d+) (\d+) ?(.*)$/s;
const ANSWER_MS = 10000; // then it is sent again

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

export function duplex({
    control = 'control', url = globalThis.location?.href, onMessage, onState, ...options
}) {
    const page = Math.random().toString(36).slice(2);
    const target = new URL(control, url);
    target.username = target.password = '';
    let last = Promise.resolve();
    let number = 0;
    let key;                // of the text that waits for its answer
    let answer;             // takes that: [status, words], or nothing

    const isUp = () => ['open', 'silent'].includes(client.status.state);

    const client = connect({
        ...options,
        url,
        onMessage(data) {
            const [, of, ...words] = ACK.exec(data) ?? [];
            if (!of) {
                onMessage?.(data);
            } else if (of === key) {
                answer(words);
            }
        },
        onState(status) {
            if (!isUp()) {
                answer?.([]);
            }
            onState?.(status);
        },
    });
    const { send } = client;

    const post = async (body, query) => {
        const abort = new AbortController();
        setTimeout(() => abort.abort(), ANSWER_MS);
        target.search = query;
        const response = await fetch(target, { method: 'POST', body, signal: abort.signal });
        return [response.status, await response.text()];
    };

    const check = (status, words) => {
        if (!/^2/.test(status)) {
            throw new Error(`${status} ${words}`);
        }
        return words;
    };

    const once = async (data) => await send(data) || check(...await post(data, ''));

    const acknowledged = async (text) => {
        let mine;
        for (let tries = 1; ; tries++) {
            while (!isUp()) {
                if (client.status.state === 'closed') {
                    throw new Error('closed'); // what was sent before may have arrived
                }
                await sleep(500);
            }
            mine ??= `${client.lastEventId.slice(0, 8)}-${page}-${++number}`;
            const [status, words] = await new Promise((done) => {
                key = mine;
                answer = done;
                setTimeout(done, ANSWER_MS, []);
                send(`@${mine} ${tries}\n${text}`)
                    .then((sent) => sent || post(text, `once=${mine}&try=${tries}`).then(done))
                    .catch(() => done([]));
            });
            if (status < 500 && status != 429) { // a number, or its text
                return check(status, words);
            }
            await sleep(500);
        }
    };

    client.send = (data, { ack } = {}) => {
        const turn = last.then(() => (ack ? acknowledged : once)(data));
        last = turn.catch(() => {});
        return turn;
    };
    return client;
}

// Everything.
export default (options) => (
    duplex({ transports: [tabs, websocket, sse, poll], ...options }));
