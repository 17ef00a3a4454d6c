// Numbers and times as people read them.

/** A duration in one unit: `12 s`, `3 min`, `5 h`, `2 d`; a dash for none. */
export function age(ms) {
  if (ms === null || ms === undefined) return "–";
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** How long something took, with a decimal where that tells something. */
export function took(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : age(ms);
}

/** The states of nodes as they are said. */
export const STATES = {
  READY: "ready",
  BUSY: "busy",
  STOPPING: "draining",
  STARTING: "starting",
  OFFLINE: "gone",
  ERROR: "error",
};

/** How far a bug is that a node holds. */
export function phaseTold(state, phase) {
  if (state === "RUNNING") return phase.toLowerCase();
  return state === "ASSIGNED" ? "not started" : state.toLowerCase();
}

const grouped = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** `12,345` */
export const number = (value) => grouped.format(value);

/** `1 bug`, `2 bugs` */
export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** `14:05`, by the clock of this browser. */
export const timeOfDay = (ms) => clock.format(ms);

/** `24/11/2026, 14:05:12` */
export const exactTime = (ms) => exact.format(ms);

/** What bugs of a class need: `3 agents and gpu`. */
export function needs(bugClass) {
  const [agents, labels] = split(bugClass);
  return counted(agents, "agent") + (labels ? ` and ${labels.replaceAll(",", ", ")}` : "");
}

/** The agents that a bug of the class needs. */
export const agentsOf = (bugClass) => split(bugClass)[0];

function split(bugClass) {
  const bar = bugClass.indexOf("|");
  return [Number(bugClass.slice(0, bar)), bugClass.slice(bar + 1)];
}
