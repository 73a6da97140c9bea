// What the tests of pages check with.

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

// Runs in the page: controls that a screen reader could not name.
export function nameless() {
    return [...document.querySelectorAll('button, input, [role=log], [role=img]')].filter((e) => {
        const by = e.getAttribute('aria-labelledby');
        return !(e.getAttribute('aria-label') || (by && document.getElementById(by)?.textContent) ||
            e.labels?.[0]?.textContent.trim() || e.textContent.trim());
    }).map((e) => e.outerHTML);
}
