// What people ask: the buttons, why one is not possible now, the question, and what was asked.

import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { listWeights } from './figures.js';
import { factList, gateTable, versionOf } from './parts.js';
import { OPERATIONS, RIGHTS, sayLength } from './words.js';

const ANSWERS = new Set(['approve', 'reject', 'adopt', 'restore']);
const SLOW = 60_000;  // milliseconds after which something asked should have been taken

/** Return what may be asked of a rollout in flight, in the order of the buttons. */
export function operationsOf(rollout) {
  const answers = (rollout.awaits?.operations ?? []).filter((one) => ANSWERS.has(one));
  return [...answers, rollout.paused_by ? 'resume' : 'pause', 'promote_now', 'abort'];
}

/** The buttons for these operations, and why some are not possible now. */
export function actionRow(here, operations, { possible = null, target, label = '' }) {
  const refusals = new Map();
  const buttons = operations.map((operation) => {
    const refusal = refusalOf(here, operation, possible, target);
    if (refusal) {
      refusals.set(refusal, [...(refusals.get(refusal) ?? []), OPERATIONS[operation].label]);
    }
    return button(operation, refusal, target, label);
  });
  const reasons = [...refusals].map(([why, names]) => `${names.join(', ')}: ${why}.`);
  return h('div', { class: 'asks' }, h('div', { class: 'actions' }, buttons),
    reasons.length ? h('p', { class: 'why' }, reasons.join(' ')) : null,
    askedChip(here, target));
}

function button(operation, refusal, target, label) {
  const { label: name, tone } = OPERATIONS[operation];
  const data = Object.entries(target).map(([key, value]) => [`data-${key}`, value]);
  return h('button', {
    type: 'button', class: `button ${tone}`, 'data-ask': operation, ...Object.fromEntries(data),
    'data-opener': `${operation} ${Object.values(target).join(' ')}`,
    'aria-disabled': refusal ? 'true' : null, title: refusal || null,
    'aria-label': label ? `${name} ${label}` : null,
  }, name);
}

function refusalOf(here, operation, possible, target) {
  const right = operation === 'promote_now' ? 'promote_now' : 'operate';
  if (!here.me.rights.includes(right)) return `needs the app role ${RIGHTS[right]}`;
  if (here.asked.get(keyOf(target))?.operation === operation) return 'it was asked';
  return possible && !possible.includes(operation) ? OPERATIONS[operation].when : '';
}

function keyOf({ rollout, endpoint, policy }) {
  if (rollout) return `rollout ${rollout}`;
  if (endpoint) return `endpoint ${endpoint}`;
  return policy ? `policy ${policy}` : 'controls';
}

function askedChip(here, target) {
  const asked = here.asked.get(keyOf(target));
  if (!asked) return null;
  const age = Date.now() - asked.at;
  const rest = age > SLOW
    ? 'It was not taken yet: the app may be busy, or gone.' : 'It is taken in seconds.';
  return h('p', { class: 'asked' }, `Asked ${sayLength(age)} ago: ${OPERATIONS[asked.operation].label}. `
    + rest);
}

/** Forget what was asked of a subject once its own lines tell of it; return what they say. */
export function settle(here, key, lines, { isOver = false } = {}) {
  const asked = here.asked.get(key);
  if (isOver) here.asked.delete(key);  // whatever was asked, nothing follows
  const line = asked && lines.find((one) => Date.parse(one.at) > asked.seen && asked.isIt(one));
  if (!line) return '';
  here.asked.delete(key);
  return `${OPERATIONS[asked.operation].label}: ${line.answer === 'refused' ? 'refused' : 'taken'}. `
    + (line.reason ?? line.text ?? '');
}

/** Ask for what a button stands for: read what it is about, and open the dialog. */
export async function ask(here, button_) {
  const { ask: operation, rollout, endpoint, policy, model, version, deployment } = button_.dataset;
  const about = { operation, rollout, endpoint, policy, model, version, deployment };
  const question = await QUESTIONS[kindOf(about)](here, about);
  openDialog(question, {
    submit: (asked, values) => send(here, asked, values),
    refuse: (asked, problem) => refused(here, about, asked, problem),
    opener: { element: button_, key: button_.dataset.opener },
  });
}

function kindOf({ rollout, endpoint, policy }) {
  if (rollout) return 'rollout';
  if (endpoint) return 'endpoint';
  return policy ? 'policy' : 'controls';
}

