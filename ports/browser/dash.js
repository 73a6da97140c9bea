// dash.js - v0.1 - a live dashboard from a table in the firmware - MIT-0 or public domain
//
// Draws what ports/rtpush_dash.h describes: gets the table as dash.json, one widget for each row,
// subscribes to their topics by rtpush.js, and sends commands back. README.md beside this file says
// which files a device serves.
//
// A value is a number, a text or a boolean of JSON, or [ms, value] with the device's milliseconds;
// a line of a log is a text or [ms, level, text]. A command is {"topic": value}.

import { duplex, websocket, sse, poll } from './rtpush.js';

const POINTS = 2000; // kept of a chart
const LINES = 100;   // of a log
const SPAN_S = [60, 300]; // what a chart shows grows from one minute to five
const SEND_MS = 100; // between two positions of a slider that moves
const WAIT_MS = 2000; // before the table is asked for again
const STATES = {
    connecting: 'Connecting', open: 'Live', silent: 'Silent', waiting: 'Connection lost',
    refused: 'Refused', hidden: 'Resting', closed: 'Closed',
};
const NAMES = { websocket: 'WebSocket', sse: 'SSE', poll: 'Polling' };

const $ = (selector) => document.querySelector(selector);

// Elements with their class, text and children. What comes from the device is text, never markup.
function make(tag, name = '', text = '', ...children) {
    const element = document.createElement(tag);
    element.className = name;
    element.append(text, ...children);
    return element;
}

function put(element, text) {
    if (element.textContent !== text) {
        element.textContent = text;
    }
}

// -- the device's clock ---------------------------------------------------------------------------
// The smallest difference to ours is the one with the least delay; events that are replayed have
// larger ones. One life of the device is a run.

let run;
const newRun = () => { run = { offset: Infinity, last: 0, wraps: 0 }; };
newRun();

// Our time of the device's, in ms.
function timeOf(ms) {
    run.wraps += ms < run.last - 2 ** 31 ? 2 ** 32 : 0; // 49 days
    run.last = ms;
    run.offset = Math.min(run.offset, Date.now() - ms - run.wraps);
    return run.offset + ms + run.wraps;
}

// -- widgets --------------------------------------------------------------------------------------
// A kind makes its elements in `box` and returns what shows a value: false if it did not. `w` is
// the row of the table, `num` the element that has its number.

const part = ({ min = 0, max = 100 }, y) => Math.min(1, Math.max(0, (y - min) / (max - min || 1)));
const numberText = ({ decimals = 0 }, y) => (typeof y === 'number' ? y.toLocaleString('en-US',
    { minimumFractionDigits: decimals, maximumFractionDigits: decimals }) : String(y));

// Loaded if there is a chart in the table: first their style sheet, then the script, for which the
// browser then opens no other connection.
let loading;
const charts = () => loading ??= new Promise((done) => {
    const link = make('link');
    link.rel = 'stylesheet';
    link.href = 'charts.css';
    link.onload = link.onerror = done;
    document.head.append(link);
}).then(() => import('./charts.js'));

function svgArc(box) {
    const d = 'd="M9 50a41 41 0 0 1 82 0"';
    box.insertAdjacentHTML('afterbegin', '<svg viewBox="0 0 100 56" aria-hidden="true">'
        + `<path ${d}/><path ${d} pathLength="100"/></svg>`);
    return box.querySelector('path + path');
}

function control(tag, box, label, on, act) {
    const element = box.appendChild(make(tag));
    element.disabled = true;
    element.setAttribute('aria-label', label);
    element.addEventListener(on, () => act(element));
    return element;
}

const KINDS = {
    value: () => () => {},

    gauge(w, box) {
        const arc = svgArc(box);
        arc.style.strokeDasharray = '0 200';
        return (y) => { arc.style.strokeDasharray = `${part(w, y) * 100} 200`; };
    },

    bar(w, box) {
        const track = box.appendChild(make('div', 'track', '', make('i')));
        return (y) => { track.lastChild.style.transform = `scaleX(${part(w, y)})`; };
    },

    // A hole in the line where the device has started again.
    chart(w, box) {
        const x = [];
        const y = [];
        const plot = box.appendChild(make('div', 'chart-plot'));
        const { label, unit, color, min, max } = w;
        let chart = null;
        let last = run;
        const draw = () => {
            const end = x[x.length - 1];
            const first = x.findIndex((t) => t > end - SPAN_S[1]);
            const span = Math.max(SPAN_S[0], end - x[first]);
            chart?.update(x.slice(first), [y.slice(first)], span);
        };
        charts().then(({ createChart }) => {
            chart = createChart(plot, {
                name: label,
                series: [{ label, color }],
                format: (value) => numberText(w, value) + (unit ? ` ${unit}` : ''),
                range: max > min ? () => [min, max] : undefined,
                axisSize: 62,
            });
            later(draw);
        }).catch(() => plot.remove()); // the device has none: the number remains
        return (value, time) => {
            const t = Math.max(time / 1000, x[x.length - 1] ?? 0);
            if (last !== run) {
                last = run;
                x.push(t);
                y.push(null);
            }
            x.push(t);
            y.push(value);
            x.splice(0, x.length - POINTS);
            y.splice(0, y.length - POINTS);
            later(draw);
        };
    },

    log(w, box, num) {
        num.remove();
        const list = box.appendChild(make('ol'));
        list.tabIndex = 0;
        list.setAttribute('aria-label', w.label);
        return (text, time, level) => {
            const when = new Date(time).toLocaleTimeString([], { hour12: false });
            list.prepend(make('li', level, '', make('time', '', when), make('span', '', text)));
            list.children[LINES]?.remove();
        };
    },

    switch(w, box, num) {
        const button = control('button', box, w.label, 'click', () => {
            send(w, button.getAttribute('aria-checked') !== 'true');
        });
        button.append(make('i'));
        button.setAttribute('role', 'switch');
        num.remove();
        return (y) => button.setAttribute('aria-checked', Boolean(y));
    },

    // While it is moved it does not follow the device.
    slider(w, box, num) {
        let timer = 0;
        const moved = () => {
            timer = 0;
            send(w, input.valueAsNumber);
        };
        const input = control('input', box, w.label, 'input', () => {
            put(num, numberText(w, input.valueAsNumber));
            timer ||= setTimeout(moved, SEND_MS);
        });
        input.type = 'range';
        input.min = w.min ?? 0;
        input.max = w.max ?? 100;
        input.step = 10 ** -(w.decimals ?? 0);
        return (y) => {
            if (timer) {
                return false;
            }
            input.value = y;
            return true;
        };
    },

    button(w, box) {
        box.textContent = '';
        control('button', box, w.label, 'click', () => send(w, true)).append(w.label);
        return () => {};
    },

    // With max, the most bytes, it can be written.
    text(w, box, num) {
        if (!w.max) {
            return () => {};
        }
        num.remove();
        const input = control('input', box.appendChild(make('div', 'field')), w.label, 'change',
            () => send(w, input.value));
        input.maxLength = w.max;
        return (text) => { input.value = document.activeElement === input ? input.value : text; };
    },
};

