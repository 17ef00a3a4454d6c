// The nodes, each with its agents as cells.

import { act, confirmed } from "./actions.js";
import { $, make, say, set, sync } from "./dom.js";
import { age, counted, number } from "./words.js";

const LATE_MS = 3000;
const KNOWN_PHASES = new Set(["TRIAGE", "REPRO", "ANALYZE", "PATCH", "VERIFY"]);
const IN_A_ROW = 12;
const FREE_DRAWN = 48;
const STATES = {
  READY: "ready", BUSY: "busy", STOPPING: "draining", STARTING: "starting", OFFLINE: "gone",
  ERROR: "error",
};
const byName = new Intl.Collator("en", { numeric: true }).compare;

/** Draws them. `page` has the feed, the addresses, and whether anything may be done. */
export class Nodes {
  constructor(page) {
    this.page = page;
    this.shown = null;
    $("filter").addEventListener("input", () => this.filter());
    $("bug-close").addEventListener("click", () => $("bug").close());
  }

  /** The cards, when something about nodes has changed. */
  draw(nodes) {
    const inService = nodes.filter((node) => node.state !== "OFFLINE");
    inService.sort((a, b) => byName(a.id, b.id));
    sync($("nodes"), inService, (node) => node.id, (node) => this.card(node), (card, node) => this.update(card, node));
    set($("no-nodes"), "hidden", inService.length > 0);
    const gone = nodes.filter((node) => node.state === "OFFLINE");
    set($("gone"), "hidden", gone.length === 0);
    say($("gone-count"), `${counted(gone.length, "node")} went in the last hour`);
    sync($("gone-list"), gone, (node) => node.id, () => make("li"), (item, node) => {
      item.node = node;
    });
    this.filter();
    this.showBug();
  }

  /** What passes with time: ages, and heartbeats. */
  tick() {
    const now = this.page.feed.now();
    const heartbeats = this.page.feed.parts.heartbeats ?? {};
    for (const card of $("nodes").children) {
      const { seen } = card.places;
      const silentMs = Math.max(0, now - (heartbeats[card.node.id] ?? now));
      const verb = card.node.state === "STARTING" ? "launched" : "seen";
      say(seen, `${verb} ${age(silentMs)} ago`);
      set(seen, "class", silentMs > LATE_MS && verb === "seen" ? "late" : null);
      for (const cell of card.places.cells.children) {
        if (cell.since) say(cell.since, cell.sinceMs ? age(now - cell.sinceMs) : "");
      }
    }
    for (const item of $("gone-list").children) {
      say(item, `${item.node.id}, last seen ${age(now - (heartbeats[item.node.id] ?? now))} ago`);
    }
    this.showBug();
  }

  card(node) {
    const places = {
      name: make("h3", { class: "node-name" }, node.id),
      state: make("span", { class: "state" }),
      labels: make("span", { class: "labels" }),
      free: make("span"),
      health: make("span"),
      seen: make("span"),
      response: make("span"),
      trouble: make("span", { class: "late" }),
      cells: make("ul", { class: "cells" }),
      button: make("button", { type: "button", class: "act", onclick: () => this.drainOrResume(card.node) }),
    };
    const card = make(
      "li", { class: "node" },
      make("div", { class: "node-head" }, places.name, places.state, places.button),
      places.cells,
      make("p", { class: "node-facts" }, places.free, places.health, places.seen, places.response, places.labels, places.trouble),
    );
    card.places = places;
    return card;
  }

  update(card, node) {
    const { places } = card;
    card.node = node;
    set(card, "data-state", node.state);
    say(places.state, STATES[node.state] ?? node.state.toLowerCase());
    say(places.labels, node.labels.join(", "));
    set(places.labels, "hidden", node.labels.length === 0);
    say(places.free, `${number(node.free)} of ${number(node.agents)} free`);
    say(places.health, node.health <= 0.5 ? `health ${node.health.toFixed(2)}: probed only` : `health ${node.health.toFixed(2)}`);
    set(places.health, "class", node.health <= 0.5 ? "late" : null);
    say(places.response, `starts in ${number(node.response_ms)} ms`);
    set(places.response, "hidden", node.response_ms === 0);
    say(places.trouble, node.unstarted ? `${counted(node.unstarted, "bug")} given, not started` : "");
    set(places.trouble, "hidden", !node.unstarted);
    const isDraining = node.state === "STOPPING";
    say(places.button, isDraining ? "Resume" : "Drain");
    set(places.button, "aria-label", `${isDraining ? "Resume" : "Drain"} ${node.id}`);
    set(places.button, "hidden", node.state === "STARTING" || !this.page.mayAct);
    this.cells(card, node);
  }

