// Draws lines over time as plain SVG: what was measured of candidate and stable, against the bound.

import { h, s } from './dom.js';
import { sayClock } from './words.js';

const EDGE = { left: 56, right: 12, top: 12, bottom: 24 };
const HEIGHT = 180;
const INSET = 8;  // so that a mark does not lie on a figure of the scale

/**
 * Draw lines: [{role, name, points: [[milliseconds, value, mark]], isStepped}]. Marks are verdicts.
 * say gives a value in words; most is the top of the scale at least.
 */
export function chart({ title, lines, say, most = 0, since, until }) {
  const width = window.innerWidth < 720 ? 328 : 560;
  const values = lines.flatMap((line) => line.points.map(([, value]) => value));
  const scale = makeScale({ width, most: niceTop(Math.max(most, ...values, 0)), since, until });
  const drawn = s('svg', {
    class: 'chart', viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': title,
  }, grid(scale, say), lines.map((line) => draw(line, scale, say)));
  return h('figure', { class: 'figure', 'data-key': `chart ${title}` },
    h('figcaption', {}, title), drawn, legend(lines));
}

function makeScale({ width, most, since, until }) {
  const across = width - EDGE.left - EDGE.right - 2 * INSET;
  const down = HEIGHT - EDGE.top - EDGE.bottom;
  const span = Math.max(1, until - since);
  return {
    width, most, since, until,
    x: (at) => round(EDGE.left + INSET + ((at - since) / span) * across),
    y: (value) => round(EDGE.top + (1 - value / most) * down),
  };
}

function round(value) {
  return Math.round(value * 10) / 10;
}

/** Return the next of 1, 2, 2.5, 5, 10 times a power of ten. */
function niceTop(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((top) => top >= value * 0.9999);
}

function grid(scale, say) {
  const across = [0, 0.5, 1].map((share) => share * scale.most).map((value) => [
    s('line', {
      class: 'grid', x1: EDGE.left, x2: scale.width - EDGE.right, y1: scale.y(value),
      y2: scale.y(value),
    }),
    s('text', { class: 'tick', x: EDGE.left - 8, y: scale.y(value) + 4, 'text-anchor': 'end' },
      say(value)),
  ]);
  const times = [[scale.since, 'start'], [scale.until, 'end']].map(([at, anchor]) =>
    s('text', { class: 'tick', x: scale.x(at), y: HEIGHT - 6, 'text-anchor': anchor },
      sayClock(at)));
  return [across, times];
}

function draw(line, scale, say) {
  const places = line.points.map(([at, value]) => [scale.x(at), scale.y(value)]);
  if (!places.length) return null;
  const end = line.isStepped ? [[scale.x(scale.until), places.at(-1)[1]]] : [];
  const path = [...places, ...end].map(([x, y], index) => {
    if (index === 0) return `M${x} ${y}`;
    return line.isStepped ? `H${x}V${y}` : `L${x} ${y}`;
  });
  const marks = line.points.map(([at, value, mark], index) =>
    mark && markAt(...places[index], mark, `${sayClock(at)}: ${line.name} ${say(value)}, ${mark}`));
  return s('g', { class: `line ${line.role}` }, s('path', { d: path.join('') }), marks);
}

/** Draw a verdict: its form says it as well as its colour. */
function markAt(x, y, verdict, title) {
  const said = s('title', {}, title);
  const mark = `mark ${verdict}`;
  if (verdict === 'pass') return s('circle', { class: mark, cx: x, cy: y, r: 3.5 }, said);
  if (verdict === 'inconclusive') {
    return s('circle', { class: mark, cx: x, cy: y, r: 3.5 }, said);
  }
  const d = verdict === 'fail'
    ? `M${x - 4} ${y - 4}l8 8m0-8l-8 8` : `M${x} ${y - 5}l5 9h-10z`;
  return s('path', { class: mark, d }, said);
}

function legend(lines) {
  const shown = lines.filter((line) => line.points.length);
  return h('ul', { class: 'legend' }, shown.map((line) => h('li', { class: line.role },
    s('svg', { class: 'key', viewBox: '0 0 24 8', 'aria-hidden': 'true' },
      s('g', { class: `line ${line.role}` }, s('path', { d: 'M0 4H24' }))),
    line.name)));
}
