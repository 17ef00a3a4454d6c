// The nodes, each with its agents as cells.

import { drainOrResume } from "./drain.js";
import { BugDialog, NodeDialog } from "./details.js";
import { $, make, say, set, sync } from "./dom.js";
import { STATES, age, counted, number, phaseTold } from "./words.js";

const LATE_MS = 3000;
const SICK = 0.5;
const KNOWN_PHASES = new Set(["TRIAGE", "REPRO", "ANALYZE", "PATCH", "VERIFY"]);
const IN_A_ROW = 12;
const FREE_DRAWN = 48;
const MANY = 24;
const COLUMNS_FOR_WORDS = 5; // a cell narrower than a fifth of its card has room for a letter

// Copied for each bug, which is quicker than to make hundreds at once.
const BRIEF = make("li", {}, make("button", { type: "button", class: "bug brief" }));
const FULL = make(
  "li",
  {},
  make(
    "button",
    { type: "button", class: "bug" },
    ...["bug-id", "phase", "since"].map((name) => make("span", { class: name })),
  ),
);

const byName = new Intl.Collator("en", { numeric: true }).compare;

/** Draws them. `page` has the feed, the addresses, and whether anything may be done. */
export class Nodes {
  constructor(page) {
    this.page = page;
    this.bugDialog = new BugDialog(page);
    this.nodeDialog = new NodeDialog(page);
    this.wantsCompact = null;
    this.isCompact = false;
    $("nodes").addEventListener("click", ({ target }) => {
      const cell = target.closest(".bug")?.parentElement;
      if (cell) this.bugDialog.open(cell.closest(".node").node.id, cell.bug);
    });
    $("filter").addEventListener("input", () => this.filter());
    $("density").addEventListener("click", () => {
      this.wantsCompact = $("density").getAttribute("aria-pressed") !== "true";
      this.draw(this.page.feed.parts.nodes ?? []);
      this.tick();
    });
  }

  /** The cards, when something about nodes has changed. */
  draw(nodes) {
    const inService = nodes.filter((node) => node.state !== "OFFLINE");
    inService.sort((a, b) => byName(a.id, b.id));
    this.isCompact = this.wantsCompact ?? inService.length > MANY;
    set($("density"), "aria-pressed", String(this.isCompact));
    set($("nodes"), "data-compact", this.isCompact);
    sync(
      $("nodes"),
      inService,
      (node) => node.id,
      (node) => this.card(node),
      (card, node) => this.update(card, node),
    );
    set($("no-nodes"), "hidden", inService.length > 0);
    const gone = nodes.filter((node) => node.state === "OFFLINE");
    set($("gone"), "hidden", gone.length === 0);
    say($("gone-count"), `${counted(gone.length, "node")} went in the last hour`);
    sync(
      $("gone-list"),
      gone,
      (node) => node.id,
      () => make("li"),
      (item, node) => {
        item.node = node;
      },
    );
    this.filter();
  }

  /** What passes with time: ages, and heartbeats. */
  tick() {
    const now = this.page.feed.now();
    const apart = { silent: 0, "probed only": 0, draining: 0, starting: 0, "in error": 0 };
    for (const card of $("nodes").children) {
      const { seen, cells } = card.places;
      const silentMs = this.page.silentMs(card.node.id);
      const isStarting = card.node.state === "STARTING";
      const isLate = silentMs > LATE_MS && !isStarting;
      say(seen, `${isStarting ? "launched" : "seen"} ${age(silentMs)} ago`);
      set(seen, "class", isLate ? "late" : null);
      set(card, "data-late", isLate);
      apart.silent += isLate;
      apart["probed only"] += card.node.health <= SICK;
      apart.draining += card.node.state === "STOPPING";
      apart.starting += isStarting;
      apart["in error"] += card.node.state === "ERROR";
      for (const { since, sinceMs } of cells.children) {
        if (since) say(since, sinceMs ? age(now - sinceMs) : "");
      }
    }
    for (const item of $("gone-list").children) {
      say(item, `${item.node.id}, last seen ${age(this.page.silentMs(item.node.id))} ago`);
    }
    this.sum(apart);
    this.bugDialog.tick();
    this.nodeDialog.tick();
  }

  /** At the top of the page: how many nodes are not as they should be, which may be far below. */
  sum(apart) {
    const told = Object.entries(apart).filter(([, count]) => count);
    const place = $("in-service-of");
    say(
      place,
      told.map(([what, count]) => `${number(count)} ${what}`).join(", ") ||
        ($("nodes").children.length ? "all take bugs" : ""),
    );
    place.classList.toggle("late", apart.silent + apart["probed only"] + apart["in error"] > 0);
  }

