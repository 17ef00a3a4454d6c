// Asks for what has changed, about every second, while somebody looks.

const LEAST_MS = 200;
const MOST_MS = 1000;
const SPREAD_MS = 50; // so that many pages do not all ask at once
const GIVE_UP_MS = 6000;

/**
 * The picture as far as it is known: `parts` by name, and how well it is known (`state`):
 *   connecting, live; store: Flower answers, the store does not; away: Flower does not answer;
 *   login: it wants to know who asks; hidden: nobody looks.
 */
export class Feed {
  constructor(url, onChange) {
    this.url = url;
    this.onChange = onChange;
    this.parts = {};
    this.state = "connecting";
    this.reason = "";
    this.lastMs = null;
    this.versions = {};
    this.clock = { storeMs: Date.now(), atMs: performance.now() };
    this.dueMs = MOST_MS;
    this.timer = 0;
    this.asking = false;
  }

  start() {
    document.addEventListener("visibilitychange", () => this.ask());
    this.ask();
  }

  /** The time by the store's clock. */
  now() {
    return this.clock.storeMs + performance.now() - this.clock.atMs;
  }

  /** Asks now, and then again and again. */
  async ask() {
    clearTimeout(this.timer);
    if (document.hidden) {
      this.tell("hidden");
      return;
    }
    if (this.asking) return;
    this.asking = true;
    this.dueMs = MOST_MS;
    try {
      await this.askOnce();
    } catch (error) {
      this.tell("away", error.name === "TimeoutError" ? "no answer" : "it cannot be reached");
    } finally {
      this.asking = false;
      const inMs = Math.min(MOST_MS, Math.max(LEAST_MS, this.dueMs)) + Math.random() * SPREAD_MS;
      this.timer = setTimeout(() => this.ask(), inMs);
    }
  }

  async askOnce() {
    const have = Object.values(this.versions).join();
    const answer = await fetch(`${this.url}?have=${have}`, {
      cache: "no-store",
      headers: { "X-Requested-With": "XMLHttpRequest" },
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    if (answer.status === 401) return this.tell("login");
    if (answer.status !== 200 && answer.status !== 304) {
      return this.tell("away", (await answer.text()).slice(0, 300));
    }
    const changed = [];
    if (answer.status === 200) {
      for (const [name, [version, content]] of Object.entries(await answer.json())) {
        this.versions[name] = version;
        this.parts[name] = content;
        changed.push(name);
      }
    }
    this.dueMs = Number(answer.headers.get("Fixwurx-Due-Ms"));
    this.clock = {
      storeMs: Number(answer.headers.get("Fixwurx-Now-Ms")),
      atMs: performance.now(),
    };
    const trouble = this.parts.trouble;
    return this.tell(trouble ? "store" : "live", trouble?.text ?? "", changed);
  }

  tell(state, reason = "", changed = []) {
    this.state = state;
    if (state === "live") this.lastMs = this.now();
    this.reason = reason;
    this.onChange(new Set(changed));
  }
}
