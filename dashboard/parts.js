// The parts that several pages show: badges, weights, steps, gates, times, panels.

import { h, s } from './dom.js';
import {
  listGates, listSteps, listWeights, sayBound, sayReading, withoutFolders,
} from './figures.js';
import { PHASES, VERDICTS, sayLength, sayTime } from './words.js';

const ICONS = {
  check: 'M3 8.5l3.2 3.2L13 4.8',
  cross: 'M4 4l8 8m0-8l-8 8',
  alert: 'M8 3v6.2M8 12v.6',
  clock: 'M8 4.2V8l2.6 1.8M8 14.2A6.2 6.2 0 108 1.8a6.2 6.2 0 000 12.4z',
  dots: 'M3.4 8h.2M7.9 8h.2M12.4 8h.2',
  rise: 'M2.5 12.5h3.2V9h3.4V5.5h4.4',
  person: 'M8 7.2a2.6 2.6 0 100-5.2 2.6 2.6 0 000 5.2zM3 14c.4-3 2.4-4.4 5-4.4s4.6 1.4 5 4.4',
  back: 'M6 3.5L2.8 6.7 6 9.9M3 6.7h6.4a3.3 3.3 0 010 6.6H6.6',
  skip: 'M3.2 8h9.6',
  hand: 'M5.5 3v10M10.5 3v10',
};

export function icon(name) {
  return s('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' },
    s('path', { d: ICONS[name] }));
}

export function badge({ label, tone, icon: name }) {
  return h('span', { class: `badge ${tone}` }, icon(name), label);
}

export function phaseBadge(phase) {
  return badge(PHASES[phase] ?? { label: phase, tone: 'idle', icon: 'dots' });
}

/** A moment: the time of day, the whole of it in its title. */
export function when(at, now) {
  if (!at) return h('span', { class: 'quiet' }, 'not yet');
  return h('time', { datetime: at, title: new Date(at).toString() }, sayTime(at, now));
}

/** Who did something: you, or the object id, which is all that is kept of people. */
export function who(here, id) {
  return id === here.me.id ? 'you' : id;
}

/** What goes on counting by itself: see tick(). */
export function countdown(until, now) {
  return h('span', { 'data-until': until }, sayLength(Date.parse(until) - now));
}

/** Bring every countdown and every bar of a bake up to date. */
export function tick(now) {
  for (const shown of document.querySelectorAll('[data-until]')) {
    shown.textContent = sayLength(Date.parse(shown.dataset.until) - now);
  }
  for (const shown of document.querySelectorAll('progress[data-ends]')) {
    shown.value = shareOf(shown.dataset.begins, shown.dataset.ends, now);
  }
}

function shareOf(since, until, now) {
  const [begin, end] = [Date.parse(since), Date.parse(until)];
  return Math.min(1, Math.max(0, (now - begin) / Math.max(1, end - begin)));
}