  card(node) {
    const places = {
      state: make("span", { class: "state" }),
      labels: make("span", { class: "labels" }),
      cells: make("ul", { class: "cells", "aria-label": `agents of ${node.id}` }),
      free: make("span"),
      health: make("span"),
      response: make("span"),
      seen: make("span"),
      trouble: make("span", { class: "late" }),
      button: make("button", {
        type: "button",
        class: "act",
        onclick: () => drainOrResume(this.page, card.node),
      }),
    };
    const name = make(
      "button",
      { type: "button", class: "name-button", onclick: () => this.nodeDialog.open(node.id) },
      node.id,
    );
    const card = make(
      "li",
      { class: "node" },
      make(
        "div",
        { class: "node-head" },
        make("h3", { class: "node-name" }, name),
        places.state,
        places.labels,
        places.button,
      ),
      places.cells,
      make(
        "p",
        { class: "node-facts" },
        places.free,
        places.health,
        places.response,
        places.seen,
        places.trouble,
      ),
    );
    card.places = places;
    return card;
  }

  update(card, node) {
    const { places } = card;
    card.node = node;
    const isSick = node.health <= SICK;
    const isDraining = node.state === "STOPPING";
    set(card, "data-state", node.state);
    set(card, "data-sick", isSick || node.unstarted > 0);
    say(places.state, STATES[node.state] ?? node.state.toLowerCase());
    say(places.labels, node.labels.join(", "));
    const isStarting = node.state === "STARTING"; // of which nothing was measured yet
    say(
      places.free,
      isStarting
        ? counted(node.agents, "agent")
        : `${number(node.free)} of ${number(node.agents)} free`,
    );
    set(places.health, "hidden", isStarting);
    set(places.response, "hidden", isStarting);
    say(places.health, `health ${node.health.toFixed(2)}${isSick ? ", probed only" : ""}`);
    set(places.health, "class", isSick ? "late" : null);
    say(places.response, `response ${number(node.response_ms)} ms`);
    say(
      places.trouble,
      node.unstarted ? `${counted(node.unstarted, "bug")} given, not started` : "",
    );
    set(places.trouble, "hidden", !node.unstarted);
    say(places.button, isDraining ? "Resume" : "Drain");
    set(places.button, "aria-label", `${isDraining ? "Resume" : "Drain"} ${node.id}`);
    set(places.button, "hidden", isStarting || !this.page.mayAct);
    this.drawCells(places.cells, node);
  }

  drawCells(place, node) {
    const columns = Math.min(node.agents, IN_A_ROW);
    place.style.setProperty("--columns", columns);
    sync(
      place,
      cellsOf(node, (agents) => this.isCompact || columns / agents > COLUMNS_FOR_WORDS),
      (cell) => cell.key,
      cellFor,
      (element, cell) => {
        if (cell.bug) updateCell(element, cell, columns);
        else if (cell.more) say(element, `+${number(cell.more)}`);
      },
    );
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

/** Bugs first, those that are there longest in front; then what is free. */
function cellsOf(node, isBriefWith) {
  const bugs = node.bugs
    .map(([bug, agents, state, phase, sinceMs]) => ({
      key: `${isBriefWith(agents) ? "brief" : "full"} ${bug}`,
      bug,
      isBrief: isBriefWith(agents),
      agents,
      state,
      phase,
      sinceMs,
    }))
    .sort((a, b) => (a.sinceMs ?? 0) - (b.sinceMs ?? 0) || byName(a.bug, b.bug));
  const held = bugs.reduce((sum, bug) => sum + bug.agents, 0);
  const free = Math.max(0, node.agents - held);
  const cells = Array.from({ length: Math.min(free, FREE_DRAWN) }, (_, i) => ({ key: `f${i}` }));
  if (free > FREE_DRAWN) cells.push({ key: "more", more: free - FREE_DRAWN });
  return [...bugs, ...cells];
}

function cellFor({ bug, isBrief, more }) {
  if (!bug) return make("li", { class: more ? "more" : "free", "aria-hidden": "true" });
  const cell = (isBrief ? BRIEF : FULL).cloneNode(true);
  const button = cell.firstElementChild;
  const [id, phase, since] = button.children;
  if (id) say(id, bug);
  return Object.assign(cell, { bug, button, phase, since });
}

function updateCell(element, { bug, agents, state, phase, sinceMs }, columns) {
  const span = Math.min(agents, columns);
  const runs = state === "RUNNING";
  const what = phaseTold(state, phase);
  element.sinceMs = sinceMs;
  element.style.setProperty("--span", span);
  set(element, "data-phase", runs && !KNOWN_PHASES.has(phase) ? "OTHER" : runs ? phase : state);
  // The first letter of the phase, so that its colour is not all there is.
  if (element.phase) say(element.phase, what);
  else say(element.button, [...what][0]?.toUpperCase() ?? "");
  const label = `${bug}: ${what}, ${counted(agents, "agent")}`;
  set(element.button, "title", label);
  set(element.button, "aria-label", label);
}
