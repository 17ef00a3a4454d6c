// Capacity and demand in agents over time: what is at work below the capacity, what waits below that
// on a scale of its own, because ten thousand waiting bugs would flatten all else. One SVG, drawn
// by hand.

import { draw, say, set } from "./dom.js";
import { counted, number, timeOfDay } from "./words.js";

const HEIGHTS = { agents: 112, gap: 20, waiting: 56, axis: 20 };
const LEFT = 44;
const RIGHT = 10;
const TOP = 12;
const MINUTE_MS = 60000;
const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120].map((minutes) => minutes * MINUTE_MS);

export class Chart {
  constructor(frame, said) {
    this.frame = frame;
    this.said = said;
    this.ticks = [];
    this.changes = [];
    this.chosen = null;
    this.drawnAs = "";
    this.svg = draw("svg", { "aria-hidden": "true", class: "plot" });
    this.frame.append(this.svg);
    this.frame.addEventListener("pointermove", (event) => this.point(event));
    this.frame.addEventListener("pointerleave", () => this.choose(null));
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("blur", () => this.choose(null));
  }

  /** Draws `minutes` up to now; `live` is what holds now, after the last decision. */
  draw(now, minutes, live) {
    const from = now - minutes * MINUTE_MS;
    const known = this.ticks.map(([atMs, capacity, held, waiting, nodes]) => ({
      atMs,
      capacity,
      held,
      waiting,
      nodes,
    }));
    const before = known.filter((one) => one.atMs < from).at(-1);
    const seen = known.filter((one) => one.atMs >= from);
    this.points = [...(before ? [{ ...before, atMs: from }] : []), ...seen, live];
    this.span = { from: before ? from : Math.min(seen[0]?.atMs ?? from, now - MINUTE_MS), to: now };
    this.width = Math.max(240, this.frame.clientWidth);
    // A picture whose newest pixel is the same need not be drawn again.
    const msPerPixel = (this.span.to - this.span.from) / this.width;
    const state = [
      this.width,
      minutes,
      Math.floor(now / msPerPixel),
      this.ticks.at(-1)?.[0],
      live.capacity,
      live.held,
      live.waiting,
    ].join();
    if (state !== this.drawnAs) {
      this.drawnAs = state;
      this.redraw();
    }
    this.showChosen();
  }

  redraw() {
    const height = TOP + HEIGHTS.agents + HEIGHTS.gap + HEIGHTS.waiting + HEIGHTS.axis;
    set(this.svg, "viewBox", `0 0 ${this.width} ${height}`);
    set(this.svg, "width", this.width);
    set(this.svg, "height", height);
    const agents = {
      top: TOP,
      height: HEIGHTS.agents,
      most: ceiling(this.points, (p) => Math.max(p.capacity, p.held)),
    };
    const waiting = {
      top: TOP + HEIGHTS.agents + HEIGHTS.gap,
      height: HEIGHTS.waiting,
      most: ceiling(this.points, (p) => p.waiting),
    };
    const bottom = waiting.top + waiting.height;
    this.marks = draw("g", {});
    this.cursor = draw("line", { class: "cursor", y1: TOP, y2: bottom, x1: -1, x2: -1 });
    this.svg.replaceChildren(
      ...this.grid(agents, 4),
      ...this.grid(waiting, 2),
      ...this.times(bottom),
      draw("path", { class: "held", d: this.area(agents, (p) => p.held) }),
      draw("path", { class: "waiting", d: this.area(waiting, (p) => p.waiting) }),
      draw("path", { class: "capacity", d: this.line(agents, (p) => p.capacity) }),
      ...this.changes
        .filter((one) => one.at_ms >= this.span.from)
        .map((one) => this.mark(one, agents)),
      this.cursor,
    );
  }

  x(atMs) {
    const share = (atMs - this.span.from) / (this.span.to - this.span.from);
    return LEFT + share * (this.width - LEFT - RIGHT);
  }

  /** A value holds until the next is known. */
  line(panel, valueOf) {
    const y = (point) => round(panel.top + panel.height * (1 - valueOf(point) / panel.most));
    return this.points
      .map((point, i) =>
        i
          ? `H${round(this.x(point.atMs))}V${y(point)}`
          : `M${round(this.x(point.atMs))},${y(point)}`,
      )
      .join("");
  }

