// What rtpush.d.ts must accept and, behind @ts-expect-error, refuse. Not run: tsc only.
import connectAll, {
    connect, duplex, poll, sse, tabs, websocket,
} from '../../ports/browser/rtpush.js';
import type { Options, Status, Transport } from '../../ports/browser/rtpush.js';

const options: Options = {
    transports: [websocket, { ...sse, path: 'live' }, poll],
    topics: ['a'],
    ticket: async () => 'text',
    onEvent: (topic, data, id) => {
        const words: string = typeof data === 'string' ? data : String(data.length);
        console.log(topic, words, id.length);
    },
    onNotice: (kind, n) => console.log(kind === 'gap' ? n + 1 : kind),
    onState: ({ state, retryAt }: Status) => console.log(state === 'open', retryAt - Date.now()),
};
const client = connect(options);
const handed: Promise<true | undefined> = client.send(new Uint8Array(3));
const words: Promise<string> = duplex({ ...options, control: 'c' }).send('text', { ack: true });
connectAll({ topics: ['a'] }).close();
connectAll({ transports: [{ ...tabs, script: 'rtpush.js' }, sse] }).reconnect(10);
const mine: Transport = { name: 'mine', path: 'x', open: (url, { take }) => (
    take('topic', url.href), { close() {} }) };
console.log(handed, words, mine);

// @ts-expect-error: a page names its transports
connect({ topics: [] });
// @ts-expect-error: values, not names
connect({ transports: ['sse'] });
// @ts-expect-error: no such state
console.log(client.status.state === 'up');
// @ts-expect-error: the status cannot be changed
client.status.refusal = 401;
// @ts-expect-error: only duplex waits for acknowledgements
client.send('text', { ack: true });
