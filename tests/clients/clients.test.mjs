// Real clients against the examples echo and hub: the packages ws and eventsource, node's own HTTP
// client, curl, and raw sockets where a client would not send what is to be refused.
//     node tests/clients/clients.test.mjs build/echo build/hub [PART OF A TEST NAME]
// RTPUSH_SUITES='echo http' runs these files alone.
import process from 'node:process';
import { runAll } from './harness.mjs';

const [echo, hub, only] = process.argv.slice(2);
if (!hub) {
  console.log('usage: node tests/clients/clients.test.mjs ECHO HUB [PART OF A TEST NAME]');
  process.exit(2);
}
const all = 'echo http events sockets polling pool slots';
for (const suite of (process.env.RTPUSH_SUITES ?? all).split(' ')) {
  (await import(`./${suite}.mjs`)).default(suite === 'echo' ? echo : hub);
}
await runAll(only);
