// Signs in with authorization code and PKCE; the token stays in this tab and ends with it.

const TOKEN = 'rollouts.token';
const UNDER_WAY = 'rollouts.sign_in';
const MARGIN = 30_000;  // milliseconds before its end that a token counts as over

export class SignIn {
  /** about is what GET sign-in answers: kind, and for tokens authority, client_id and scope. */
  constructor(about) {
    this.about = about;
  }

  get isOurs() {
    return this.about.kind === 'token';
  }

  /** Return the token, or nothing when there is none or it is over. */
  token() {
    const kept = read(TOKEN);
    return kept && kept.until - MARGIN > Date.now() ? kept.token : '';
  }

  /** Leave for the authority; we come back with a code in the address. */
  async begin() {
    const verifier = randomText();
    const state = randomText();
    sessionStorage.setItem(UNDER_WAY, JSON.stringify({ verifier, state, hash: location.hash }));
    const { authorization_endpoint: endpoint } = await this.#discover();
    const asked = new URL(endpoint);
    const parameters = {
      client_id: this.about.client_id, response_type: 'code', response_mode: 'fragment',
      redirect_uri: here(), scope: `openid profile ${this.about.scope}`, state,
      code_challenge: await challenge(verifier), code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(parameters)) asked.searchParams.set(name, value);
    location.assign(asked);
  }

  /** When the authority has sent us back, take the token. Throws with what it says if it refuses. */
  async finish() {
    // Asked for in the fragment, which no server logs; some authorities use the query all the same.
    const isInFragment = location.hash.includes('state=');
    const said = new URLSearchParams(isInFragment ? location.hash.slice(1) : location.search);
    if (!said.has('state') || !(said.has('code') || said.has('error'))) return;
    const begun = read(UNDER_WAY);
    sessionStorage.removeItem(UNDER_WAY);
    history.replaceState(null, '', here() + (begun?.hash ?? ''));  // the code is used up
    if (!begun || begun.state !== said.get('state')) {
      throw new Error('the answer is not to a sign-in that was begun in this tab');
    }
    if (said.has('error')) {
      throw new Error(said.get('error_description') || said.get('error'));
    }
    await this.#redeem(said.get('code'), begun.verifier);
  }

  out() {
    sessionStorage.removeItem(TOKEN);
  }

  async #redeem(code, verifier) {
    const { token_endpoint: endpoint } = await this.#discover();
    const answer = await fetch(endpoint, {
      method: 'POST',
      body: new URLSearchParams({
        client_id: this.about.client_id, grant_type: 'authorization_code', code,
        redirect_uri: here(), code_verifier: verifier, scope: `openid profile ${this.about.scope}`,
      }),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error_description || said.error);
    const until = Date.now() + said.expires_in * 1000;
    sessionStorage.setItem(TOKEN, JSON.stringify({ token: said.access_token, until }));
  }

  async #discover() {
    const answer = await fetch(`${this.about.authority}/.well-known/openid-configuration`);
    if (!answer.ok) throw new Error(`the authority answered ${answer.status}`);
    return answer.json();
  }
}

function here() {
  return location.origin + location.pathname;
}

function read(name) {
  return JSON.parse(sessionStorage.getItem(name) ?? 'null');
}

function randomText() {
  return encode(crypto.getRandomValues(new Uint8Array(32)));
}

async function challenge(verifier) {
  const bytes = new TextEncoder().encode(verifier);
  return encode(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}

function encode(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
