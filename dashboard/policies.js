// The policies the app has read, what is suspended or stopped, and what a version would do.

import { actionRow, settle } from './ask.js';
import { h } from './dom.js';
import { badge, endpointLink, when, who } from './parts.js';

export const policiesPage = {
  title: () => 'Policies',

  async load(here) {
    const [read, controls] = await Promise.all([
      here.api.get('policies'), here.api.get('controls'),
    ]);
    return { ...read, controls };
  },

  settle: (here, { policies, controls }) => [
    ...policies.map(({ policy }) => settle(here, `policy ${policy}`,
      controls.lines.filter((line) => line.policy === policy))),
    settle(here, 'controls', controls.lines),
  ],

  rollouts: () => [],

  view(here, { policies, complaints, controls }) {
    const now = here.api.now();
    return [
      h('h1', {}, 'Policies'), complaintList(complaints),
      policies.length ? h('ul', { class: 'rows cards' }, policies.map((one) =>
        drawPolicy(here, one, now))) : h('p', { class: 'quiet' }, 'The app has read no policy.'),
      dryRun(here), stopSwitch(here, controls, now),
    ];
  },
};

function complaintList(complaints) {
  if (!complaints.length) return null;
  return h('section', { class: 'panel bad' }, h('h2', {}, 'Left out, because of mistakes'),
    h('ul', {}, complaints.map((text) => h('li', {}, h('code', {}, text)))));
}

function drawPolicy(here, policy, now) {
  const { suspended } = policy;
  return h('li', { class: 'card', 'data-key': policy.policy },
    h('div', {}, h('div', { class: 'title' }, h('h2', {}, policy.policy),
      suspended ? badge({ label: 'suspended', tone: 'warn', icon: 'hand' }) : null),
    h('p', {}, h('b', {}, policy.model), ` ${policy.version}, ${policy.strategy}, to `,
      endpointLink(policy.endpoint)),
    h('p', { class: 'quiet' }, policy.gates.length ? `Gates: ${policy.gates.join(', ')}` : 'No gates',
      '. ', h('code', {}, policy.source)),
    suspended ? h('p', { class: 'mark' }, `Suspended by ${who(here, suspended.by)} since `,
      when(suspended.at, now), `: ${suspended.reason}`) : null),
    actionRow(here, [suspended ? 'resume_policy' : 'suspend'],
      { target: { policy: policy.policy }, label: policy.policy }));
}

function dryRun(here) {
  const field = (name, label, more = {}) => h('p', { class: 'field' },
    h('label', { for: `plan-${name}` }, label),
    h('input', { id: `plan-${name}`, name, autocomplete: 'off', ...more }));
  return h('section', { class: 'card' }, h('h2', {}, 'What would a version do?'),
    h('p', { class: 'quiet' }, 'A dry run: every policy answers, and nothing is touched.'),
    h('form', { class: 'filters', 'data-form': 'plan' }, field('model', 'Model', { required: true }),
      field('version', 'Version', { required: true }),
      field('tags', 'Tags', { placeholder: 'stage=production, auc=0.93' }),
      h('p', { class: 'field' }, h('button', { type: 'submit', class: 'button plain' },
        'Dry run'))),
    h('div', { 'aria-live': 'polite' }, here.planned ? planned(here.planned) : null));
}

function planned({ problem, answers }) {
  if (problem) return h('p', { class: 'note bad' }, problem);
  if (!answers.length) return h('p', {}, 'There is no policy that could answer.');
  return h('ul', { class: 'rows' }, answers.map((one) => h('li', {}, h('div', {},
    h('p', {}, h('b', {}, one.policy), one.endpoint ? [' to ', endpointLink(one.endpoint)] : null,
      ': ', h('b', {}, one.answer.replaceAll('_', ' ')), one.reason ? `, ${one.reason}` : ''),
    one.steps?.length ? h('ol', { class: 'how' }, one.steps.map((step) => h('li', {}, step)))
      : null))));
}

function stopSwitch(here, { stopped }, now) {
  return h('section', { class: 'card' }, h('h2', {}, 'Everything'),
    stopped ? h('p', { class: 'mark' }, `Stopped by ${who(here, stopped.by)} since `, when(stopped.at, now),
      `: ${stopped.reason}`) : h('p', {}, 'Nothing is stopped.'),
    actionRow(here, [stopped ? 'go_on' : 'stop'], { target: {} }));
}

/** Return what the form asks: a model version, and its tags. Throws where a tag is none. */
export function readPlan(form) {
  const { model, version, tags } = Object.fromEntries(new FormData(form));
  const pairs = tags.split(',').map((one) => one.trim()).filter(Boolean).map((one) => {
    const [name, ...rest] = one.split('=');
    if (!rest.length) throw new Error(`reading tags: '${one}' (NAME=VALUE, with commas between)`);
    return [name.trim(), rest.join('=').trim()];
  });
  return { model: model.trim(), version: version.trim(), tags: Object.fromEntries(pairs) };
}

