// The one dialog: what is asked, what follows from it, the figures it rests on, and why.

import { h } from './dom.js';

const box = () => document.getElementById('dialog');

/**
 * Open the dialog. question has: title, does, verb, tone, facts (nodes), fields ([{name, label,
 * options}]), needsReason, note; submit(values) resolves when it was asked, and on refuse(problem)
 * the question to show instead comes back. opener has the focus afterwards.
 */
export function openDialog(question, { submit, refuse, opener }) {
  const dialog = box();
  let current = question;
  const show = (next, typed = {}) => {
    current = next;
    dialog.replaceChildren(draw(next, typed));
    const first = dialog.querySelector('[data-first]') ?? dialog.querySelector('button');
    first.focus();
  };
  dialog.onsubmit = async (event) => {
    event.preventDefault();
    const values = readForm(event.target);
    if (!checkReason(event.target, values)) return;
    setBusy(dialog, true);
    try {
      await submit(current, values);
      dialog.close();
    } catch (problem) {
      const next = await refuse(current, problem);
      setBusy(dialog, false);
      show(next, values);
    }
  };
  dialog.onclick = (event) => {
    if (event.target.closest('[data-cancel]')) dialog.close();
  };
  dialog.onclose = () => {
    dialog.replaceChildren();
    giveBack(opener);
  };
  show(question);
  dialog.showModal();
  (dialog.querySelector('[data-first]') ?? dialog.querySelector('button')).focus();
}

function draw({ title, does, verb, tone, facts = [], fields = [], note, problem }, typed) {
  return h('form', { method: 'dialog', novalidate: true },
    h('h2', { id: 'dialog-title' }, title),
    note ? h('p', { class: 'note', role: 'alert' }, note) : null,
    problem ? h('p', { class: 'note bad', role: 'alert' }, problem) : null,
    h('p', {}, does), facts,
    fields.map((field) => choice(field, typed[field.name])), reasonField(typed.reason),
    h('div', { class: 'actions end' },
      h('button', { type: 'button', class: 'button plain', 'data-cancel': true }, 'Cancel'),
      verb ? h('button', { type: 'submit', class: `button solid ${tone}` }, verb) : null));
}

function choice({ name, label, options }, typed) {
  return h('p', { class: 'field' }, h('label', { for: `dialog-${name}` }, label),
    h('select', { id: `dialog-${name}`, name }, options.map(([value, words]) =>
      h('option', { value, selected: value === typed }, words))));
}

function reasonField(typed = '') {
  return h('p', { class: 'field' },
    h('label', { for: 'dialog-reason' }, 'Reason, for those who read the timeline'),
    h('textarea', {
      id: 'dialog-reason', name: 'reason', rows: 2, required: true, 'data-first': true,
      'aria-describedby': 'dialog-missing', maxlength: 1000,
    }, typed),
    h('span', { id: 'dialog-missing', class: 'missing', hidden: true },
      'Say why: nothing is asked without a reason.'));
}

function readForm(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
}

function checkReason(form, values) {
  const field = form.elements.reason;
  const isThere = values.reason !== '';
  field.setAttribute('aria-invalid', String(!isThere));
  form.querySelector('#dialog-missing').hidden = isThere;
  if (!isThere) field.focus();
  return isThere;
}

function setBusy(dialog, isBusy) {
  const button = dialog.querySelector('[type=submit]');
  button.disabled = isBusy;
  button.setAttribute('aria-busy', String(isBusy));
}

/** Give the focus back to what opened the dialog, or to the content when that is gone. */
function giveBack({ element, key }) {
  const again = key ? document.querySelector(`[data-opener="${CSS.escape(key)}"]`) : null;
  const target = element.isConnected ? element : again ?? document.getElementById('main');
  target.focus();
}
