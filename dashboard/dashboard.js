// Starts the page: signs in, follows the address, asks again and again, and hears every click.

import { Api, Problem } from './api.js';
import { ask } from './ask.js';
import { h, morph } from './dom.js';
import { endpointPage } from './endpoint.js';
import { endpointsPage } from './endpoints.js';
import { drawHead, drawNotices, tickHead } from './head.js';
import { historyPage } from './history.js';
import { panel, skeleton, tick, versionOf } from './parts.js';
import { policiesPage, readPlan } from './policies.js';
import { Poll } from './poll.js';
import { rolloutPage } from './rollout.js';
import { SignIn } from './sign_in.js';
import { PHASES, RIGHTS } from './words.js';

const CONTROLS_EVERY = 60_000;  // milliseconds
const START_AGAIN = 10_000;
const main = document.getElementById('main');

const here = {
  api: new Api(() => here.signIn?.token() ?? ''),
  signIn: null, me: null, route: null, data: null, memory: {},
  heard: 0, problem: null, notice: '', stopped: null, controlsAt: 0,
  asked: new Map(), phases: new Map(), filter: '', planned: null, isWhole: false,
  isAsking: (kind) => [...here.asked.keys()].some((key) => key.startsWith(kind)),
  tell,
  afterAsking,
};
here.poll = new Poll({ load, show, fail });

