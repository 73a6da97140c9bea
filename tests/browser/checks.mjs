// What the tests of pages check with, and the programs that serve the pages.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { patience } from '../patience.mjs';

export const WAIT_MS = 30000 * patience(); // for anything to happen

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms).unref());

export function check(condition, words) {
    if (!condition) {
        throw new Error(words);
    }
}

export function same(actual, expected, words) {
    check(JSON.stringify(actual) === JSON.stringify(expected),
        `${words}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

export async function until(what, condition) {
    const end = Date.now() + WAIT_MS;
    while (!(await condition())) {
        check(Date.now() < end, `never came: ${what}`);
        await sleep(50);
    }
}

// -- programs that serve

const programs = new Set();
process.on('exit', () => programs.forEach((child) => child.kill('SIGKILL')));

// Starts a program that says where it listens: { child, url, port }.
export async function startProgram(program, args, scheme = 'http') {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    programs.add(child);
    child.once('exit', () => programs.delete(child));
    const said = await Promise.race([
        once(createInterface({ input: child.stdout }), 'line').then(([line]) => line),
        once(child, 'exit').then(([code]) => `exit ${code}`),
        sleep(WAIT_MS).then(() => 'nothing'),
    ]);
    const found = /^listening on http(:\/\/127\.0\.0\.1:(\d+))$/.exec(said);
    check(found, `server said: ${said}`);
    return { child, url: scheme + found[1], port: Number(found[2]) };
}

// By its own process id. Resolves to the exit status, or the signal's name.
export async function stopProgram({ child }, signal = 'SIGTERM') {
    const ended = once(child, 'exit');
    child.kill(signal);
    const result = await Promise.race([ended, sleep(WAIT_MS).then(() => null)]);
    check(result, 'server did not end');
    return result[0] ?? result[1];
}

// -- how a page looks, for page.evaluate

// Runs in the page: text whose contrast with what lies behind it is below WCAG AA.
export function lowContrast() {
    const parse = (color) => {
        const n = color.match(/-?[\d.]+/g).map(Number);
        const scale = color.startsWith('color(') ? 255 : 1;
        return [n[0] * scale, n[1] * scale, n[2] * scale, n[3] ?? 1];
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
    const behind = (element) => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) {
            const color = parse(getComputedStyle(e).backgroundColor);
            layers.unshift(color);
            if (color[3] === 1) {
                break;
            }
        }
        return layers.reduce((below, color) => over(color, below), [255, 255, 255]);
    };
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        const aside = element.closest(':disabled, .sr, noscript, .skip');
        if (!own || aside || !element.checkVisibility()) {
            continue;
        }
        const back = behind(element);
        const text = over(parse(getComputedStyle(element).color), back);
        const [high, low] = [light(text), light(back)].sort((a, b) => b - a);
        const ratio = (high + 0.05) / (low + 0.05);
        if (ratio < 4.5) {
            found.push(`${element.id || element.className || element.tagName} ${ratio.toFixed(2)}`);
        }
    }
    return found;
}

// Runs in the page: controls that a screen reader could not name, and lists whose items it would
// not know as such, because they have another role (WAI-ARIA 1.2 5.4: listitem).
export function nameless() {
    const lists = 'ol[role]:not([role=list]), ul[role]:not([role=list])';
    const named = 'button, input, ol, [role=log], [role=img]';
    const nameless = [...document.querySelectorAll(named)].filter((e) => {
        const by = e.getAttribute('aria-labelledby');
        return !(e.getAttribute('aria-label') || (by && document.getElementById(by)?.textContent) ||
            e.labels?.[0]?.textContent.trim() || e.textContent.trim());
    });
    return [...nameless, ...document.querySelectorAll(lists)].map((e) => e.outerHTML);
}

// Runs in the page: what scrolls, and cannot be reached by the keyboard (WCAG 2.1.1).
export function keyboardless() {
    const inside = 'a[href], button:enabled, input:enabled, select:enabled, [tabindex="0"]';
    return [...document.querySelectorAll('body *')].filter((e) => {
        const { overflowX, overflowY } = getComputedStyle(e);
        const scrolls = (e.scrollWidth > e.clientWidth && /auto|scroll/.test(overflowX)) ||
            (e.scrollHeight > e.clientHeight && /auto|scroll/.test(overflowY));
        return scrolls && e.tabIndex < 0 && !e.querySelector(inside);
    }).map((e) => e.outerHTML.slice(0, 80));
}
