// The first page: every endpoint with its live weights, and what is in flight on it.

import { actionRow, operationsOf, settle } from './ask.js';
import { h } from './dom.js';
import { listGates } from './figures.js';
import {
  attempts, awaitedPanel, badge, bakeBar, endpointLink, gateTable, panel, phaseBadge, rolloutLink,
  servingOf, stepList, weightBar, when, who,
} from './parts.js';
import { sayCount } from './words.js';

const WHOLE = 6;  // rollouts in flight that are shown with steps and gates
const CARDS = 40;
const LEDGERS_EVERY = 60_000;  // milliseconds; ledgers are long, and change with the rollouts

export const endpointsPage = {
  title: () => 'Endpoints',

  async load(here, memory) {
    const { rollouts } = await here.api.get('rollouts?state=in_flight&limit=200');
    const signs = JSON.stringify(rollouts.map((one) => [one.rollout_id, one.phase]));
    const isOld = Date.now() - (memory.at ?? 0) > LEDGERS_EVERY;
    if (signs !== memory.signs || isOld || here.isAsking('endpoint')) {
      const { endpoints } = await here.api.get('endpoints');
      Object.assign(memory, { signs, at: Date.now(), endpoints });
    }
    const urgent = rollouts.toSorted((one, two) => isAsking(two) - isAsking(one)).slice(0, WHOLE);
    const whole = await Promise.all(urgent.map((one) =>
      here.api.get(`rollouts/${encodeURIComponent(one.rollout_id)}`)));
    const byId = new Map(whole.map((one) => [one.rollout_id, one]));
    return {
      endpoints: memory.endpoints,
      flight: rollouts.map((one) => byId.get(one.rollout_id) ?? one),
    };
  },

  settle(here, { endpoints, flight }) {
    return [
      ...flight.map((one) => settle(here, `rollout ${one.rollout_id}`, one.timeline ?? [])),
      ...endpoints.map((one) => settle(here, `endpoint ${one.endpoint}`, one.answers)),
    ];
  },

  rollouts: ({ flight, endpoints }) => [
    ...flight,
    ...endpoints.flatMap((one) => one.ended.slice(-1).map((end) =>
      ({ ...end, endpoint: one.endpoint }))),
  ],

  view(here, { endpoints, flight }) {
    if (!endpoints.length && !flight.length) return [h('h1', {}, 'Endpoints'), emptyPanel()];
    const cards = listCards(endpoints, flight, here.filter ?? '');
    const shown = cards.slice(0, CARDS);
    return [
      h('div', { class: 'title' }, h('h1', {}, 'Endpoints'), h('p', { class: 'quiet' },
        `${sayCount(endpoints.length, 'endpoint')}, ${flight.length} in flight`)),
      endpoints.length > 8 ? filterField(here) : null,
      h('div', { class: 'cards' }, shown.map((card) => drawCard(here, card))),
      cards.length > shown.length ? h('p', { class: 'quiet' },
        `${cards.length - shown.length} more: filter by name to see them.`) : null,
      cards.length ? null : h('p', { class: 'quiet' }, 'No endpoint has that in its name.'),
    ];
  },
};

function isAsking(rollout) {
  return Number((rollout.awaits?.operations?.length ?? 0) > 0);
}

/** Return a card per endpoint: those that wait for people first, then what is in flight. */
function listCards(endpoints, flight, filter) {
  const known = new Map(endpoints.map((one) => [one.endpoint, { name: one.endpoint, ledger: one }]));
  for (const rollout of flight) {
    const card = known.get(rollout.endpoint) ?? { name: rollout.endpoint, ledger: null };
    known.set(rollout.endpoint, { ...card, rollout });
  }
  const rank = ({ rollout, ledger }) => {
    if (rollout) return isAsking(rollout) ? 0 : 1;
    return ledger?.held ? 2 : 3;
  };
  return [...known.values()]
    .filter(({ name }) => name.includes(filter))
    .sort((one, two) => rank(one) - rank(two) || one.name.localeCompare(two.name));
}

function filterField(here) {
  return h('p', { class: 'field short' }, h('label', { for: 'filter' }, 'Endpoints with'),
    h('input', { id: 'filter', type: 'search', 'data-filter': 'endpoints', value: here.filter,
      placeholder: 'part of the name', autocomplete: 'off' }));
}

function drawCard(here, { name, ledger, rollout }) {
  const weights = rollout && Object.keys(rollout.weights).length
    ? rollout.weights : ledger?.serves ?? {};
  const roles = rollout ?? { stable: servingOf(ledger) };
  return h('section', { class: 'card', 'data-key': name, 'aria-label': `Endpoint ${name}` },
    h('div', { class: 'title' }, h('h2', {}, endpointLink(name)), marksOf(ledger, rollout)),
    weightBar(weights, roles),
    rollout ? flightOf(here, rollout) : restOf(here, ledger),
    ledger?.held ? h('p', { class: 'mark' }, `Held by ${who(here, ledger.held.by)}: ${ledger.held.reason}`)
      : null);
}

function marksOf(ledger, rollout) {
  return h('p', { class: 'badges' },
    rollout ? phaseBadge(rollout.phase) : badge({ label: 'at rest', tone: 'idle', icon: 'check' }),
    ledger?.held ? badge({ label: 'held', tone: 'warn', icon: 'hand' }) : null,
    rollout?.paused_by ? badge({ label: 'paused', tone: 'warn', icon: 'hand' }) : null);
}

function flightOf(here, rollout) {
  const now = here.api.now();
  const isWhole = rollout.timeline !== undefined;
  return [
    h('h3', {}, rolloutLink(rollout), attempts(rollout), h('span', { class: 'quiet' },
      ' since ', when(rollout.started, now), `, policy ${rollout.policy}`)),
    rollout.awaits ? awaitedPanel(rollout.awaits, now) : h('p', {}, rollout.reason),
    bakeBar(rollout.bake, now),
    isWhole ? actionRow(here, operationsOf(rollout), {
      possible: rollout.possible, target: { rollout: rollout.rollout_id },
    }) : null,
    isWhole && rollout.steps.length ? h('div', { class: 'columns' }, stepList(rollout),
      listGates(rollout).length ? gateTable(rollout, now) : null) : null,
  ];
}

function restOf(here, ledger) {
  const last = ledger.ended.at(-1);
  const now = here.api.now();
  return h('p', {}, last
    ? ['Last: ', rolloutLink(last), ' ', phaseBadge(last.phase), ' ',
      h('span', { class: 'quiet' }, when(last.at, now), ': ', last.reason)]
    : 'Nothing was rolled out on it yet.');
}

function emptyPanel() {
  return panel({
    title: 'Nothing was rolled out yet', level: 'h2',
    lines: [
      'A rollout starts when a model version is registered that a policy selects. Here is how:',
      h('ol', { class: 'how' },
        h('li', {}, 'Write a policy into ', h('code', {}, 'policies/'), ' and check it: ',
          h('code', {}, 'python -m rolloutctl check --policies policies')),
        h('li', {}, 'Deploy the app; ', h('a', { href: '#/policies' }, 'Policies'),
          ' shows what it has read, and what an event would do.'),
        h('li', {}, 'Register a version: ', h('code', {},
          'az ml model create --name fraud-detector --path model --type custom_model'))),
    ],
  });
}
