// The panel "API": while it is open, the code follows the form; the browser remembers the language.

import { insertHtml } from "./view.js";

const PAUSE_MS = 250;
const KEY = "herding-call";
let panel;
let timer = 0;
let asked;

const stored = () => {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // a browser that keeps nothing
  }
};

const show = (language) => {
  const code = panel.querySelector("#code");
  const found = code.querySelector(`input[value="${language}"]`) ?? code.querySelector("input");
  if (!found) return;
  found.checked = true;
  for (const pane of code.querySelectorAll("[data-call]")) pane.hidden = pane.dataset.call !== found.value;
};

const update = async () => {
  if (!panel?.isConnected || !panel.open) return;
  const form = document.getElementById("engineer-form");
  if (!form) return;
  asked?.abort();
  asked = new AbortController();
  const body = new FormData(form);
  const last = [...document.querySelectorAll("#engineer-response [data-request]")].at(-1);
  if (last) {
    body.set("rated", last.dataset.request);
    body.set("rated_stars", last.querySelector(".stars input:checked")?.value ?? "0");
  }
  try {
    const response = await fetch("ui/engineer/code", { method: "POST", body, signal: asked.signal });
    if (!response.ok) return;
    const html = await response.text();
    const focused = document.activeElement?.name === "code-language";
    insertHtml(panel.querySelector("#code"), html);
    show(stored());
    if (focused) panel.querySelector("input:checked")?.focus();
  } catch {
    // replaced by a later one, or the server is away: the next edit asks again
  }
};
const soon = () => {
  if (!panel?.open) return;
  clearTimeout(timer);
  timer = setTimeout(update, PAUSE_MS);
};

export const start = (element) => {
  panel = element;
  element.addEventListener("toggle", update);
  element.addEventListener("change", ({ target }) => {
    if (target.name !== "code-language") return;
    try {
      localStorage.setItem(KEY, target.value);
    } catch {
      // until the page closes
    }
    show(target.value);
  });
  if (element.open) update(); // opened before this script was loaded
};
for (const name of ["input", "change"]) {
  document.addEventListener(name, ({ target }) => target.form?.id === "engineer-form" && soon());
}
document.addEventListener("htmx:load", soon);
document.addEventListener("ran", soon);
