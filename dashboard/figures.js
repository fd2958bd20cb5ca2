// Reads a rollout: its gates with their last figures, what was measured when, weights over time.

import { sayAmount, sayNumber, sayThreshold } from './words.js';

const ENDS = new Set(['succeeded', 'failed', 'errored', 'superseded', 'no_match']);

export function isOver(rollout) {
  return ENDS.has(rollout.phase);
}

/** Return the weights as [deployment, weight, role], the stable first. */
export function listWeights(weights, { stable = '', candidate = '' } = {}) {
  const roleOf = (name) => {
    if (name === candidate) return 'candidate';
    return name === stable ? 'stable' : 'other';
  };
  const order = ['stable', 'candidate', 'other'];
  return Object.entries(weights ?? {})
    .map(([name, weight]) => [name, weight, roleOf(name)])
    .sort((one, two) => order.indexOf(one[2]) - order.indexOf(two[2]));
}

/** Return every gate that was judged, as it was judged last. */
export function listGates(rollout) {
  const gates = new Map();
  for (const entry of rollout.timeline ?? []) {
    const { gate, verdict } = entry.figures ?? {};
    if (gate) gates.set(gate, { name: gate, verdict, at: entry.at, text: entry.text, ...entry });
  }
  for (const [name, last] of Object.entries(rollout.measured ?? {})) {
    if (!gates.has(name)) gates.set(name, { name, ...last, text: last.reason, figures: {} });
  }
  return [...gates.values()];
}

/** Return what a gate saw of one side, in a few words. */
export function sayReading(figures, side) {
  const seen = figures[side];
  if (seen === null || seen === undefined) return sayOther(figures, side);
  if (typeof seen !== 'object') return sayNumber(seen);
  const value = sayAmount(figures.metric, seen.value);
  if (seen.hits === undefined) return seen.samples ? `${value} (of ${seen.samples})` : value;
  return `${value} (${seen.hits} of ${seen.samples})`;
}

function sayOther(figures, side) {
  if (side === 'stable') return '';
  if (figures.milliseconds !== undefined) {
    return `status ${figures.status ?? 'none'}, ${figures.milliseconds} ms`;
  }
  return figures.same === undefined ? '' : `${figures.same} of ${figures.requests} the same`;
}

/** Return what a gate is held against, in a few words. */
export function sayBound(figures) {
  if (figures.threshold) return sayThreshold(figures.metric, figures.threshold);
  if (figures.within !== undefined) return `within ${figures.within}`;
  if (figures.margin !== undefined) return `${figures.better}, by ${figures.margin}`;
  if (typeof figures.at_least === 'number') {
    return `at least ${sayNumber(figures.at_least * 100)} % the same`;
  }
  return '';
}

/** Return the measurements of each gate that was measured more than once, oldest first. */
export function listSeries(rollout) {
  const series = new Map();
  for (const entry of rollout.timeline ?? []) {
    const { gate, metric, threshold, candidate, stable, verdict } = entry.figures ?? {};
    if (!gate || !metric) continue;
    if (!series.has(gate)) series.set(gate, { gate, metric, points: [] });
    series.get(gate).points.push({
      at: Date.parse(entry.at),
      verdict,
      candidate: candidate?.value ?? null,
      stable: stable?.value ?? null,
      bound: boundOf(threshold, stable?.value ?? null),
      text: entry.text,
    });
  }
  return [...series.values()];
}

function boundOf(threshold, stable) {
  if (!threshold) return null;
  if (threshold.kind !== 'worse_than_stable_by_at_most') return threshold.value;
  return stable === null ? null : stable * (1 + threshold.value);
}

/** Return the weights of each deployment as they were read back, oldest first. */
export function listWeightHistory(rollout) {
  const first = rollout.stable ? { [rollout.stable]: 100 } : {};
  const history = [{ at: Date.parse(rollout.started), weights: first }];
  for (const entry of rollout.timeline ?? []) {
    if (entry.figures?.weights) {
      history.push({ at: Date.parse(entry.at), weights: entry.figures.weights });
    }
  }
  return history;
}

/** Return words in which a file has lost its folders: which one it is, its name says. */
export function withoutFolders(words) {
  return words.replace(/\([^()]*\/([^()/]+)\)/g, '($1)');
}

/** Return the steps as [words, state], where state is done, now, next, stopped or left_out. */
export function listSteps(rollout) {
  const begun = rollout.step ?? 0;
  const isGood = rollout.phase === 'succeeded';
  const isBack = rollout.phase === 'rolling_back' || (isOver(rollout) && !isGood);
  return (rollout.steps ?? []).map(withoutFolders).map((words, index) => {
    if (isGood || index < begun - 1) return [words, 'done'];
    if (index === begun - 1) return [words, isBack ? 'stopped' : 'now'];
    return [words, isBack ? 'left_out' : 'next'];
  });
}
