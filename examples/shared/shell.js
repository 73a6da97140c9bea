// What the pages of the examples share: the connection, and what the page says about it.

import { duplex } from './rtpush.js';

export const $ = (id) => document.getElementById(id);

const WORDS = {
    connecting: 'Connecting', open: 'Live', silent: 'No answer', waiting: 'Connection lost',
    refused: 'Refused', hidden: 'Asleep', closed: 'Closed',
};

// duplex() of rtpush.js. Its state stands in the pill and on <main>, which look.css dims unless it
// is live.
export function live(options) {
    return duplex({
        ...options,
        onState(status) {
            $('pill').dataset.state = status.state;
            $('pill').querySelector('strong').textContent = WORDS[status.state];
            document.querySelector('main').dataset.state = status.state;
            options.onState?.(status);
        },
    });
}

// A sentence at the lower edge, for some seconds.
export function toast(text) {
    $('toast').textContent = text;
    $('toast').hidden = false;
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => { $('toast').hidden = true; }, 4000);
}

// An element: make('li', { className: 'mine' }, 'text', otherElement)
export function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
}