  area(panel, valueOf) {
    const bottom = panel.top + panel.height;
    const [first] = this.points;
    return `${this.line(panel, valueOf)}V${bottom}H${round(this.x(first.atMs))}Z`;
  }

  grid(panel, parts) {
    const steps = Array.from({ length: parts + 1 }, (_, i) => i / parts);
    return steps.flatMap((share) => {
      const y = round(panel.top + panel.height * (1 - share));
      const line = draw("line", {
        class: share ? "grid" : "base",
        x1: LEFT,
        x2: this.width - RIGHT,
        y1: y,
        y2: y,
      });
      const isLabelled = share === 0 || share === 1 || (share === 0.5 && parts > 2);
      return isLabelled
        ? [
            line,
            draw("text", { class: "scale", x: LEFT - 6, y: y + 4 }, number(panel.most * share)),
          ]
        : [line];
    });
  }

  times(bottom) {
    const most = Math.max(2, Math.floor((this.width - LEFT) / 80));
    const spanMs = this.span.to - this.span.from;
    const stepMs = STEPS_MS.find((step) => spanMs / step <= most) ?? STEPS_MS.at(-1);
    const labels = [];
    for (let at = Math.ceil(this.span.from / stepMs) * stepMs; at <= this.span.to; at += stepMs) {
      const x = round(this.x(at));
      if (x > this.width - 20) continue;
      labels.push(
        draw("line", { class: "grid", x1: x, x2: x, y1: TOP, y2: bottom }),
        draw("text", { class: "time", x, y: bottom + 15 }, timeOfDay(at)),
      );
    }
    return labels;
  }

  mark(change, panel) {
    const x = round(this.x(change.at_ms));
    const y = panel.top - 2;
    const shape =
      change.action === "out"
        ? `M${x - 5},${y}L${x + 5},${y}L${x},${y - 8}Z`
        : `M${x - 5},${y - 8}L${x + 5},${y - 8}L${x},${y}Z`;
    return draw(
      "g",
      {},
      draw("line", { class: "change", x1: x, x2: x, y1: y, y2: panel.top + panel.height }),
      draw("path", { class: `mark mark-${change.action}`, d: shape }),
    );
  }

  // -- one instant ------------------------------------------------------------------------------

  point(event) {
    const x = event.clientX - this.frame.getBoundingClientRect().left;
    const share = (x - LEFT) / (this.width - LEFT - RIGHT);
    const atMs = this.span.from + share * (this.span.to - this.span.from);
    const index = this.points.findLastIndex((one) => one.atMs <= atMs);
    this.choose(index < 0 ? null : this.points[index].atMs);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !this.points) return;
    event.preventDefault();
    const last = this.points.length - 1;
    const at =
      this.chosen === null ? last : this.points.findLastIndex((one) => one.atMs <= this.chosen);
    this.choose(this.points[Math.min(last, Math.max(0, at + step))].atMs);
  }

  choose(atMs) {
    this.chosen = atMs;
    this.showChosen();
  }

  showChosen() {
    if (!this.points || !this.cursor) return;
    const index =
      this.chosen === null ? -1 : this.points.findLastIndex((one) => one.atMs <= this.chosen);
    const shown = this.points[index < 0 ? this.points.length - 1 : index];
    const x = index < 0 ? -1 : round(this.x(shown.atMs));
    set(this.cursor, "x1", x);
    set(this.cursor, "x2", x);
    const when = index < 0 || index === this.points.length - 1 ? "now" : timeOfDay(shown.atMs);
    const text = `${when}: ${number(shown.held)} of ${counted(shown.capacity, "agent")} at work, ${number(shown.waiting)} more asked for`;
    say(this.said, text);
    set(this.frame, "aria-valuemax", this.points.length - 1);
    set(this.frame, "aria-valuenow", index < 0 ? this.points.length - 1 : index);
    set(this.frame, "aria-valuetext", text);
  }
}

function round(value) {
  return Math.round(value * 10) / 10;
}

/** The top of a scale: the next 1, 2, 4, 6 or 10 of its power of ten. */
function ceiling(points, valueOf) {
  const most = Math.max(4, ...points.map(valueOf));
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 10].map((step) => step * power).find((top) => top >= most);
}
