// The page of board.c. A message is a cell's or line's new content, never a difference, so whatever
// comes last is right, and nothing must be kept to reconnect.

import { websocket } from './rtpush.js';
import { $, live, make, toast } from './shell.js';

const WIDTH = 36;
const HEIGHT = 24;
const LINES = 6;
const NOWHERE = 255;
const CELLS_MAX = 64; // of one message
const SEND_MS = 50;
const CELL = 20; // pixels of the canvas
const COLOURS = [
    ['White', '#ffffff'], ['Black', '#1b1f27'], ['Red', '#d8344c'], ['Orange', '#ef8a32'],
    ['Yellow', '#f3cf3e'], ['Green', '#2f9e66'], ['Blue', '#3562d8'], ['Violet', '#8b48c9'],
];

const canvas = $('canvas');
const brush = canvas.getContext('2d');
const cells = new Uint8Array(WIDTH * HEIGHT);
const lines = [];
let colour = 1;
let me = -1;       // my number among the pointers
let pointers = []; // of the others: number, x, y
let painted = [];  // x, y, colour: not sent yet
let at = null;     // x, y where my pointer is, to be sent
let last = null;   // where the stroke is

canvas.width = WIDTH * CELL;
canvas.height = HEIGHT * CELL;

function draw() {
    for (let i = 0; i < cells.length; i++) {
        brush.fillStyle = COLOURS[cells[i]]?.[1] ?? '#fff';
        brush.fillRect((i % WIDTH) * CELL, Math.floor(i / WIDTH) * CELL, CELL, CELL);
    }
    for (const [number, x, y] of pointers) {
        brush.beginPath();
        brush.arc((x + 0.5) * CELL, (y + 0.5) * CELL, CELL * 0.55, 0, 7);
        brush.fillStyle = `hsl(${number * 137} 80% 45%)`;
        brush.fill();
        brush.lineWidth = 4;
        brush.strokeStyle = '#fff';
        brush.stroke();
    }
}

let drawn = 0;
const redraw = () => { drawn ||= requestAnimationFrame(() => { drawn = 0; draw(); }); };

const client = live({
    transports: [websocket],
    onMessage(data) { me = data[0]; },
    onEvent(topic, data) {
        const n = Number(topic.replace(/\D+/, ''));
        if (topic.startsWith('row')) {
            cells.set(data, n * WIDTH);
        } else if (topic.startsWith('line')) {
            lines[n].value = data;
        } else {
            pointers = [];
            for (let i = 0; i < data.length; i += 3) {
                if (data[i] !== me) {
                    pointers.push([data[i], data[i + 1], data[i + 2]]);
                }
            }
            $('others').textContent = pointers.length > 0 ? `${pointers.length} pointing at it`
                : 'nobody else points at it';
        }
        redraw();
    },
});

const send = (message) => client.send(message).catch(() => toast('Not connected: this is lost.'));

setInterval(() => {
    for (; painted.length > 0; painted = painted.slice(3 * CELLS_MAX)) {
        send(Uint8Array.of(0x70, ...painted.slice(0, 3 * CELLS_MAX)));
    }
    if (at) {
        send(Uint8Array.of(0x6d, ...at));
        at = null;
    }
}, SEND_MS);

// -- drawing

function cellOf(event) {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * WIDTH);
    const y = Math.floor(((event.clientY - box.top) / box.height) * HEIGHT);
    return [Math.max(0, Math.min(WIDTH - 1, x)), Math.max(0, Math.min(HEIGHT - 1, y))];
}

// Every cell between: a fast pointer skips some.
function stroke([x, y], [toX, toY]) {
    const steps = Math.max(Math.abs(toX - x), Math.abs(toY - y), 1);
    for (let i = 0; i <= steps; i++) {
        const cx = Math.round(x + ((toX - x) * i) / steps);
        const cy = Math.round(y + ((toY - y) * i) / steps);
        if (cells[cy * WIDTH + cx] !== colour) {
            cells[cy * WIDTH + cx] = colour;
            painted.push(cx, cy, colour);
        }
    }
    redraw();
}

canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = cellOf(event);
    stroke(last, last);
});
canvas.addEventListener('pointermove', (event) => {
    const cell = cellOf(event);
    at = cell;
    if (last) {
        stroke(last, cell);
        last = cell;
    }
});
for (const name of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(name, () => { last = null; });
}
canvas.addEventListener('pointerleave', () => { at = [NOWHERE, 0]; });

COLOURS.forEach(([name, value], i) => {
    const input = make('input', {
        type: 'radio', name: 'colour', checked: i === colour, ariaLabel: name,
        onchange() { colour = i; },
    });
    const swatch = make('span');
    swatch.style.setProperty('--c', value);
    $('colours').append(make('label', { title: name }, input, swatch));
});

for (let i = 0; i < LINES; i++) {
    lines.push(make('input', {
        className: 'field', maxLength: 40, ariaLabel: `Line ${i + 1}`,
        oninput() { send(i + this.value); },
    }));
}
$('lines').append(...lines);
draw();
