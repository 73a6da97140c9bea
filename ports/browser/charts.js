// One chart: lines by uPlot where the page was built with it, bars of plain elements where not.
//
//     const chart = createChart(element, { name, series: [{ label, color }], format, range });
//     chart.update(x, [y, ...], span);   x in seconds, ascending; y may be null (a hole)
//
// color is a custom property of CSS. range(low, high) gives both ends of the axis from those of the
// data; without it they are free. Its CSS is charts.css, after uPlot's.

const BAR_COUNT = 60;
const LABEL_PX = 3.5;  // half of a digit's width at 12px, and a little more
const GAP_PX = 4;      // between labels
const AXIS_GAP_PX = 6; // between the plot and the labels left of it
const EDGE_PX = 8;     // between the plot and the chart's right edge

export function createChart(host, options) {
    host.setAttribute('role', 'img');
    host.setAttribute('aria-label', options.name);
    return globalThis.uPlot ? new Lines(host, options) : new Bars(host, options);
}

// The chart's text for a screen reader; set rarely, since each change is read aloud.
function describe(host, { name, series, format }, ys) {
    const parts = series.map(({ label }, i) => {
        const known = ys[i].filter((y) => y !== null);
        return known.length === 0 ? `${label}: nothing yet`
            : `${label}: now ${format(known[known.length - 1])}, ` +
                `highest ${format(Math.max(...known))}`;
    });
    host.setAttribute('aria-label', `${name}. ${parts.join('. ')}`);
}

function clock(seconds, parts = { timeStyle: 'medium' }) {
    return new Date(seconds * 1000).toLocaleTimeString([], { ...parts, hour12: false });
}

// The next "round" number: 1, 2 or 5 times a power of ten.
export function roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

// Around the data, on round numbers.
function freeRange(low, high) {
    const step = roundUp(Math.max(high - low, Math.abs(high) / 50, 1e-9) / 2);
    return [Math.floor(low / step) * step, Math.floor(high / step + 1) * step];
}

