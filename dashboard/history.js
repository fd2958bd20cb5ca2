// Every rollout, newest first, a page at a time; the filters stand in the address.

import { withParameters } from './api.js';
import { h } from './dom.js';
import {
  attempts, endpointLink, grid, panel, phaseBadge, rolloutLink, when,
} from './parts.js';
import { PHASES, sayLength } from './words.js';

const LIMIT = 50;
const FILTERS = ['phase', 'endpoint', 'model', 'policy'];

export const historyPage = {
  title: () => 'History',

  load: (here, memory, { query }) => here.api.get(withParameters('rollouts', {
    ...Object.fromEntries(FILTERS.map((name) => [name, query.get(name)])),
    limit: LIMIT, after: query.get('after'),
  })),

  settle: () => [],

  rollouts: ({ rollouts }) => rollouts,

  view(here, { rollouts, next }, { query }) {
    const isFiltered = FILTERS.some((name) => query.get(name));
    return [
      h('h1', {}, 'History'), filters(query),
      rollouts.length ? table(rollouts, here.api.now()) : nothing(isFiltered, query),
      pages(query, next),
    ];
  },

  /** Return the address for the filters as they are filled in. */
  address(form) {
    const given = Object.fromEntries(new FormData(form));
    return withParameters('#/rollouts', given);
  },
};

function filters(query) {
  const phases = Object.entries(PHASES).filter(([name]) => name !== 'no_match');
  return h('form', { class: 'filters', 'data-form': 'history', role: 'search' },
    h('p', { class: 'field' }, h('label', { for: 'phase' }, 'Phase'),
      h('select', { id: 'phase', name: 'phase' }, h('option', { value: '' }, 'any'),
        phases.map(([value, { label }]) =>
          h('option', { value, selected: value === query.get('phase') }, label)))),
    FILTERS.slice(1).map((name) => h('p', { class: 'field' },
      h('label', { for: name }, name[0].toUpperCase() + name.slice(1)),
      h('input', {
        id: name, name, type: 'search', value: query.get(name) ?? '', autocomplete: 'off',
      }))),
    h('p', { class: 'field' }, h('button', { type: 'submit', class: 'button plain' }, 'Filter')));
}

function table(rollouts, now) {
  const columns = ['Model version', 'Phase', 'Endpoint', 'Reason', 'Started', 'Took'];
  return grid('history', columns, rollouts.map((one) => [one.rollout_id, [
    [rolloutLink(one), attempts(one)], phaseBadge(one.phase), endpointLink(one.endpoint),
    h('div', { class: 'clip', title: one.reason }, one.reason), when(one.started, now),
    sayLength((one.ended ? Date.parse(one.ended) : now) - Date.parse(one.started)),
  ]]));
}

function nothing(isFiltered, query) {
  if (query.get('after')) return h('p', { class: 'quiet' }, 'There are no older ones.');
  return panel(isFiltered
    ? { title: 'No rollout is like that', level: 'h2', lines: ['Take a filter away to see more.'] }
    : { title: 'Nothing was rolled out yet', level: 'h2', lines: ['Endpoints has how to begin.'] });
}

function pages(query, next) {
  const kept = Object.fromEntries(FILTERS.map((name) => [name, query.get(name)]));
  const first = withParameters('#/rollouts', kept);
  return h('nav', { class: 'pages', 'aria-label': 'Pages' },
    query.get('after') ? h('a', { href: first }, 'Newest') : null,
    next ? h('a', { href: withParameters('#/rollouts', { ...kept, after: next }) }, 'Older') : null);
}
