// The words of the glossary: phases, operations with what follows from them, times and amounts.

export const PHASES = {
  pending: { label: 'pending', tone: 'idle', icon: 'clock' },
  preparing: { label: 'preparing', tone: 'busy', icon: 'dots' },
  progressing: { label: 'progressing', tone: 'busy', icon: 'rise' },
  waiting: { label: 'waiting', tone: 'warn', icon: 'person' },
  promoting: { label: 'promoting', tone: 'busy', icon: 'rise' },
  rolling_back: { label: 'rolling back', tone: 'bad', icon: 'back' },
  succeeded: { label: 'succeeded', tone: 'good', icon: 'check' },
  failed: { label: 'failed', tone: 'bad', icon: 'cross' },
  errored: { label: 'errored', tone: 'bad', icon: 'alert' },
  superseded: { label: 'superseded', tone: 'idle', icon: 'skip' },
  no_match: { label: 'no match', tone: 'idle', icon: 'skip' },
};

export const VERDICTS = {
  pass: { label: 'pass', tone: 'good', icon: 'check' },
  fail: { label: 'fail', tone: 'bad', icon: 'cross' },
  inconclusive: { label: 'inconclusive', tone: 'warn', icon: 'dots' },
  error: { label: 'error', tone: 'bad', icon: 'alert' },
};

const BACK = 'all weight to the stable, read back, then the candidate is retired';
const UNTIL_PROMOTED = 'possible until promotion is complete';
const WHEN_AWAITED = 'possible while it is awaited';

// What people may ask: its name, what follows, and when it is possible.
export const OPERATIONS = {
  approve: {
    label: 'Approve', tone: 'good', when: WHEN_AWAITED,
    does: 'The rollout goes on, once as many have approved as must.',
  },
  reject: {
    label: 'Reject', tone: 'bad', when: WHEN_AWAITED,
    does: `The rollout rolls back: ${BACK}. It ends as failed, and the version is in quarantine.`,
  },
  adopt: {
    label: 'Adopt weights', tone: 'plain', when: WHEN_AWAITED,
    does: 'The weights that somebody else has set stay, and the rollout goes on from them.',
  },
  restore: {
    label: 'Restore weights', tone: 'plain', when: WHEN_AWAITED,
    does: 'The rollout sets its own weights again, over those that somebody else has set, '
      + 'and goes on.',
  },
  pause: {
    label: 'Pause', tone: 'plain', when: UNTIL_PROMOTED,
    does: 'The rollout stays where it is. Gates go on being measured, and the deadline goes on.',
  },
  resume: {
    label: 'Resume', tone: 'plain', when: 'possible while it is paused',
    does: 'The pause ends, and the rollout goes on from where it is.',
  },
  promote_now: {
    label: 'Promote now', tone: 'warn',
    when: 'possible from the first live traffic until promotion is complete',
    does: 'The steps, bakes, gates and approvals that remain are left out, and the candidate gets '
      + 'all the weight. Probes and the reading back stay.',
  },
  abort: {
    label: 'Abort', tone: 'bad', when: UNTIL_PROMOTED,
    does: `The rollout rolls back: ${BACK}. It ends as failed, and the version is in quarantine.`,
  },
  retry: {
    label: 'Retry', tone: 'plain', when: 'possible when the rollout is over',
    does: 'The version is tried once more, by its policy as it is now. Its quarantine is lifted, '
      + 'and the new attempt has a rollout id of its own.',
  },
  revert: {
    label: 'Revert', tone: 'bad',
    when: 'possible while nothing is rolled out and an old deployment is kept',
    does: 'All weight goes back to the kept deployment: traffic only, no gates. The endpoint is '
      + 'held, and the version that serves now goes into quarantine.',
  },
  hold: {
    label: 'Hold', tone: 'plain', when: 'possible at any time',
    does: 'Nothing starts by itself on this endpoint until a person releases it. What runs goes '
      + 'on.',
  },
  release: {
    label: 'Release', tone: 'plain', when: 'possible while it is held',
    does: 'Offers count again: the sweep brings what was held meanwhile.',
  },
  release_version: {
    label: 'Release', tone: 'plain', when: 'possible while it is in quarantine',
    does: 'The version leaves quarantine, and its next offer may start it.',
  },
  suspend: {
    label: 'Suspend', tone: 'plain', when: 'possible while it is not suspended',
    does: 'Nothing starts by this policy by itself. What it has begun or queued goes on.',
  },
  resume_policy: {
    label: 'Resume', tone: 'plain', when: 'possible while it is suspended',
    does: 'Offers by this policy count again.',
  },
  stop: {
    label: 'Stop everything', tone: 'bad', when: 'possible while it is not stopped',
    does: 'Nothing starts any more, on any endpoint and for anybody, and every rollout in flight '
      + 'is asked to pause. Endpoints go on serving as they are.',
  },
  go_on: {
    label: 'Go on', tone: 'plain', when: 'possible while everything is stopped',
    does: 'What waits starts, and what the stop has paused goes on.',
  },
};

export const RIGHTS = {
  read: 'Rollouts.Read',
  operate: 'Rollouts.Operate',
  promote_now: 'Rollouts.PromoteNow',
};

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

/** Return the time of day, with the day in front when it is another than that of now. */
export function sayTime(at, now) {
  const moment = new Date(at);
  const isToday = moment.toDateString() === new Date(now).toDateString();
  return isToday ? CLOCK.format(moment) : `${DAY.format(moment)} ${CLOCK.format(moment)}`;
}

export function sayClock(at) {
  return CLOCK.format(new Date(at));
}

/** Return a length of time in its two biggest units. */
export function sayLength(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [
    [Math.floor(seconds / 86400), 'd'], [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'], [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  const said = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return said.map(([count, unit]) => `${count} ${unit}`).join(' ');
}

/** Return a number with four digits that count, and no exponent. */
export function sayNumber(value) {
  return new Intl.NumberFormat('en', { maximumSignificantDigits: 4 }).format(value);
}

const SHARES = new Set(['error_rate', 'model_error_rate', 'cpu', 'memory', 'gpu']);

export function isShare(metric) {
  return SHARES.has(metric);
}

/** Return what was measured in the unit of its metric. */
export function sayAmount(metric, value) {
  if (value === null || value === undefined) return 'no data';
  if (isShare(metric)) return `${sayNumber(value * 100)} %`;
  return String(metric).startsWith('latency') ? `${sayNumber(value)} ms` : sayNumber(value);
}

export function sayThreshold(metric, { kind, value }) {
  if (kind === 'worse_than_stable_by_at_most') {
    return `at most ${sayNumber(value * 100)} % worse than the stable`;
  }
  return `${kind.replaceAll('_', ' ')} ${sayAmount(metric, value)}`;
}

/** Return the last part of an ARM id, which is what people call it. */
export function sayLast(id) {
  return String(id).split('/').at(-1);
}

export function sayCount(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
