// Review by keyboard: 1-5 rates, N or Enter goes on, S skips, C comments, U takes the last rating back.

const typing = (target) => target.matches?.("textarea, select, input:not([type=radio], [type=checkbox])");
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
  if (element.dataset.keys) return;
  element.dataset.keys = "1";
  const pressed = (event) => {
    if (!element.isConnected) return document.removeEventListener("keydown", pressed);
    if (element.offsetParent === null || document.querySelector("dialog[open]")) return;
    const { key, target } = event;
    if (typing(target)) {
      if (target.id !== "review-comment") return;
      if (key === "Escape") target.blur();
      if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
        target.blur(); // the next comment would get the focus, and with it the keys
        press(element, "#review-next");
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[1-5]$/.test(key)) press(element, `#review-item .stars input[value="${key}"]`);
    else if (key === "n" || (key === "Enter" && !target.closest?.("a, button, summary"))) press(element, "#review-next");
    else if (key === "s") press(element, "#review-skip");
    else if (key === "u") press(element, "#review-undo");
    else if (key === "c") document.getElementById("review-comment")?.focus();
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", pressed);
};
