// Asks again and again, cheaply: more seldom while nothing changes, not at all in a hidden tab.

const QUICK = 3_000;
const CALM = 20_000;  // milliseconds between two looks while nothing changes
const LONGEST = 60_000;  // while there is no answer
const GROWTH = 1.5;

export class Poll {
  /** load brings what there is; show and fail are told what came of it. */
  constructor({ load, show, fail }) {
    this.load = load;
    this.show = show;
    this.fail = fail;
    this.pause = QUICK;
    this.last = '';
    this.timer = 0;
    this.turn = 0;
    this.next = 0;  // when it asks again
    document.addEventListener('visibilitychange', () => this.#turnAround());
  }

  /** Ask now, and go on from there at the quick pace. */
  async now() {
    clearTimeout(this.timer);
    this.pause = QUICK;
    this.turn += 1;
    await this.#ask(this.turn);
  }

  stop() {
    clearTimeout(this.timer);
    this.turn += 1;
  }

  async #ask(turn) {
    try {
      const found = await this.load();
      if (turn !== this.turn) return;  // somebody asked for something else meanwhile
      const text = JSON.stringify(found);
      this.pause = text === this.last ? Math.min(this.pause * GROWTH, CALM) : QUICK;
      this.last = text;
      this.#wait(turn);
      this.show(found);
    } catch (problem) {
      if (turn !== this.turn) return;
      this.pause = Math.min(this.pause * 2, LONGEST);
      this.#wait(turn);
      this.fail(problem);
    }
  }

  #wait(turn) {
    this.next = Date.now() + this.pause;
    if (document.hidden) return;
    this.timer = setTimeout(() => this.#ask(turn), this.pause);
  }

  #turnAround() {
    clearTimeout(this.timer);
    if (!document.hidden && this.turn > 0) this.now();
  }
}
