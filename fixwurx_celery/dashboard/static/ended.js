// Bugs that have ended, the last first.

import { $, make, say, set, sync } from "./dom.js";
import { age, counted, exactTime, number, took } from "./words.js";

export class Ended {
  constructor(page) {
    this.page = page;
  }

  draw(bugs) {
    sync(
      $("ended"),
      bugs,
      (bug) => `${bug.at_ms} ${bug.id}`,
      (bug) => this.row(bug),
      () => {},
    );
    set($("ended-table"), "hidden", bugs.length === 0);
    set($("none-ended"), "hidden", bugs.length > 0);
    const kept = this.page.feed.parts.totals?.kept ?? 0;
    say(
      $("ended-note"),
      kept > bugs.length ? `the last ${number(bugs.length)} of ${number(kept)}` : "",
    );
  }

  tick() {
    const now = this.page.feed.now();
    for (const { bug, ended } of $("ended").children) {
      say(ended, bug.at_ms === null ? "–" : `${age(now - bug.at_ms)} ago`);
    }
  }

  row(bug) {
    const query = `?bug=${encodeURIComponent(bug.id)}`;
    const link = (url, what) =>
      make(
        "a",
        {
          href: url + query,
          target: "_blank",
          rel: "noopener",
          "aria-label": `${what} of ${bug.id}`,
        },
        what,
      );
    const ended = make("td", {
      role: "cell",
      class: "right",
      "data-title": "ended",
      title: bug.at_ms === null ? null : exactTime(bug.at_ms),
    });
    const deaths = bug.deaths ? `, ${counted(bug.deaths, "death")}` : "";
    const row = make(
      "tr",
      { role: "row" },
      make("th", { scope: "row", role: "rowheader", class: "name" }, bug.id),
      make(
        "td",
        { role: "cell", "data-title": "outcome" },
        make(
          "span",
          {
            class: "verdict",
            "data-verdict": bug.verdict || bug.state,
            title: bug.verdict || bug.state,
          },
          bug.verdict || bug.state,
        ),
      ),
      make("td", { role: "cell", class: "words", "data-title": "what" }, bug.detail || "–"),
      make("td", { role: "cell", class: "name", "data-title": "node" }, bug.node || "–"),
      make(
        "td",
        { role: "cell", class: "right", "data-title": "attempts" },
        `${number(bug.runs)}${deaths}`,
      ),
      make("td", { role: "cell", class: "right", "data-title": "took" }, took(bug.took_ms)),
      ended,
      make(
        "td",
        { role: "cell", class: "links", "data-title": "read" },
        bug.runs ? link(this.page.urls.log, "log") : null,
        bug.patch ? link(this.page.urls.patch, "patch") : null,
        bug.runs || bug.patch ? null : "–",
      ),
    );
    return Object.assign(row, { bug, ended });
  }
}