class Lines {
    constructor(host, options) {
        this.host = host;
        this.options = options;
        this.span = 60;
        this.described = 0;
        this.readColors();
        const nothing = [[], ...options.series.map(() => [])];
        this.plot = new globalThis.uPlot(this.settings(), nothing, host);
        new ResizeObserver(() => this.resize()).observe(host);
        matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
            this.readColors();
            this.plot.redraw(false, true);
        });
    }

    readColors() {
        const style = getComputedStyle(this.host);
        this.color = (name) => style.getPropertyValue(name).trim();
    }

    settings() {
        const { series, format, range = freeRange } = this.options;
        const axis = {
            stroke: () => this.color('--soft'),
            font: '12px system-ui, sans-serif', // uPlot scales whole pixels only
            ticks: { show: false },
        };
        return {
            width: Math.max(this.host.clientWidth, 50),
            height: this.host.clientHeight,
            padding: [8, EDGE_PX, 0, 4],
            legend: { show: false },
            cursor: { sync: { key: 'board' }, drag: { x: false, y: false }, points: { size: 7 } },
            scales: {
                x: { time: true, range: () => this.range() },
                y: { range: (plot, low, high) => range(low ?? 0, high ?? 0) },
            },
            axes: [
                {
                    ...axis, grid: { show: false }, size: 26, space: 76,
                    incrs: [5, 10, 15, 30, 60, 120, 300],
                    values: (plot, at, index, space, step) =>
                        at.map((t) => this.timeLabel(plot, t, step)),
                },
                {
                    ...axis, size: this.options.axisSize ?? 50, space: 34,
                    gap: AXIS_GAP_PX,
                    grid: { stroke: () => this.color('--grid') || this.color('--line'), width: 1 },
                    values: (plot, at) => at.map((y) => format(y, true)),
                },
            ],
            series: [{}, ...series.map((one) => this.line(one))],
            hooks: { setCursor: [(plot) => this.showTip(plot)] },
        };
    }

    // No label where it would meet that of the other axis, or the chart's edge would cut it.
    timeLabel({ over }, t, step) {
        const [first, last] = this.range();
        const text = clock(t, { timeStyle: step < 60 ? 'medium' : 'short' });
        const at = (t - first) / (last - first) * over.clientWidth;
        const half = text.length * LABEL_PX;
        const fits = at >= half + GAP_PX - AXIS_GAP_PX &&
            at <= over.clientWidth + EDGE_PX - half;
        return fits ? text : '';
    }

    line({ label, color }) {
        return {
            label,
            width: 1.75,
            stroke: () => this.color(color),
            fill: (plot) => {
                const top = plot.bbox.top;
                const shade = plot.ctx.createLinearGradient(0, top, 0, top + plot.bbox.height);
                shade.addColorStop(0, `${this.color(color)}3d`);
                shade.addColorStop(1, `${this.color(color)}05`);
                return shade;
            },
            points: { show: false },
            spanGaps: false,
        };
    }

    range() {
        const times = this.plot?.data[0] ?? [];
        const last = times[times.length - 1] ?? Date.now() / 1000;
        return [last - this.span, last];
    }

    resize() {
        const { clientWidth: width, clientHeight: height } = this.host;
        if (width > 0 && height > 0) {
            this.plot.setSize({ width, height });
        }
    }

    showTip(plot) {
        const { idx, left } = plot.cursor;
        if (left < 0 || idx === null || idx === undefined) {
            this.tip?.remove();
            this.tip = null;
            return;
        }
        if (!this.tip) {
            this.tip = document.createElement('div');
            this.tip.className = 'tip';
            this.host.append(this.tip);
        }
        const time = document.createElement('time');
        time.textContent = clock(plot.data[0][idx]);
        const rows = this.options.series.map(({ label, color }, i) => {
            const row = document.createElement('div');
            const key = document.createElement('i');
            key.className = 'key';
            key.style.setProperty('--key', `var(${color})`);
            const value = plot.data[i + 1][idx];
            row.append(key, `${label} ${value === null ? 'missing' : this.options.format(value)}`);
            return row;
        });
        this.tip.replaceChildren(time, ...rows);
        const at = plot.over.offsetLeft + left;
        const flip = at > this.host.clientWidth / 2;
        this.tip.style.left = flip ? '' : `${at + 14}px`;
        this.tip.style.right = flip ? `${this.host.clientWidth - at + 14}px` : '';
    }

    update(x, ys, span) {
        this.span = span;
        this.plot.setData([x, ...ys]);
        if (Date.now() - this.described > 10000) {
            this.described = Date.now();
            describe(this.host, this.options, ys);
        }
    }
}

class Bars {
    constructor(host, options) {
        this.host = host;
        this.options = options;
        this.described = 0;
        const box = document.createElement('div');
        box.className = 'bars';
        this.rows = options.series.map(({ color }) => {
            const row = document.createElement('div');
            row.style.setProperty('--key', `var(${color})`);
            row.append(...Array.from({ length: BAR_COUNT }, () => document.createElement('i')));
            box.append(row);
            return row;
        });
        host.append(box);
    }

    update(x, ys) {
        const recent = ys.map((y) => y.slice(-BAR_COUNT));
        const known = recent.flat().filter((y) => y !== null);
        const { range = freeRange } = this.options;
        const [low, high] = range(Math.min(...known), Math.max(...known));
        recent.forEach((values, row) => {
            const bars = this.rows[row].children;
            const first = BAR_COUNT - values.length;
            for (let i = 0; i < BAR_COUNT; i++) {
                const y = i < first ? low : values[i - first] ?? low;
                bars[i].style.height = `${(y - low) / (high - low) * 100}%`;
            }
        });
        if (Date.now() - this.described > 10000) {
            this.described = Date.now();
            describe(this.host, this.options, ys);
        }
    }
}
