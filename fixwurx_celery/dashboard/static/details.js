// What there is to say of one bug on a node, or of one node: in a dialog, as long as it is open live.

import { drainOrResume } from "./drain.js";
import { $, make, say, set, sync } from "./dom.js";
import { STATES, age, counted, number, phaseTold } from "./words.js";

export class BugDialog {
  constructor(page) {
    this.page = page;
    $("bug-close").addEventListener("click", () => $("bug").close());
  }

  open(node, bug) {
    this.node = node;
    this.bug = bug;
    say($("bug-id"), bug);
    set($("bug-log"), "href", `${this.page.urls.log}?bug=${encodeURIComponent(bug)}`);
    $("bug").showModal();
    this.tick();
  }

  tick() {
    if ($("bug").open) say($("bug-facts"), this.facts());
  }

  facts() {
    const found = this.page.node(this.node)?.bugs.find(([bug]) => bug === this.bug);
    if (!found) return `It is no more on ${this.node}.`;
    const [, agents, state, phase, sinceMs] = found;
    const since = sinceMs ? `, for ${age(this.page.feed.now() - sinceMs)}` : "";
    const where = `on ${this.node} with ${counted(agents, "agent")}${since}`;
    if (state === "RUNNING") return `Runs ${where}. Its phase: ${phaseTold(state, phase)}.`;
    return `Has its place ${where}: ${phaseTold(state, phase)}.`;
  }
}

export class NodeDialog {
  constructor(page) {
    this.page = page;
    $("node-close").addEventListener("click", () => $("node").close());
    $("node-act").addEventListener("click", () => {
      const node = this.page.node(this.id);
      $("node").close();
      if (node) drainOrResume(this.page, node);
    });
  }

  open(id) {
    this.id = id;
    say($("node-id"), id);
    $("node").showModal();
    this.tick();
  }

  tick() {
    if (!$("node").open) return;
    const node = this.page.node(this.id);
    sync(
      $("node-facts"),
      this.facts(node),
      ([name]) => name,
      ([name]) => make("div", {}, make("dt", {}, name), make("dd")),
      (pair, [, value]) => say(pair.lastElementChild, value),
    );
    set(
      $("node-act"),
      "hidden",
      !node || !this.page.mayAct || ["OFFLINE", "STARTING"].includes(node.state),
    );
    say($("node-act"), node?.state === "STOPPING" ? "Resume" : "Drain");
  }

  facts(node) {
    if (!node) return [["state", "gone"]];
    return [
      [
        "state",
        (STATES[node.state] ?? node.state) +
          (node.stage ? `; launched by a controller: ${node.stage}` : ""),
      ],
      ["agents", `${number(node.free)} free of ${number(node.agents)}`],
      ["bugs", node.bugs.length ? node.bugs.map(([bug]) => bug).join(", ") : "none"],
      ["capabilities", node.labels.join(", ") || "none"],
      ["health", node.health.toFixed(2)],
      ["response", `${number(node.response_ms)} ms from assignment to start`],
      ["last seen", `${age(this.page.silentMs(node.id))} ago`],
      [
        "host",
        node.host ? `${node.host}: ${node.cores} cores, ${number(node.memory_mb)} MB` : "not told",
      ],
    ];
  }
}
