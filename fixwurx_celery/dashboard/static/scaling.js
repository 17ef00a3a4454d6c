// The scaling decisions: over time beside capacity and demand, and in words.

import { Chart } from "./chart.js";
import { $, make, say, set, sync } from "./dom.js";
import { age, agentsOf, counted, exactTime, number } from "./words.js";

const ACTIONS = { out: "more nodes", in: "fewer nodes", hold: "no change" };

export class Scaling {
  constructor(page) {
    this.page = page;
    this.chart = new Chart($("chart"), $("chart-said"));
    $("range").addEventListener("change", () => this.tick());
  }

  draw({ ticks, changes, last }) {
    this.chart.changes = changes;
    this.chart.ticks = ticks;
    sync(
      $("changes"),
      changes,
      (one) => one.id,
      (one) => this.row(one),
      () => {},
    );
    set($("changes-table"), "hidden", changes.length === 0);
    set($("no-decision"), "hidden", last !== null);
    set($("decided"), "hidden", last === null);
    set($("chart-frame"), "hidden", last === null);
    if (last) {
      say($("decided-what"), ACTIONS[last.action] ?? last.action);
      say($("decided-why"), last.reason);
      $("decided").last = last;
    }
    set($("scaling-trouble"), "hidden", !last?.trouble);
    say($("scaling-trouble"), last?.trouble ? `The provider is in trouble: ${last.trouble}` : "");
  }

  tick() {
    const now = this.page.feed.now();
    const { last } = $("decided");
    if (last) say($("decided-when"), `${age(now - last.at_ms)} ago`);
    for (const { change, when } of $("changes").children)
      say(when, `${age(now - change.at_ms)} ago`);
    const { totals, lines } = this.page.feed.parts;
    if (!totals || !lines || !last) return;
    const waiting = lines.lines.reduce((sum, line) => sum + line.waiting * agentsOf(line.class), 0);
    this.chart.draw(now, Number($("range").value), {
      atMs: now,
      capacity: totals.capacity,
      held: totals.held,
      waiting,
    });
  }

  row(change) {
    const when = make("td", {
      role: "cell",
      class: "right",
      "data-title": "when",
      title: exactTime(change.at_ms),
    });
    const row = make(
      "tr",
      { role: "row" },
      when,
      make(
        "td",
        { role: "cell", "data-title": "action" },
        make(
          "span",
          { class: "action", "data-action": change.action },
          ACTIONS[change.action] ?? change.action,
        ),
      ),
      make(
        "td",
        { role: "cell", class: "right", "data-title": "nodes, wanted" },
        `${number(change.nodes)} → ${number(change.wanted)}`,
      ),
      make("td", { role: "cell", class: "words", "data-title": "reason" }, change.reason),
    );
    set(row, "aria-label", `${counted(change.nodes, "node")}, ${number(change.wanted)} wanted`);
    return Object.assign(row, { change, when });
  }
}
