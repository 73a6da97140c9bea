// The page of chat.c.

import { websocket } from './rtpush.js';
import { $, live, make, toast } from './shell.js';

// Whose name it is: another page cannot take it, this one gets it back when it comes again.
const key = sessionStorage.key_ ??= [...crypto.getRandomValues(new Uint8Array(8))]
    .map((byte) => byte.toString(16).padStart(2, '0')).join('');
let name = sessionStorage.name_ ?? '';
let asked = '';

function row(className, ...children) {
    const list = $('said');
    const low = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(make('li', { className }, ...children));
    while (list.children.length > 500) {
        list.firstChild.remove();
    }
    if (low) {
        list.scrollTop = list.scrollHeight;
    }
}

function joined(as) {
    name = sessionStorage.name_ = as;
    $('about').textContent = as ? `you are ${as}` : 'say who you are';
    $('name-form').hidden = as !== '';
    $('say-form').hidden = as === '';
    (as ? $('say') : $('name')).focus();
}

const client = live({
    transports: [websocket],
    lastEventId: 'first', // all that the log holds
    onState({ state }) {
        if (state === 'open' && name) {
            ask(name);
        }
    },
    onEvent(topic, data) {
        const value = JSON.parse(data);
        if (topic === 'people') {
            $('people').replaceChildren(...value.map((who) => (
                make('li', {}, make('bdi', {}, who)))));
            $('count').textContent = value.length === 1 ? '1 person' : `${value.length} people`;
        } else {
            row(value.name === name ? 'mine' : '', make('b', {}, make('bdi', {}, value.name)),
                make('bdi', {}, value.text));
        }
    },
    onMessage(text) {
        if (text === 'welcome') {
            joined(asked);
        } else {
            toast(text);
            if (/taken|first a name/.test(text)) {
                joined('');
            }
        }
    },
    onNotice(kind, n) {
        if (kind === 'gap') {
            row('break', `${n} lines are missing`);
        } else if (kind === 'reset') {
            row('break', 'the device has started again');
        }
    },
});

const send = (text) => client.send(text).catch(() => toast('Not connected.'));

function ask(as) {
    asked = as;
    send(`name ${key} ${as}`);
}

$('name-form').onsubmit = (event) => {
    event.preventDefault();
    ask($('name').value.trim());
};
$('say-form').onsubmit = (event) => {
    event.preventDefault();
    send(`say ${$('say').value}`);
    $('say').value = '';
};
