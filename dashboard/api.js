// Speaks to the HTTP API that this page came from: JSON, and problem details of what is refused.

const BASE = new URL('../', import.meta.url);  // this file is BASE/dashboard/api.js
const PATIENCE = 30_000;  // milliseconds for one answer

/** What the API refused, or that there was no answer (status 0). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.title || `the app answered ${status} without saying why`);
    this.status = status;
    this.body = body;
  }
}

export class Api {
  /** token gives what goes into the Authorization header, or nothing. */
  constructor(token) {
    this.token = token;
    this.skew = 0;  // milliseconds that the app's clock is ahead of ours
  }

  get(path) {
    return this.#ask('GET', path);
  }

  post(path, body) {
    return this.#ask('POST', path, body);
  }

  /** Return the time as the app has it: deadlines and bakes are counted in it. */
  now() {
    return Date.now() + this.skew;
  }

  async #ask(method, path, body) {
    const answer = await this.#fetch(method, path, body);
    this.#learnTime(answer.headers.get('date'));
    // A platform that signs people in itself may answer with the way to its sign-in.
    if (answer.type === 'opaqueredirect') throw new Problem(401, { title: 'nobody is signed in' });
    const said = await answer.json().catch(() => null);
    if (answer.ok && said !== null) return said;
    if (answer.ok) throw new Problem(0, { title: `${path}: what the app answered is no JSON` });
    throw new Problem(answer.status, said ?? {});
  }

  async #fetch(method, path, body) {
    const token = this.token();
    const headers = {
      Accept: 'application/json',
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'Content-Type': 'application/json' } : {}),
    };
    const options = { method, headers, cache: 'no-store', redirect: 'manual' };
    try {
      return await fetch(new URL(path, BASE), {
        ...options,
        body: body ? JSON.stringify(body) : undefined,
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch (error) {
      const why = error.name === 'TimeoutError' ? 'no answer in time' : 'the app cannot be reached';
      throw new Problem(0, { title: why });
    }
  }

  #learnTime(said) {
    const skew = said ? Date.parse(said) - Date.now() : 0;
    this.skew = Math.abs(skew) > 2000 ? skew : 0;  // the header has whole seconds
  }
}

/** Return the path with its parameters; those without a value are left out. */
export function withParameters(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
