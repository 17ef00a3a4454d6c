// What changes something: asked back first, then posted with the token of this page.

import { $, say } from "./dom.js";

let giveUp = null;

/** Whether the person means it. One question at a time: another one ends this as not meant. */
export function confirmed(question, detail, verb) {
  giveUp?.();
  const dialog = $("ask");
  say($("ask-question"), question);
  say($("ask-detail"), detail);
  say($("ask-yes"), verb);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const answer = (isMeant) => {
      dialog.removeEventListener("close", closed);
      giveUp = null;
      resolve(isMeant);
    };
    // An earlier question may be told only now that it was closed.
    const closed = () => !dialog.open && answer(dialog.returnValue === "yes");
    giveUp = () => answer(false);
    dialog.addEventListener("close", closed);
  });
}

/** Posts it, and says what came of it. */
export async function act(url, content) {
  let text;
  let isDone = false;
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-Requested-With": "XMLHttpRequest",
        "X-XSRFToken": token(),
      },
      body: JSON.stringify(content),
    });
    isDone = answer.ok;
    text = isDone ? (await answer.json()).said : (await answer.text()).trim();
  } catch {
    text = "Flower cannot be reached; nothing was done";
  }
  announce(text, isDone);
  return isDone;
}

function token() {
  const found = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/);
  return found ? decodeURIComponent(found[1].replace(/^"|"$/g, "")) : "";
}

let fading = 0;

function announce(text, isDone) {
  const place = $("said");
  place.className = isDone ? "said" : "said said-refused";
  say(place, text);
  clearTimeout(fading);
  fading = setTimeout(() => say(place, ""), isDone ? 8000 : 20000);
}
