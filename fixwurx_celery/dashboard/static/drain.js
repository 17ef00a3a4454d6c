// Drains a node, or lets it take bugs again.

import { act, confirmed } from "./actions.js";
import { counted } from "./words.js";

/** Asks back, does it, and looks what came of it. */
export async function drainOrResume(page, node) {
  const isDraining = node.state === "STOPPING";
  const isMeant = isDraining ? await mayResume(node) : await mayDrain(page, node);
  if (!isMeant) return;
  await act(isDraining ? page.urls.resume : page.urls.drain, { node: node.id });
  page.feed.ask();
}

function mayResume(node) {
  return confirmed(`Resume ${node.id}?`, "It takes bugs again, at once.", "Resume");
}

function mayDrain(page, node) {
  const held = node.bugs.length;
  const there = held
    ? `${counted(held, "bug")} there may go on for ${page.drainTimeoutS} s, and what still runs then moves to other nodes.`
    : "It holds none now.";
  return confirmed(
    `Drain ${node.id}?`,
    `It gets no more bugs. ${there} It stays in service, and can be resumed.`,
    "Drain",
  );
}
