// Real clients against the examples echo and hub: the packages ws and eventsource, node's own HTTP
// client, curl, and raw sockets where a client would not send what is to be refused.
//     node tests/clients/clients.test.mjs build/echo build/hub [PART OF A TEST NAME]
import process from 'node:process';
import { runAll } from './harness.mjs';

const [echo, hub, only] = process.argv.slice(2);
if (!hub) {
  console.log('usage: node tests/clients/clients.test.mjs ECHO HUB [PART OF A TEST NAME]');
  process.exit(2);
}
(await import('./echo.mjs')).default(echo);
(await import('./http.mjs')).default(hub);
(await import('./events.mjs')).default(hub);
(await import('./sockets.mjs')).default(hub);
(await import('./polling.mjs')).default(hub);
(await import('./pool.mjs')).default(hub);
(await import('./slots.mjs')).default(hub);
await runAll(only);
