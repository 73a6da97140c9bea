// Node.js with eventsource: prints what comes, reconnects by itself and misses nothing.
//     node events.mjs http://127.0.0.1:8081/events temp news
import { EventSource } from 'eventsource';

const [, , url, ...topics] = process.argv;
const source = new EventSource(`${url}?topics=${topics}`);
for (const topic of topics) {
    source.addEventListener(topic, ({ data }) => console.log(topic, data));
}