/** Return the page that the address names, and what it is about. */
function readRoute() {
  const [path, query = ''] = location.hash.replace(/^#/, '').split('?');
  const [kind, id] = path.split('/').filter(Boolean);
  const about = { id: id ? decodeURIComponent(id) : '', query: new URLSearchParams(query) };
  if (kind === 'rollouts' && id) return { page: rolloutPage, base: '#/rollouts', ...about };
  if (kind === 'endpoints' && id) return { page: endpointPage, base: '#/', ...about };
  if (kind === 'rollouts') return { page: historyPage, base: '#/rollouts', ...about };
  if (kind === 'policies') return { page: policiesPage, base: '#/policies', ...about };
  return { page: endpointsPage, base: '#/', ...about };
}

async function load() {
  const route = here.route;
  if (Date.now() - here.controlsAt > CONTROLS_EVERY || here.isAsking('controls')) {
    here.stopped = (await here.api.get('controls')).stopped;
    here.controlsAt = Date.now();
  }
  return route.page.load(here, here.memory, route);
}

function show(data) {
  Object.assign(here, { data, heard: Date.now(), problem: null });
  if (data.controls) here.stopped = data.controls.stopped;
  for (const said of here.route.page.settle(here, data)) {
    if (said) tell(said, { isLasting: said.includes(': refused.') });
  }
  tellChanges(here.route.page.rollouts(data));
  draw();
}

function fail(problem) {
  if (!(problem instanceof Problem)) throw problem;  // our own mistake: the console has it
  if (problem.status === 401) return showSignIn('Your sign-in is over, or was never there.');
  here.problem = problem;
  if (problem.status === 403) return showNoRight();
  if (problem.status === 404 || !here.data) return showProblem(problem);
  return draw();
}

function draw() {
  drawHead(here);
  drawNotices(here);
  if (!here.data) return;
  const { page } = here.route;
  document.title = `${page.title(here.route)} · Rollouts`;
  main.removeAttribute('aria-busy');
  morph(main, page.view(here, here.data, here.route).filter(Boolean));
}

/** Follow the address: another page begins empty, and the focus goes to it. */
function follow() {
  const isFirst = here.route === null;
  Object.assign(here, {
    route: readRoute(), data: null, memory: {}, isWhole: false, planned: null, problem: null,
  });
  main.setAttribute('aria-busy', 'true');
  main.replaceChildren(skeleton());
  drawHead(here);
  drawNotices(here);
  if (!isFirst) main.focus();
  here.poll.now();
}

function tell(text, { isLasting = false } = {}) {
  document.getElementById('said').textContent = text;
  if (isLasting) here.notice = text;
}

/** Say aloud where rollouts have come to since the last look. */
function tellChanges(rollouts) {
  const news = rollouts.filter((one) => {
    const known = here.phases.get(one.rollout_id);
    here.phases.set(one.rollout_id, one.phase);
    return known && known !== one.phase;
  });
  const said = news.map((one) =>
    `${versionOf(one)} on ${one.endpoint}: ${PHASES[one.phase]?.label ?? one.phase}.`);
  if (said.length) tell(said.join(' '));
}

function afterAsking({ operation, endpoint }) {
  here.controlsAt = 0;
  const isElsewhere = operation === 'retry' && here.route.page !== endpointPage;
  if (isElsewhere) location.hash = `#/endpoints/${encodeURIComponent(endpoint)}`;
  else here.poll.now();
}

function showInstead(...content) {
  here.poll.stop();
  main.removeAttribute('aria-busy');
  drawHead(here);
  drawNotices(here);
  morph(main, content);
}

function button(name, label) {
  return h('p', {}, h('button', { type: 'button', class: 'button solid', 'data-do': name }, label));
}

function showSignIn(why) {
  Object.assign(here, { me: null, data: null, heard: 0, problem: null });
  const { isOurs } = here.signIn;
  if (here.signIn.about.kind === 'none') return showInstead(NOBODY_KNOWN);
  showInstead(panel({
    title: 'Sign in', lines: [why, isOurs
      ? 'You are sent to your organisation, and come back to this very page.'
      : 'The platform signs you in when the page is loaded again.'],
    doing: isOurs ? button('signIn', 'Sign in') : button('reload', 'Load again'),
  }));
}

function showNoRight() {
  here.heard = 0;
  showInstead(panel({
    title: 'You have no right to see rollouts', tone: 'warn',
    lines: [`You are signed in as ${here.me?.name || here.me?.id || 'somebody'}.`,
      `Ask whoever runs this app for the app role ${RIGHTS.read} (to read), ${RIGHTS.operate} `
      + `(to approve, abort, hold) or ${RIGHTS.promote_now}; then sign in again.`],
    doing: here.signIn.isOurs ? button('signOut', 'Sign out') : null,
  }));
}

function showProblem(problem) {
  const isMissing = problem.status === 404;
  main.removeAttribute('aria-busy');
  drawHead(here);
  morph(main, [panel({
    title: isMissing ? 'It is not there' : 'The app does not answer as it should',
    tone: 'warn', lines: [problem.message, isMissing ? '' : 'It is asked again by itself.']
      .filter(Boolean),
    doing: button('again', 'Ask now'),
  })]);
}

// Nobody can be signed in: whoever runs the app has not said yet how.
const NOBODY_KNOWN = panel({
  title: 'Nobody can sign in yet', tone: 'warn',
  lines: ['The app is told neither whose tokens count (ROLLOUT_TENANT and ROLLOUT_AUDIENCE) nor '
    + 'that the platform guards it (ROLLOUT_TRUST_PLATFORM_IDENTITY).'],
});

const DO = {
  again: () => (here.me ? here.poll.now() : location.reload()),
  dismiss() {
    here.notice = '';
    draw();
  },
  reload: () => location.reload(),
  showWhole() {
    here.isWhole = true;
    draw();
  },
  signIn: () => here.signIn.begin().catch((error) => showSignIn(`It did not work: ${error.message}`)),
  signOut() {
    here.signIn.out();
    showSignIn('You are signed out of this page.');
  },
};

const SUBMIT = {
  history(form) {
    location.hash = historyPage.address(form);
  },
  async plan(form) {
    try {
      here.planned = await here.api.post('plan', readPlan(form));
    } catch (problem) {
      here.planned = { problem: problem.message };
    }
    draw();
  },
};

async function click(event) {
  const target = event.target.closest('[data-ask], [data-do]');
  if (event.target.closest('.skip')) {
    event.preventDefault();  // the address names the page, and not a place on it
    main.focus();
  }
  if (!target) return;
  if (target.getAttribute('aria-disabled') === 'true') return tell(`Not now: ${target.title}.`);
  if (target.dataset.do) return DO[target.dataset.do]();
  try {
    await ask(here, target);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    here.notice = `Not asked: ${problem.message}`;
    draw();
  }
}

function listen() {
  window.addEventListener('hashchange', () => here.me && follow());
  window.addEventListener('resize', () => here.data && draw());
  document.addEventListener('click', click);
  document.addEventListener('submit', (event) => {
    const submit = SUBMIT[event.target.dataset.form];
    if (!submit) return;
    event.preventDefault();
    submit(event.target);
  });
  document.addEventListener('input', (event) => {
    if (event.target.dataset.filter !== 'endpoints') return;
    here.filter = event.target.value;
    draw();
  });
  setInterval(() => {
    tick(here.api.now());
    tickHead(here);
  }, 1000);
}

/** Sign in as far as it needs no person, and show the first page. */
async function start() {
  try {
    here.signIn = new SignIn(await here.api.get('sign-in'));
    await here.signIn.finish();
    if (here.signIn.isOurs && !here.signIn.token()) return showSignIn('You are not signed in.');
    here.me = await here.api.get('me');
  } catch (problem) {
    if (problem.status === 401) return showSignIn('Nobody is signed in.');
    if (problem instanceof Problem) {
      setTimeout(start, START_AGAIN);
      return showProblem(problem);
    }
    return showSignIn(`It did not work: ${problem.message}`);
  }
  return here.me.rights.includes('read') ? follow() : showNoRight();
}

main.setAttribute('aria-busy', 'true');
main.replaceChildren(skeleton());
listen();
start();
