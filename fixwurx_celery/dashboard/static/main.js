// The cluster's page: what has come from the store is drawn where it has changed, and nothing else.

import { act, confirmed } from "./actions.js";
import { $, make, say, set } from "./dom.js";
import { Ended } from "./ended.js";
import { Feed } from "./feed.js";
import { Lines } from "./lines.js";
import { Nodes } from "./nodes.js";
import { Scaling } from "./scaling.js";
import { age, number } from "./words.js";

const main = $("main-content");
const page = {
  urls: { ...main.dataset },
  mayAct: main.dataset.refusal === "",
  drainTimeoutS: main.dataset.drainTimeout,
  feed: new Feed(main.dataset.cluster, changed),
  node: (id) => (page.feed.parts.nodes ?? []).find((node) => node.id === id),
  silentMs(id) {
    const now = page.feed.now();
    return Math.max(0, now - (page.feed.parts.heartbeats?.[id] ?? now));
  },
};
const parts = {
  nodes: new Nodes(page),
  lines: new Lines(page),
  scaling: new Scaling(page),
  ended: new Ended(page),
};
const FIRST_ROWS = { ended: 8, changes: 4 }; // as in the style sheet
const LIVE = {
  connecting: "Connecting",
  live: "Live",
  hidden: "Paused",
  store: "Store away",
  away: "Flower away",
  login: "Logged out",
};

function changed(names) {
  if (names.has("totals")) drawTotals(page.feed.parts.totals);
  for (const [name, part] of Object.entries(parts)) {
    if (names.has(name)) part.draw(page.feed.parts[name]);
  }
  for (const button of document.querySelectorAll(".more-rows")) offerMore(button);
  if (page.feed.parts.totals) {
    for (const part of Object.values(parts)) part.tick();
    drawOldest();
  }
  drawState();
}

function drawState() {
  const { state, reason } = page.feed;
  set(main, "data-state", state);
  set(main, "data-known", Boolean(page.feed.parts.totals));
  say($("live"), LIVE[state]);
  const isTrouble = ["store", "away", "login"].includes(state);
  set($("trouble"), "hidden", !isTrouble);
  set($("log-in"), "hidden", state !== "login");
  if (!isTrouble) return;
  say(
    $("trouble-what"),
    {
      store: "The store does not answer.",
      away: "Flower does not answer.",
      login: "You are logged out.",
    }[state],
  );
  const lastMs = page.feed.parts.trouble?.last_ms ?? page.feed.lastMs;
  const old = lastMs ? `What is shown is ${age(page.feed.now() - lastMs)} old.` : "";
  say($("trouble-age"), state === "login" ? old : `${old} It is asked again and again.`);
  say($("trouble-why"), reason);
}

function drawTotals(totals) {
  const busy = totals.agents - totals.free;
  say($("agents"), number(busy));
  say($("agents-of"), `of ${number(totals.agents)}`);
  $("agents-bar").style.setProperty("--share", totals.agents ? busy / totals.agents : 0);
  say($("on-nodes"), number(totals.on_nodes));
  say($("on-nodes-of"), totals.not_started ? `${number(totals.not_started)} not started yet` : "");
  say($("waiting"), number(totals.waiting));
  say($("in-service"), number(totals.nodes));
  const { DONE, ESCALATED, CANCELLED } = totals.ended;
  say($("done"), number(DONE));
  say($("done-of"), `${number(ESCALATED)} escalated, ${number(CANCELLED)} cancelled`);
  drawStrategy(totals);
}

function drawOldest() {
  const since = page.feed.parts.lines.lines
    .map((line) => line.since_ms)
    .filter((ms) => ms !== null);
  const oldest = since.length ? `the first for ${age(page.feed.now() - Math.min(...since))}` : "";
  say($("waiting-of"), oldest);
}

function drawStrategy({ strategy, strategies }) {
  const select = $("strategy");
  if (!select.options.length) {
    select.append(...strategies.map(([name]) => make("option", { value: name }, name)));
  }
  if (select.dataset.now !== strategy) {
    select.dataset.now = strategy;
    select.value = strategy;
  }
  showStrategy();
}

function showStrategy() {
  const select = $("strategy");
  const [, takes] = page.feed.parts.totals.strategies.find(([name]) => name === select.value);
  say($("strategy-takes"), `takes ${takes}`);
  set($("strategy-set"), "disabled", !page.mayAct || select.value === select.dataset.now);
}

async function changeStrategy() {
  const select = $("strategy");
  const detail = `From the next bug on, the whole cluster takes ${$("strategy-takes").textContent.slice(6)}.`;
  if (await confirmed(`Choose nodes by ${select.value}?`, detail, "Change")) {
    await act(page.urls.strategy, { strategy: select.value });
    page.feed.ask();
  } else {
    select.value = select.dataset.now;
    showStrategy();
  }
}

for (const button of document.querySelectorAll(".more-rows")) {
  button.addEventListener("click", () => {
    $(button.dataset.of).toggleAttribute("data-all");
    offerMore(button);
  });
}

/** A long table shows its first rows, and the others when asked. */
function offerMore(button) {
  const body = $(button.dataset.of);
  const [rows, first] = [body.children.length, FIRST_ROWS[button.dataset.of]];
  set(button, "hidden", rows <= first);
  say(button, body.hasAttribute("data-all") ? `Show the first ${first}` : `Show all ${rows}`);
}

$("strategy").addEventListener("change", showStrategy);
$("strategy-set").addEventListener("click", changeStrategy);
page.feed.start();