const QUESTIONS = {
  async rollout(here, about) {
    const rollout = await here.api.get(`rollouts/${encodeURIComponent(about.rollout)}`);
    const { label, does, tone } = OPERATIONS[about.operation];
    const isAnswer = ANSWERS.has(about.operation);
    const path = `rollouts/${encodeURIComponent(about.rollout)}/${about.operation}`;
    return {
      title: `${label}: ${versionOf(rollout)} on ${rollout.endpoint}`, does, verb: label, tone,
      facts: factsOf(rollout, here), path, about, seen: newest(rollout.timeline),
      body: isAnswer ? { figures: rollout.awaits?.figures ?? '' } : {},
      figures: rollout.awaits?.figures,
      isIt: (line) => line.text.startsWith(`${about.operation} by `),
    };
  },
  async endpoint(here, about) {
    const ledger = await here.api.get(`endpoints/${encodeURIComponent(about.endpoint)}`)
      .catch((problem) => {
        if (problem.status !== 404) throw problem;  // an unknown one can be held all the same
        return { answers: [], kept: [] };
      });
    const isVersion = about.operation === 'release' && about.version;
    const { label, does, tone } = OPERATIONS[isVersion ? 'release_version' : about.operation];
    const subject = about.version ? `${about.model} ${about.version} on ` : '';
    const body = Object.fromEntries(['model', 'version', 'deployment']
      .filter((name) => about[name]).map((name) => [name, about[name]]));
    return {
      title: `${label}: ${subject}${about.endpoint}`, does, verb: label, tone, body, about,
      fields: about.operation === 'revert' && !about.deployment ? [wayBack(ledger)] : [],
      facts: [factList(standing(ledger))], seen: newest(ledger.answers),
      path: `endpoints/${encodeURIComponent(about.endpoint)}/${about.operation}`,
      isIt: (line) => [about.operation, 'refused'].includes(line.answer) && line.by === here.me.id,
    };
  },
  async policy(here, about) {
    const name = about.operation === 'resume_policy' ? 'resume' : about.operation;
    return control(here, about, {
      name, path: `policies/${encodeURIComponent(about.policy)}/${name}`,
      title: `${OPERATIONS[about.operation].label}: policy ${about.policy}`,
    });
  },
  async controls(here, about) {
    const path = about.operation === 'go_on' ? 'go-on' : about.operation;
    return control(here, about, { name: about.operation, path });
  },
};

async function control(here, about, { name, path, title }) {
  const controls = await here.api.get('controls');
  const { label, does, tone } = OPERATIONS[about.operation];
  return {
    title: title ?? label, does, verb: label, tone, path, about, body: {},
    seen: newest(controls.lines),
    isIt: (line) => line.control === name && line.by === here.me.id,
  };
}

function factsOf(rollout, here) {
  const weights = listWeights(rollout.weights, rollout)
    .map(([name, weight, role]) => `${name} ${weight} % (${role})`).join(', ');
  const { awaits } = rollout;
  const facts = [
    ['Now', rollout.reason || rollout.phase], ['Weights', weights || 'none known'],
    rollout.steps?.length && ['Step', `${rollout.step} of ${rollout.steps.length}`],
    awaits?.quorum > 1 && ['Approved', `${awaits.approved_by.length} of ${awaits.quorum}`],
    awaits?.figures && ['Figures', h('code', {}, awaits.figures)],
  ].filter(Boolean);
  return [factList(facts), rollout.timeline?.length ? gateTable(rollout, here.api.now()) : null];
}

function standing(ledger) {
  const serves = listWeights(ledger.serves).map(([name, weight]) => `${name} ${weight} %`);
  return [
    ['Serves', serves.join(', ') || 'not known'],
    ['In flight', ledger.running?.rollout_id ?? 'nothing'],
  ];
}

function wayBack(ledger) {
  const kept = ledger.kept.filter((one) => one.why === 'old').toReversed();
  return {
    name: 'deployment', label: 'Back to',
    options: kept.map((one) => [one.deployment, `${one.deployment} (${versionOf(one)})`]),
  };
}

function newest(lines = []) {
  return Math.max(0, ...lines.map((line) => Date.parse(line.at)));
}

async function send(here, question, values) {
  await here.api.post(question.path, { ...question.body, ...values });
  const { about, seen, isIt } = question;
  // a retry is told by the endpoint: the rollout that was retried is over
  here.asked.set(keyOf(about), { operation: about.operation, at: Date.now(), seen, isIt });
  here.tell(`${OPERATIONS[about.operation].label} was asked.`);
  here.afterAsking(about);
}

/** Return the question to show after a refusal: with the figures of now where they have changed. */
async function refused(here, about, question, problem) {
  if (problem.status !== 409 || !problem.body.figures) {
    const possible = problem.body.possible;
    const now = possible ? ` Possible now: ${possible.join(', ') || 'nothing'}.` : '';
    const why = problem.message ?? String(problem);
    return { ...question, note: '', problem: `Not asked: ${why}.${now}` };
  }
  const again = await QUESTIONS[kindOf(about)](here, about);
  return {
    ...again, problem: '',
    note: 'Nothing was asked: the figures have changed since you looked. These are those of now.',
  };
}