  cells(card, node) {
    const columns = Math.min(node.agents, IN_A_ROW);
    card.places.cells.style.setProperty("--columns", columns);
    set(card.places.cells, "aria-label", `agents of ${node.id}`);
    const bugs = [...node.bugs].sort((a, b) => (a[4] ?? 0) - (b[4] ?? 0) || byName(a[0], b[0]));
    const held = bugs.reduce((sum, [, agents]) => sum + agents, 0);
    const free = Math.max(0, node.agents - held);
    const cells = bugs.map(([bug, agents, state, phase, sinceMs]) => ({
      key: `b${bug}`, bug, agents, state, phase, sinceMs,
    }));
    for (let i = 0; i < Math.min(free, FREE_DRAWN); i += 1) cells.push({ key: `f${i}` });
    if (free > FREE_DRAWN) cells.push({ key: "more", more: free - FREE_DRAWN });
    sync(card.places.cells, cells, (cell) => cell.key, (cell) => this.cell(card, cell), (element, cell) => {
      if (!cell.bug) {
        if (cell.more) say(element, `+${number(cell.more)}`);
        return;
      }
      const span = Math.min(cell.agents, columns);
      const what = cell.state === "RUNNING" ? cell.phase : cell.state;
      element.sinceMs = cell.sinceMs;
      element.style.setProperty("--span", span);
      set(element, "data-phase", cell.state === "RUNNING" ? (KNOWN_PHASES.has(what) ? what : "OTHER") : cell.state);
      set(element, "data-narrow", columns / span > 5);
      say(element.phase, what.toLowerCase());
      set(element.button, "title", `${cell.bug}: ${what.toLowerCase()}, ${counted(cell.agents, "agent")}`);
    });
  }

  cell(card, cell) {
    if (!cell.bug) return make("li", { class: cell.more ? "more" : "free", "aria-hidden": "true" });
    const phase = make("span", { class: "phase" });
    const since = make("span", { class: "since" });
    const button = make(
      "button", { type: "button", class: "bug", onclick: () => this.openBug(card.node.id, cell.bug) },
      make("span", { class: "bug-id" }, cell.bug),
      make("span", { class: "bug-progress" }, phase, " ", since),
    );
    return Object.assign(make("li", {}, button), { button, phase, since });
  }

  // -- what a cell has to say ------------------------------------------------------------------

  openBug(node, bug) {
    this.shown = { node, bug };
    say($("bug-id"), bug);
    set($("bug-log"), "href", `${this.page.urls.log}?bug=${encodeURIComponent(bug)}`);
    this.showBug();
    $("bug").showModal();
  }

  showBug() {
    if (!this.shown) return;
    const { node, bug } = this.shown;
    const found = (this.page.feed.parts.nodes ?? []).find((one) => one.id === node)?.bugs.find((one) => one[0] === bug);
    if (!found) {
      say($("bug-facts"), `It is no more on ${node}.`);
      return;
    }
    const [, agents, state, phase, sinceMs] = found;
    const runs = state === "RUNNING";
    const since = sinceMs ? ` for ${age(this.page.feed.now() - sinceMs)}` : "";
    say(
      $("bug-facts"),
      runs
        ? `It runs on ${node}${since} with ${counted(agents, "agent")}; its phase is ${phase.toLowerCase()}.`
        : `It has been ${state.toLowerCase()} to ${node}${since}, with ${counted(agents, "agent")}; it does not run yet.`,
    );
  }

  // -- doing and finding -----------------------------------------------------------------------

  async drainOrResume(node) {
    if (node.state === "STOPPING") {
      if (await confirmed(`Resume ${node.id}?`, "It takes bugs again, at once.", "Resume")) {
        await act(this.page.urls.resume, { node: node.id });
        this.page.feed.ask();
      }
      return;
    }
    const runs = node.bugs.length;
    const what = runs
      ? `${counted(runs, "bug")} there may go on for ${this.page.drainTimeoutS} s, and then move to other nodes.`
      : "It runs none now.";
    if (await confirmed(`Drain ${node.id}?`, `It gets no more bugs. ${what} It stays in service, and can be resumed.`, "Drain")) {
      await act(this.page.urls.drain, { node: node.id });
      this.page.feed.ask();
    }
  }

  filter() {
    const wanted = $("filter").value.trim().toLowerCase();
    let shown = 0;
    for (const card of $("nodes").children) {
      const { node } = card;
      const text = [node.id, STATES[node.state], ...node.labels, ...node.bugs.map((bug) => bug[0])];
      const fits = !wanted || text.some((word) => String(word).toLowerCase().includes(wanted));
      set(card, "hidden", !fits);
      shown += fits;
    }
    const all = $("nodes").children.length;
    say($("filter-found"), wanted ? `${number(shown)} of ${counted(all, "node")}` : "");
  }
}
