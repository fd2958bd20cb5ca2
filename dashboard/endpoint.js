// One endpoint: its ledger: what serves, waits, is kept, is in quarantine, and every answer.

import { actionRow, settle } from './ask.js';
import { h } from './dom.js';
import {
  badge, factList, grid, phaseBadge, rolloutLink, servingOf, versionOf, weightBar, when, who,
} from './parts.js';
import { sayCount } from './words.js';

const LINES = 50;

export const endpointPage = {
  title: ({ id }) => `Endpoint ${id}`,

  load: (here, memory, { id }) => here.api.get(`endpoints/${encodeURIComponent(id)}`),

  settle: (here, ledger) => [settle(here, `endpoint ${ledger.endpoint}`, ledger.answers)],

  rollouts: (ledger) => ledger.ended.slice(-1).map((one) => ({ ...one, endpoint: ledger.endpoint })),

  view(here, ledger) {
    const now = here.api.now();
    return [
      h('div', { class: 'title' }, h('h1', {}, ledger.endpoint), h('p', { class: 'badges' },
        ledger.held ? badge({ label: 'held', tone: 'warn', icon: 'hand' }) : null)),
      h('section', { class: 'card', 'aria-label': 'What serves' },
        weightBar(ledger.serves, { stable: servingOf(ledger) }),
        factList(factsOf(here, ledger, now)),
        actionRow(here, [ledger.held ? 'release' : 'hold', ...(waysBack(ledger) ? [] : ['revert'])], {
          possible: ledger.possible ?? null, target: { endpoint: ledger.endpoint },
        })),
      quarantine(here, ledger, now), kept(here, ledger, now), ended(ledger, now),
      answers(here, ledger, now),
    ];
  },
};

/** Whether an old deployment is kept; each has a button of its own, below. */
function waysBack(ledger) {
  return ledger.kept.some((one) => one.why === 'old');
}

function factsOf(here, ledger, now) {
  const { running, held, parked, waiting, stable, noticed } = ledger;
  const expected = noticed && Object.entries(noticed.found).map((one) => one.join(' ')).join(', ');
  return [
    stable && ['Stable', [versionOf(stable), ' since ', when(stable.at, now)]],
    ['In flight', running ? rolloutLink(running) : 'nothing'],
    waiting.length > 0 && ['Waiting', waiting.map(versionOf).join(', ')],
    parked && ['Waits for its window', [versionOf(parked.offer), ' until ',
      when(parked.opens, now)]],
    held && ['Held', [`by ${who(here, held.by)} since `, when(held.at, now), `: ${held.reason}`]],
    noticed && ['Weights changed by hand', expected],
  ].filter(Boolean);
}

function isQuarantined(end) {
  const isBad = ['failed', 'errored'].includes(end.phase) || end.reverted;
  return end.kind === 'roll_out' && isBad && !end.released && !end.overtaken;
}

function quarantine(here, ledger, now) {
  const versions = ledger.ended.filter(isQuarantined).toReversed();
  if (!versions.length) return null;
  return h('section', {}, h('h2', {}, 'In quarantine'),
    h('p', { class: 'quiet' }, 'These versions ended badly here, and no event starts them again.'),
    h('ul', { class: 'rows' }, versions.map((end) => h('li', { 'data-key': end.rollout_id },
      h('div', {}, rolloutLink(end), ' ', phaseBadge(end.phase), ' ',
        h('span', { class: 'quiet' }, when(end.at, now)), h('p', {}, end.reason)),
      actionRow(here, ['retry', 'release'], {
        target: { endpoint: ledger.endpoint, model: end.model, version: end.version },
        label: versionOf(end),
      })))));
}

function kept(here, ledger, now) {
  if (!ledger.kept.length) return null;
  const why = { old: 'the way back', failed: 'to be looked at' };
  return h('section', {}, h('h2', {}, 'Kept without weight'),
    h('ul', { class: 'rows' }, ledger.kept.map((one) => h('li', { 'data-key': one.deployment },
      h('div', {}, h('b', {}, one.deployment), ` (${versionOf(one)}), ${why[one.why]}, until `,
        when(one.until, now)),
      one.why === 'old' ? actionRow(here, ['revert'], {
        possible: ledger.possible ?? null, label: `to ${one.deployment}`,
        target: { endpoint: ledger.endpoint, deployment: one.deployment },
      }) : null))));
}

function ended(ledger, now) {
  const ends = ledger.ended.toReversed().slice(0, LINES);
  return h('section', {}, h('h2', {}, 'Rollouts on it'),
    ends.length ? h('ul', { class: 'rows' }, ends.map((end) => h('li', {},
      h('div', {}, rolloutLink(end), ' ', phaseBadge(end.phase), ' ',
        h('span', { class: 'quiet' }, when(end.at, now)),
        h('p', {}, end.reason, end.reverted ? `; reverted by ${end.reverted}` : '',
          end.released ? `; released by ${end.released}` : ''))))) : h('p', { class: 'quiet' },
      'None yet.'));
}

function answers(here, ledger, now) {
  const lines = ledger.answers.toReversed();
  const columns = ['At', 'Version', 'Answer', 'Reason', 'By'];
  if (!lines.length) return null;
  return h('section', {}, h('h2', {}, 'What its ledger said'),
    h('p', { class: 'quiet' }, sayCount(lines.length, 'line'),
      lines.length > LINES ? `, the last ${LINES} shown` : ''),
    grid('answers', columns, lines.slice(0, LINES).map((line) => [null, [
      when(line.at, now), line.model ? versionOf(line) : '', line.answer.replaceAll('_', ' '),
      line.reason, line.by ? who(here, line.by) : 'automation',
    ]])));
}
