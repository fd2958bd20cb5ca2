// What stands above every page: where we are, who we are, whether what is shown is fresh.

import { actionRow } from './ask.js';
import { h, morph } from './dom.js';
import { icon, when, who } from './parts.js';
import { sayLength } from './words.js';

const FRESH = 30_000;  // milliseconds for which what was heard counts as of now
const PAGES = [['#/', 'Endpoints'], ['#/rollouts', 'History'], ['#/policies', 'Policies']];

export function drawHead(here) {
  const current = here.route?.base;
  morph(document.getElementById('head'), [
    h('a', { class: 'brand', href: '#/' }, icon('rise'), 'Rollouts'),
    here.me ? h('nav', { 'aria-label': 'Main' }, PAGES.map(([href, name]) =>
      h('a', { href, 'aria-current': href === current ? 'page' : null }, name))) : null,
    h('p', { class: 'status', id: 'status' }, status(here)),
    here.me ? h('div', { class: 'person' }, person(here)) : null,
  ]);
}

function person(here) {
  const rights = here.me.rights.map((one) => one.replaceAll('_', ' ')).join(', ') || 'no rights';
  return [
    h('span', {}, h('b', {}, here.me.name || here.me.id), h('span', { class: 'quiet' }, ` ${rights}`)),
    here.signIn.isOurs ? h('button', { type: 'button', class: 'button plain', 'data-do': 'signOut' },
      'Sign out') : null,
  ];
}

/** Say whether what is shown is of now; the sign beside it says it without colour. */
function status(here) {
  if (!here.heard) return null;
  const age = Date.now() - here.heard;
  if (!here.problem && age < FRESH) {
    return [h('span', { class: 'sign good', 'aria-hidden': 'true' }), 'up to date'];
  }
  const text = `last heard ${sayLength(age)} ago`;
  return [h('span', { class: 'sign warn', 'aria-hidden': 'true' }), text];
}

/** Bring the status up to date, which changes by itself. */
export function tickHead(here) {
  const shown = document.getElementById('status');
  if (shown) morph(shown, [status(here)].flat());
  const next = document.getElementById('again');
  if (next) next.textContent = sayLength(here.poll.next - Date.now());
}

/** What everybody has to know, above the page: no answer, everything stopped, a message. */
export function drawNotices(here) {
  const { problem, heard, stopped, notice } = here;
  morph(document.getElementById('notices'), [
    problem && heard ? h('div', { class: 'notice warn', role: 'status', 'data-key': 'problem' },
      h('p', {}, icon('alert'), `No answer: ${problem.message}. What you see may be old. `,
        'Asked again in ', h('span', { id: 'again' }, sayLength(here.poll.next - Date.now())), '.'),
      h('button', { type: 'button', class: 'button plain', 'data-do': 'again' }, 'Ask now')) : null,
    stopped ? h('div', { class: 'notice bad', 'data-key': 'stopped' },
      h('p', {}, icon('hand'), h('b', {}, 'Everything is stopped'), ` by ${who(here, stopped.by)} since `,
        when(stopped.at, here.api.now()), `: ${stopped.reason}`),
      actionRow(here, ['go_on'], { target: {} })) : null,
    notice ? h('div', { class: 'notice', 'data-key': 'notice' }, h('p', {}, notice),
      h('button', { type: 'button', class: 'button plain', 'data-do': 'dismiss' }, 'Dismiss')) : null,
  ]);
}
