// The waiting lines: counts, never rows of bugs.

import { $, make, say, set, sync } from "./dom.js";
import { age, counted, needs, number } from "./words.js";

export class Lines {
  constructor(page) {
    this.page = page;
  }

  draw({ lines, delayed }) {
    const most = Math.max(1, ...lines.map((line) => line.waiting));
    sync(
      $("lines"),
      lines,
      (line) => line.class,
      () => this.row(),
      (row, line) => {
        row.line = line;
        say(row.places.needs, needs(line.class));
        say(row.places.waiting, number(line.waiting));
        row.places.bar.style.setProperty("--share", line.waiting / most);
        say(row.places.head, line.head);
      },
    );
    set($("lines-table"), "hidden", lines.length === 0);
    set($("no-lines"), "hidden", lines.length > 0 || delayed > 0);
    set($("delayed"), "hidden", delayed === 0);
    say(
      $("delayed"),
      `${counted(delayed, "bug")} back off after failures, and join their lines later.`,
    );
  }

  tick() {
    const now = this.page.feed.now();
    for (const { line, places } of $("lines").children) {
      say(places.since, line.since_ms === null ? "–" : age(now - line.since_ms));
    }
  }

  row() {
    const places = {
      needs: make("th", { scope: "row", role: "rowheader" }),
      waiting: make("span", { class: "amount" }),
      bar: make("span", { class: "bar", "aria-hidden": "true" }),
      head: make("td", { role: "cell", class: "name", "data-title": "first in line" }),
      since: make("td", { role: "cell", class: "right", "data-title": "waits for" }),
    };
    const row = make(
      "tr",
      { role: "row" },
      places.needs,
      make(
        "td",
        { role: "cell", "data-title": "waiting" },
        make("span", { class: "with-bar" }, places.waiting, places.bar),
      ),
      places.head,
      places.since,
    );
    return Object.assign(row, { places });
  }
}