// When the browser is ready to, and once for many events.
const waiting = new Set();

function later(draw) {
    if (waiting.size === 0) {
        requestAnimationFrame(() => {
            waiting.forEach((one) => one());
            waiting.clear();
        });
    }
    waiting.add(draw);
}

let group = null;

function addWidget(w, i) {
    w.color = `--s${i % 4 + 1}`;
    const num = make('span', 'num');
    num.dataset.unit = w.unit ?? '';
    const title = w.label === w.group ? '' : w.label; // once is enough
    const row = make('p', 'row', '', make('span', 'name', title), num);
    const box = make('div', `w ${w.kind}`, '', row);
    box.style.setProperty('--key', `var(${w.color})`);
    box.dataset.topic = w.topic;
    if (w.group || !group) {
        group = make('div', 'in');
        $('main').append(make('section', 'card', '', make('h2', '', w.group ?? ''), group));
    }
    if (['chart', 'log'].includes(w.kind)) {
        group.parentNode.classList.add('wide');
    }
    group.append(box);
    const draw = KINDS[w.kind](w, box, num);
    w.show = (y, ...more) => {
        if (draw(y, ...more) !== false) {
            put(num, numberText(w, y));
        }
    };
}

// -- connection -----------------------------------------------------------------------------------

let client = null;
let toastTimer = 0;

function toast(text) {
    put($('.toast'), text);
    $('.toast').hidden = false;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { $('.toast').hidden = true; }, 4000);
}

// Controls show what the device says, not what was clicked: it publishes what it has become.
function send({ topic, decimals = 0 }, value) {
    const text = typeof value === 'number' ? value.toFixed(decimals) : JSON.stringify(value);
    client.send(`{"${topic}":${text}}`).catch((error) => toast(`Not sent: ${error.message}`));
}

function onEvent(widgets, topic, data) {
    let value = data;
    try {
        value = JSON.parse(data);
    } catch { } // a text without quotes
    let time = Date.now();
    let level = '';
    if (Array.isArray(value)) {
        time = timeOf(value[0]);
        level = value.length > 2 ? value[1] : '';
        value = value[value.length - 1];
    }
    for (const w of widgets) {
        if (w.topic === topic) {
            w.show(value, time, level);
        }
    }
}

function waitText({ state, refusal, retryAt, transport }) {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    return !navigator.onLine ? 'no network'
        : state === 'open' ? NAMES[transport]
            : state === 'silent' ? 'nothing comes'
                : state === 'refused' ? `status ${refusal}`
                    : seconds > 0 ? `again in ${seconds} s` : '';
}

function showStatus(status) {
    const open = status.state === 'open';
    document.body.dataset.state = status.state;
    put($('.pill b'), STATES[status.state]);
    put($('.pill small'), waitText(status));
    for (const element of document.querySelectorAll('main button, main input')) {
        element.disabled = !open;
    }
}

const getTable = () => fetch('dash.json', { cache: 'no-store' }).then((answer) => (answer.ok
    ? answer.json() : Promise.reject(new Error(answer.status))));

// What has started again may be another version, with another table.
async function onReset(shown) {
    newRun();
    const { now, ...table } = await getTable().catch(() => ({}));
    if (table.title && JSON.stringify(table) !== shown) {
        location.reload();
    } else if (now) {
        timeOf(now);
    }
}

async function start() {
    const { now, ...table } = await getTable();
    const { title, widgets } = table;
    const shown = JSON.stringify(table);
    const topics = widgets.filter(({ kind }) => kind !== 'button').map(({ topic }) => topic);
    document.title = title;
    put($('h1'), title);
    timeOf(now);
    widgets.forEach(addWidget);
    client = duplex({
        transports: [websocket, sse, poll],
        topics: [...new Set(topics)],
        lastEventId: 'first', // what the log still holds: charts are full at once
        onEvent: (topic, data) => onEvent(widgets, topic, data),
        onNotice: (kind) => kind === 'reset' && onReset(shown),
        onMessage: toast,
        onState: showStatus,
    });
    setInterval(() => client.status.retryAt > 0 && showStatus(client.status), 500);
}

function begin() {
    start().catch((error) => {
        put($('.pill small'), `no table: ${error.message}`);
        setTimeout(begin, WAIT_MS);
    });
}
begin();
