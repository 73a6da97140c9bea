// What an interrupt publishes, one event a millisecond, reaches every reader once and in order, or
// the reader is told how many it missed. For firmware of tests/device/conformance_board.c:
//     node tests/clients/interrupt.test.mjs '{"board":"lm3s6965evb","elf":"..."}'
import process from 'node:process';
import { call, check, equal, openEvents, runAll, test } from './harness.mjs';
import { startTarget } from './device.mjs';

const how = { ...JSON.parse(process.argv[2]), probe: '/hello' };
const TOTAL = 2000; // INTERRUPT_EVENTS

test('events_published_in_an_interrupt_arrive_once_in_order_or_are_told_of', async () => {
  const device = await startTarget(how);
  const readers = [];
  for (let i = 0; i < 3; i++) {
    const r = await openEvents(`${device.url}/events?topics=log`);
    await r.wait('the notice', () => r.notices.length);
    readers.push(r);
  }
  equal((await call(`${device.url}/interrupt`)).status, 200, 'status');
  const told = (r) => r.notices.slice(1).reduce((sum, n) => sum + Number(n.split(' ')[1]), 0);
  for (const r of readers) {
    await r.wait('all events', () => r.events.length + told(r) >= TOTAL, 25_000);
    equal(r.events.length + told(r), TOTAL, 'events and those missed');
    check(r.events.length > TOTAL / 4, `only ${r.events.length} events arrived`);
    const numbers = r.events.map((e) => Number(e.data));
    check(numbers.every((n, i) => i === 0 || n > numbers[i - 1]), 'the order is wrong');
    console.log(`     ${r.events.length} events, ${told(r)} told missing`);
  }
  device.alive();
  await device.stop();
}, 60_000);

await runAll();
