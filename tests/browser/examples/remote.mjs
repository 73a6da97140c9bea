// examples/remote: the vehicle moves on every page, one steers at a time, and it stops when the
// link of its driver is silent.

import { check, same, sleep, until } from '../checks.mjs';

// 3 s instead of 200 ms: a busy machine is not a silent link.
export const args = ['--silent', '3000'];
export const query = '?silent=3000';

const text = (page, id) => page.textContent(`#${id}`);

// Holds the stick to the right.
async function hold(page) {
    await page.locator('#stick').scrollIntoViewIfNeeded();
    const box = await page.locator('#stick').boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, box.y + box.height / 2);
}

// A driver of our own: says once where its stick is, and then nothing, with its link open.
const drive = (page, [x, y], times = 1) => page.evaluate(async ([dx, dy, n]) => {
    globalThis.driver = new WebSocket(`ws://${location.host}/ws`);
    globalThis.driver.binaryType = 'arraybuffer';
    await new Promise((done) => { globalThis.driver.onopen = done; });
    for (let i = 0; i < n; i++) {
        globalThis.driver.send(Uint8Array.of(i, 0, dx, dy));
    }
}, [x, y, times]);

export default async function remote(k) {
    const { test } = k;
    const stopped = async (page) => (await text(page, 'mode')).startsWith('stopped');

    await test('one steers, the others see it, and cannot meanwhile', async () => {
        const a = await k.live();
        const b = await k.live();
        await hold(a);
        await until('steering', async () => (await text(a, 'who')) === 'you steer');
        await until('seen', async () => (await text(b, 'who')) === 'somebody steers');
        same(await text(b, 'mode'), 'is steered', 'mode');
        await hold(b);
        await sleep(300);
        same([await text(a, 'who'), await text(b, 'who')], ['you steer', 'somebody steers'], 'who');
        check(/\d ms$/.test(await text(a, 'middle')), 'no round trip');
        await a.mouse.up();
        await until('the other steers', async () => (await text(b, 'who')) === 'you steer');
        await b.mouse.up();
        await until('at rest', async () => (await text(a, 'mode')) === 'stands');
    });

    await test('the vehicle stops when its driver is silent, or leaves', async () => {
        const page = await k.live();
        await drive(page, [100, 0]); // its connection stays open
        await until('stopped', () => stopped(page));
        const a = await k.live();
        await hold(a);
        await until('steered', async () => (await text(page, 'mode')) === 'is steered');
        await a.context().close();
        await until('stopped', () => stopped(page));
    });

    await test('the page lets go when nothing answers', async () => {
        const page = await k.live();
        await hold(page);
        await until('steering', async () => (await text(page, 'who')) === 'you steer');
        k.signal('SIGSTOP');
        await page.waitForSelector('#stick.lost');
        k.signal('SIGCONT');
        await until('not steered', async () => (await text(page, 'mode')) !== 'is steered');
        await page.mouse.up();
        await hold(page);
        await until('again', async () => (await text(page, 'who')) === 'you steer');
        await page.mouse.up();
    });

    await test('bad messages end their sender alone', async () => {
        const page = await k.live();
        for (const message of ['', 'left', [1, 2, 3], [1, 2, 3, 4, 5], []]) {
            same(await k.hostile(page, [message]), 1008, `close code of ${message}`);
        }
        same(await k.hostile(page, ['x'.repeat(1000)]), 1009, 'too long');
        await k.hostile(page, Array(3000).fill([0, 0, 128, 128]), 'ws', 1000);
        await until('stopped', () => stopped(page));
        await hold(page);
        await until('steering', async () => (await text(page, 'who')) === 'you steer');
        await page.mouse.up();
    });

    await test('a page comes back by itself', async () => {
        const page = await k.live();
        await k.stop();
        await until('lost', async () => !(await k.isLive(page)));
        await k.start();
        await until('live', () => k.isLive(page));
        await hold(page);
        await until('steering', async () => (await text(page, 'who')) === 'you steer');
        await page.mouse.up();
    }, k.OUTAGE);
}
