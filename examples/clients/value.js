// <rtpush-value topic="temp"></rtpush-value> shows the newest value of a topic, dim while it may be
// old. All of a page share one connection.
import connect from './rtpush.js';

const shown = new Map(); // topic: its elements

function start() {
    connect({
        topics: [...shown.keys()],
        onEvent: (topic, data) => shown.get(topic).forEach((e) => { e.textContent = data; }),
        onState: ({ state }) => { document.body.style.opacity = state === 'open' ? 1 : 0.5; },
    });
}

customElements.define('rtpush-value', class extends HTMLElement {
    connectedCallback() {
        const topic = this.getAttribute('topic');
        if (shown.size === 0) {
            queueMicrotask(start); // all elements of the page are known then
        }
        shown.set(topic, [...shown.get(topic) ?? [], this]);
    }
});