/** The weights as one bar; each part is named beside it. */
export function weightBar(weights, roles = {}) {
  const parts = listWeights(weights, roles);
  if (!parts.length) return h('p', { class: 'quiet' }, 'No weights are known yet.');
  let left = 0;
  const drawn = parts.map(([, weight, role]) => {
    const part = s('rect', { class: role, x: left, y: 0, width: weight, height: 10 });
    left += weight;
    return part;
  });
  return h('div', { class: 'weights' },
    s('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      s('rect', { class: 'ground', width: 100, height: 10 }), drawn),
    h('ul', { class: 'shares' }, parts.map(([name, weight, role]) => h('li', { class: role },
      h('span', { class: 'swatch', 'aria-hidden': 'true' }),
      h('b', { class: 'number' }, `${weight} %`), ' ', h('span', { class: 'name' }, name),
      role === 'other' ? null : h('span', { class: 'quiet' }, ` ${role}`)))));
}

/** The deployment that has all the weight: the stable, as far as a ledger knows. */
export function servingOf(ledger) {
  const all = Object.entries(ledger?.serves ?? {}).find(([, weight]) => weight === 100);
  return all ? all[0] : ledger?.stable?.serves ?? '';
}

export function bakeBar(bake, now) {
  if (!bake) return null;
  const isLonger = Date.parse(bake.until) <= now;
  const text = isLonger
    ? 'It bakes longer than planned: its gates cannot say yet whether the candidate is good.'
    : [`Bakes at weight ${bake.weight} for another `, countdown(bake.until, now)];
  return h('div', { class: 'bake', 'data-key': `bake ${bake.since}` }, h('p', {}, text),
    h('progress', {
      'aria-label': `bake at weight ${bake.weight}`, 'data-begins': bake.since,
      'data-ends': bake.until, max: 1, value: shareOf(bake.since, bake.until, now),
    }));
}

const STATES = {
  done: ['done', 'check'], now: ['now', 'rise'], next: ['next', 'dots'],
  stopped: ['stopped here', 'cross'], left_out: ['left out', 'skip'],
};

export function stepList(rollout) {
  const steps = listSteps(rollout);
  if (!steps.length) return null;
  return h('ol', { class: 'steps' }, steps.map(([words, state]) => {
    const [said, name] = STATES[state];
    return h('li', { class: state, 'aria-current': state === 'now' ? 'step' : null },
      icon(name), h('span', {}, words, h('span', { class: 'state' }, said)));
  }));
}

/** Every gate with its last figures, held against its threshold. */
export function gateTable(rollout, now) {
  const gates = listGates(rollout);
  if (!gates.length) return h('p', { class: 'quiet' }, 'No gate was asked yet.');
  return grid('gates', ['Gate', 'Verdict', 'Candidate', 'Stable', 'Threshold', 'At'],
    gates.map((gate) => [gate.name, [
      [gateName(gate)], badge(VERDICTS[gate.verdict] ?? VERDICTS.error),
      sayReading(gate.figures, 'candidate'), sayReading(gate.figures, 'stable'),
      sayBound(gate.figures), when(gate.at, now),
    ]]));
}

/** The name of a gate; the file that it takes its requests from stands back. */
function gateName({ name, figures }) {
  const [, first, file] = /^(.*?)( \(.*\))?$/.exec(name);
  return [first, file ? h('span', { class: 'quiet', title: file }, withoutFolders(file)) : null,
    figures.dry_run ? h('span', { class: 'quiet' }, ' dry run') : null];
}

/**
 * A table of [key, cells] that becomes a list on a narrow screen, where each cell says its column.
 * The roles are said again, because a browser forgets them when the layout is another.
 */
export function grid(name, columns, rows) {
  const cell = (content, index) => h(index === 0 ? 'th' : 'td', {
    role: index === 0 ? 'rowheader' : 'cell', scope: index === 0 ? 'row' : null,
    'data-column': columns[index], class: isEmpty(content) ? 'none' : null,
  }, content);
  return h('table', { class: `grid ${name}`, role: 'table' },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map((column) =>
      h('th', { role: 'columnheader', scope: 'col' }, column)))),
    h('tbody', { role: 'rowgroup' }, rows.map(([key, cells]) =>
      h('tr', { role: 'row', 'data-key': key }, cells.map(cell)))));
}

function isEmpty(content) {
  return content === '' || content === null;
}

/** What is awaited, from whom, and until when. */
export function awaitedPanel(awaits, now) {
  if (!awaits) return null;
  const who = awaits.approvers?.length ? awaits.approvers.join(', ') : 'whoever operates rollouts';
  const isAsked = awaits.operations?.length > 0;
  const facts = [
    isAsked && ['Asked', who],
    awaits.quorum > 1 && ['Approved', `${awaits.approved_by.length} of ${awaits.quorum}`],
    awaits.not_by && ['Not by', `${awaits.not_by}, who registered the version`],
    awaits.until && ['Until', [when(awaits.until, now), ' (', countdown(awaits.until, now),
      ' left; no answer by then is a no)']],
  ].filter(Boolean);
  return h('section', { class: 'awaits', 'aria-label': 'What is awaited' },
    h('h3', {}, icon('person'), isAsked ? `Waits for people: ${awaits.what}` : 'Waits'),
    h('p', {}, awaits.text), factList(facts));
}

export function factList(facts) {
  return h('dl', { class: 'facts' }, facts.map(([name, value]) =>
    h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

/** A message that stands in the place of content: nothing there, no right, not found, no answer. */
export function panel({ title, lines = [], tone = 'idle', doing = null, level = 'h1' }) {
  return h('section', { class: `panel ${tone}` }, h(level, {}, title),
    lines.map((line) => (typeof line === 'string' ? h('p', {}, line) : line)), doing);
}

export function skeleton(rows = 3) {
  return h('div', { class: 'skeleton' }, h('h1', { class: 'hidden' }, 'Loading'),
    Array.from({ length: rows }, () => h('div', { class: 'bone', 'aria-hidden': 'true' })));
}

export function versionOf({ model, version }) {
  return `${model} ${version}`;
}

export function rolloutLink(rollout) {
  return h('a', { href: `#/rollouts/${encodeURIComponent(rollout.rollout_id)}` },
    versionOf(rollout));
}

export function endpointLink(endpoint) {
  return h('a', { href: `#/endpoints/${encodeURIComponent(endpoint)}` }, endpoint);
}

export function attempts(rollout) {
  return rollout.attempt > 1 ? h('span', { class: 'quiet' }, ` attempt ${rollout.attempt}`) : null;
}

