// examples/board: cells, lines and pointers of one page on another, late joiners, bad messages.

import { check, same, until } from '../checks.mjs';

// The colour that a page shows in the middle of a cell.
const cell = (page, x, y) => page.evaluate(([cx, cy]) => {
    const data = document.getElementById('canvas').getContext('2d')
        .getImageData(cx * 20 + 10, cy * 20 + 10, 1, 1).data;
    return [...data].slice(0, 3).join();
}, [x, y]);
const BLACK = '27,31,39';
const RED = '216,52,76';
const READ = /willReadFrequently/; // what Chromium says of getImageData

// A stroke from cell to cell.
async function stroke(page, from, to) {
    await page.locator('#canvas').scrollIntoViewIfNeeded();
    const box = await page.locator('#canvas').boundingBox();
    const at = ([x, y]) => [
        box.x + ((x + 0.5) * box.width) / 36, box.y + ((y + 0.5) * box.height) / 24,
    ];
    await page.mouse.move(...at(from));
    await page.mouse.down();
    await page.mouse.move(...at(to));
    await page.mouse.up();
    await page.mouse.move(2, 2); // or its pointer hides the cell
}

export default async function board(k) {
    const { test } = k;
    const line = (page, n) => page.locator('#lines input').nth(n);

    await test('one page draws and writes, another shows it, and a late joiner too', async () => {
        const a = await k.live();
        const b = await k.live();
        await stroke(a, [2, 3], [9, 10]);
        for (const i of [0, 3, 7]) {
            await until('the stroke', async () => (await cell(b, 2 + i, 3 + i)) === BLACK);
        }
        await b.locator('label[title=Red]').click();
        await stroke(b, [5, 6], [5, 6]); // over the other's stroke: the last writer wins
        await until('the other colour', async () => (await cell(a, 5, 6)) === RED);
        await line(a, 1).fill('grüße <b>');
        await until('the line', async () => (await line(b, 1).inputValue()) === 'grüße <b>');
        await line(b, 1).fill('mine');
        await until('the last writer', async () => (await line(a, 1).inputValue()) === 'mine');
        const late = await k.live();
        await until('all of it', async () => (await cell(late, 9, 10)) === BLACK &&
            (await cell(late, 5, 6)) === RED && (await line(late, 1).inputValue()) === 'mine');
    }, READ);

    await test('a pointer is seen by the others and goes with its page', async () => {
        const a = await k.live();
        const b = await k.live();
        await a.locator('#canvas').hover();
        await until('a pointer', async () => (await b.textContent('#others')).startsWith('1 '));
        check((await a.textContent('#others')).startsWith('nobody'), 'its own pointer');
        await a.context().close();
        await until('no pointer', async () => (
            await b.textContent('#others')).startsWith('nobody'));
    });

    await test('bad messages end their sender alone and change nothing', async () => {
        const page = await k.live();
        await line(page, 0).fill('stays');
        const bad = ['9x', 'hello', '0\u0007', `0${'x'.repeat(200)}`, [], [1, 2, 3], [0x70, 1, 2],
            [0x70, 36, 0, 1], [0x70, 0, 24, 1], [0x70, 0, 0, 8], [0x70, ...Array(3 * 65).fill(0)],
            [0x6d, 36, 0], [0x6d, 1], [0x6d, 0, 24], [0x70, 0, 0, 3, 99, 99, 9]];
        for (const message of bad) {
            same(await k.hostile(page, [message]), 1008, `close code of ${message}`);
        }
        same(await k.hostile(page, ['x'.repeat(1000)]), 1009, 'too long');
        const flood = Array(3000).fill([0x70, 0, 23, 2]);
        same(await k.hostile(page, flood, 'ws', 1000), null, 'a flood');
        await until('still served', async () => (await cell(page, 0, 23)) === RED);
        same(await line(page, 0).inputValue(), 'stays', 'line');
        check((await cell(page, 0, 0)) !== '239,138,50', 'half of a bad message was taken');
    }, READ);

    await test('a page comes back by itself, to what the board is now', async () => {
        const page = await k.live();
        await line(page, 3).fill('before');
        await k.stop();
        await until('lost', async () => !(await k.isLive(page)));
        await k.start();
        await until('live', () => k.isLive(page));
        await until('the new board', async () => (await cell(page, 5, 6)) === '255,255,255');
        await stroke(page, [30, 20], [31, 20]);
        const other = await k.live();
        await until('drawing', async () => (await cell(other, 30, 20)) === BLACK);
    }, new RegExp(`${k.OUTAGE.source}|${READ.source}`));
}
