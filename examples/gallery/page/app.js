// The page of gallery.c: a card for each example that runs.

import { $, make } from './shell.js';

const ABOUT = {
    dashboard: ['WebSocket, SSE or polling', 'Live sensors of the machine, a switch, a log'],
    board: ['WebSocket', 'A whiteboard and lines of text that everybody edits'],
    chat: ['WebSocket', 'Many talk: history, who is here, checked names, no spam'],
    remote: ['WebSocket', 'A joystick at 60 Hz with a dead-man stop, round trips drawn'],
    ticker: ['all', 'Prices at 1 kHz and a feed: four transports side by side'],
    tokens: ['SSE and POST', 'Tokens of a language model as they come, stopped and resumed'],
    upload: ['POST and SSE', 'A firmware update in pieces that survives a cut'],
    rtc: ['WebSocket', 'WebRTC: two pages find each other through the device'],
};

const runs = (await (await fetch('list')).text()).split(' ').filter(Boolean);
for (const run of runs) {
    const [name, port] = run.split('=');
    const [transport = '', text = ''] = ABOUT[name] ?? [];
    $('list').append(make('a', {
        className: 'card', href: `${location.protocol}//${location.hostname}:${port}/`,
    }, make('h2', {}, name), make('p', {}, text), make('p', { className: 'note' }, transport)));
}
