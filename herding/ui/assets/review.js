// Review by keyboard.

import { addShortcuts } from "./shortcuts.js";

const click = (selector) => document.querySelector(selector)?.click();
// A quick key is for what comes next: it waits for the reply that is on its way, and until its buttons are connected.
const press = (element, selector) => {
  if (!element.querySelector(".htmx-request, .htmx-settling, .htmx-added")) return click(selector);
  const waiting = new AbortController();
  const { signal } = waiting;
  const done = (event) => {
    waiting.abort();
    if (event.type === "htmx:afterSettle") press(element, selector); // an earlier key may have sent the next request
  };
  for (const name of ["htmx:afterSettle", "htmx:responseError", "htmx:sendError"]) element.addEventListener(name, done, { signal });
};

export const start = (element) => {
  const pressing = (selector) => () => press(element, selector);
  const goOn = ({ key, target }) => (key === "Enter" && target.closest?.("a, button, summary") ? false : press(element, "#review-next"));
  const leave = ({ target }) => {
    target.blur(); // the next comment would get the focus, and with it the keys
    press(element, "#review-next");
  };
  addShortcuts({
    title: "Review",
    works: () => element.isConnected && element.offsetParent !== null,
    shortcuts: [
      {
        keys: ["1", "2", "3", "4", "5"],
        label: "Rate the response",
        run: ({ key }) => press(element, `#review-item .stars input[value="${key}"]`),
      },
      { keys: ["N", "Enter"], label: "Next response", run: goOn },
      { keys: ["S"], label: "Skip the response", run: pressing("#review-skip") },
      { keys: ["U"], label: "Undo the last rating", run: pressing("#review-undo") },
      { keys: ["C"], label: "Write a comment", run: () => document.getElementById("review-comment")?.focus() },
      { keys: ["Ctrl+Enter"], label: "Save the comment and go on", on: "#review-comment", run: leave },
      { keys: ["Escape"], label: "Leave the comment", on: "#review-comment", run: ({ target }) => target.blur() },
    ],
  });
};
