// One rollout: where it is, its gates, charts of what was measured, and the whole timeline.

import { actionRow, operationsOf, settle } from './ask.js';
import { chart } from './chart.js';
import { h } from './dom.js';
import { isOver, listSeries, listWeightHistory } from './figures.js';
import {
  attempts, awaitedPanel, badge, bakeBar, endpointLink, factList, gateTable, phaseBadge, stepList,
  versionOf, weightBar, when,
} from './parts.js';
import { isShare, sayAmount, sayLast, sayLength, VERDICTS } from './words.js';

const NEWEST = 100;  // lines of the timeline that are shown at first

export const rolloutPage = {
  title: ({ id }) => `Rollout ${id}`,

  load: (here, memory, { id }) => here.api.get(`rollouts/${encodeURIComponent(id)}`),

  settle: (here, rollout) => [settle(here, `rollout ${rollout.rollout_id}`, rollout.timeline,
    { isOver: isOver(rollout) })],

  rollouts: (rollout) => [rollout],

  view(here, rollout) {
    const now = here.api.now();
    return [
      h('div', { class: 'title' },
        h('h1', {}, versionOf(rollout), h('span', { class: 'quiet' }, ' on '),
          endpointLink(rollout.endpoint), attempts(rollout)),
        h('p', { class: 'badges' }, phaseBadge(rollout.phase), rollout.paused_by
          ? badge({ label: 'paused', tone: 'warn', icon: 'hand' }) : null)),
      h('section', { class: 'card', 'aria-label': 'Where it is' },
        rollout.awaits ? awaitedPanel(rollout.awaits, now)
          : h('p', { class: 'reason' }, rollout.reason || 'It was started.'),
        weightBar(rollout.weights, rollout), bakeBar(rollout.bake, now), actions(here, rollout)),
      h('div', { class: 'columns' },
        h('section', { class: 'card' }, h('h2', {}, 'Steps'),
          stepList(rollout) ?? h('p', { class: 'quiet' }, 'The plan is not fixed yet.')),
        h('section', { class: 'card' }, h('h2', {}, 'Gates'), gateTable(rollout, now))),
      charts(rollout, now), timeline(here, rollout, now),
      h('section', {}, h('h2', {}, 'Facts'), factList(facts(rollout, now))),
    ];
  },
};

function actions(here, rollout) {
  if (!isOver(rollout)) {
    return actionRow(here, operationsOf(rollout), {
      possible: rollout.possible ?? null, target: { rollout: rollout.rollout_id },
    });
  }
  if (rollout.phase === 'succeeded') return null;
  return actionRow(here, ['retry'], {
    target: { endpoint: rollout.endpoint, model: rollout.model, version: rollout.version },
  });
}

function charts(rollout, now) {
  const until = rollout.ended ? Date.parse(rollout.ended) : now;
  const span = { since: Date.parse(rollout.started), until };
  const series = listSeries(rollout);
  return h('section', {}, h('h2', {}, 'Charts'), h('div', { class: 'charts' },
    weightChart(rollout, span), series.map(gateChart)));
}

function weightChart(rollout, span) {
  const history = listWeightHistory(rollout);
  const lines = [['stable', rollout.stable], ['candidate', rollout.candidate]]
    .filter(([, name]) => name)
    .map(([role, name]) => ({
      role, name: `${name} (${role})`, isStepped: true,
      points: history.map(({ at, weights }) => [at, weights[name] ?? 0]),
    }));
  return chart({ title: 'Weights', lines, say: (value) => `${value} %`, most: 100, ...span });
}

function gateChart({ gate, metric, points }) {
  const span = { since: points[0].at, until: points.at(-1).at };
  const of = (side) => points.filter((point) => point[side] !== null);
  const lines = [
    { role: 'bound', name: 'threshold', points: of('bound').map((one) => [one.at, one.bound]) },
    { role: 'stable', name: 'stable', points: of('stable').map((one) => [one.at, one.stable]) },
    {
      role: 'candidate', name: 'candidate',
      points: of('candidate').map((one) => [one.at, one.candidate, one.verdict]),
    },
  ];
  const bounds = of('bound').map((one) => one.bound);
  const seen = points.flatMap((one) => [one.candidate ?? 0, one.stable ?? 0]);
  const isFar = Math.max(...bounds, 0) > 5 * Math.max(...seen, 0) && !isShare(metric);
  return chart({
    title: isFar ? `${gate} (threshold ${sayAmount(metric, bounds[0])}, far above)` : gate,
    lines: isFar ? lines.slice(1) : lines, say: (value) => sayAmount(metric, value), ...span,
  });
}

function timeline(here, rollout, now) {
  const lines = rollout.timeline;
  const shown = here.isWhole ? lines : lines.slice(-NEWEST);
  const left = rollout.timeline_left_out ?? 0;
  return h('section', {}, h('h2', {}, 'Timeline'),
    left ? h('p', { class: 'quiet' }, `The ${left} oldest lines are shown when it is over.`) : null,
    shown.length < lines.length ? h('button', {
      type: 'button', class: 'button plain', 'data-do': 'showWhole',
    }, `Show ${lines.length - shown.length} older lines`) : null,
    h('ol', { class: 'timeline' }, shown.map((entry, index) => line(entry, now,
      `${lines.length - shown.length + index + left}`))));
}

function line({ at, text, figures }, now, key) {
  const verdict = VERDICTS[figures?.verdict];
  const said = [verdict ? [badge(verdict), ' '] : null, text];
  const isLong = figures && Object.keys(figures).length > 0;
  return h('li', { 'data-key': key, class: verdict ? verdict.tone : null },
    h('span', { class: 'at' }, when(at, now)),
    isLong ? h('details', {}, h('summary', { title: 'Show the figures' }, said),
      h('pre', { tabindex: 0, 'aria-label': 'Figures' }, JSON.stringify(figures, null, 2)))
      : h('p', {}, said));
}

function facts(rollout, now) {
  const end = rollout.ended ? Date.parse(rollout.ended) : now;
  return [
    ['Rollout id', h('code', {}, rollout.rollout_id)], ['Policy', rollout.policy],
    rollout.policy_hash && ['Policy hash', h('code', {}, rollout.policy_hash)],
    ['Candidate', rollout.candidate || 'none yet'],
    ['Stable', rollout.stable || 'none: the first version'],
    ['Started', when(rollout.started, now)],
    ['Ended', rollout.ended ? when(rollout.ended, now) : 'it is in flight'],
    ['Took', sayLength(end - Date.parse(rollout.started))],
    ['Workspace', sayLast(rollout.workspace)],
  ].filter(Boolean);
}
