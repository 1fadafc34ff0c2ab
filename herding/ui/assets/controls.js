// What all views share: rows that open, the drawer of the open row, buttons that copy, and stars.

import { addShortcuts } from "./shortcuts.js";

const NARROW = matchMedia("(max-width: 900px)");
const FIELDS = "input, textarea, select";

// A click anywhere in a row opens it; arrow keys go from row to row.
document.addEventListener("click", ({ target }) => {
  const row = target.closest?.(".rows tbody tr");
  if (!row || target.closest("a, button, input, label, select")) return;
  const name = row.querySelector(".row-name");
  name?.focus({ preventScroll: true }); // arrow keys go on from here
  name?.click();
});
document.addEventListener("htmx:beforeRequest", ({ target }) => {
  if (!target.matches?.(".row-name")) return;
  target.closest("tbody").querySelectorAll("[aria-current]").forEach((row) => row.removeAttribute("aria-current"));
  target.closest("tr").setAttribute("aria-current", "true");
});
const goToRow = (step) => (event) => {
  const row = event.target.closest("tr");
  const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
  const name = next?.querySelector(".row-name");
  if (!name) return false;
  name.focus();
  name.click();
};

// The open row stands in a drawer beside the table; `data-drawer` names the fields of the address that tell which it is.
// On a narrow screen the drawer takes the place of the table.
const close = (drawer) => {
  const row = drawer.parentElement.querySelector("tr[aria-current]");
  const detail = Object.fromEntries(drawer.dataset.drawer.split(" ").map((name) => [name, ""]));
  drawer.replaceChildren();
  document.dispatchEvent(new CustomEvent("address", { detail }));
  row?.removeAttribute("aria-current");
  row?.querySelector(".row-name").focus();
};
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-close-drawer]");
  if (button) close(button.closest("[data-drawer]"));
});
const closeBeside = ({ target }) => {
  const drawer = target.closest(":has(> [data-drawer])").querySelector(":scope > [data-drawer]");
  if (!drawer.childElementCount) return false;
  close(drawer);
};
const goToDrawer = ({ target }) => {
  const drawer = target.closest(":has(> [data-drawer])")?.querySelector(":scope > [data-drawer]");
  const first = [...(drawer?.querySelectorAll("a, button, input, summary") ?? [])].find((one) => one.offsetParent);
  if (!first) return false;
  first.focus();
};
document.addEventListener("htmx:afterSwap", ({ target }) => {
  if (!target.matches?.("[data-drawer]")) return;
  delete target.dataset.initial;
  target.scrollTop = 0;
  if (!NARROW.matches) return;
  target.scrollIntoView({ block: "start" });
  const button = [...target.querySelectorAll("[data-close-drawer]")].find((one) => one.offsetParent);
  if (!target.contains(document.activeElement)) button?.focus({ preventScroll: true }); // the row that had it is hidden
});

addShortcuts({
  title: "Tables",
  shortcuts: [
    { keys: ["ArrowDown"], label: "Open the next row", on: ".row-name", run: goToRow(1) },
    { keys: ["ArrowUp"], label: "Open the previous row", on: ".row-name", run: goToRow(-1) },
    { keys: ["ArrowRight"], label: "Go to the details of the open row", on: ".row-name", run: goToDrawer },
    { keys: ["Escape"], label: "Close the open row", on: `:has(> [data-drawer]) :not(${FIELDS})`, run: closeBeside },
  ],
});

// A button with `data-sets` gives its value to that field and sends the field's form. The state of a list is in its form
// at once, so whichever request comes last is right, also if one for the search is under way.
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-sets]");
  if (!button) return;
  const field = document.getElementById(button.dataset.sets);
  field.value = button.value;
  field.form.requestSubmit();
});

// A button with `data-waiting` shows that text where the reply will be.
document.addEventListener("htmx:beforeRequest", ({ target, detail }) => {
  const text = target.dataset?.waiting;
  if (!text) return;
  const note = Object.assign(document.createElement("p"), { className: "muted", textContent: text });
  detail.target.replaceChildren(note);
  target.addEventListener("htmx:afterRequest", () => note.remove(), { once: true });
});

// Buttons that copy the text or the field beside them.
const copyText = async (element) => {
  try {
    await navigator.clipboard.writeText(element.value ?? element.textContent);
    return true;
  } catch {
    if (element.select) element.select();
    else getSelection().selectAllChildren(element);
    return document.execCommand("copy"); // the clipboard may be blocked in a frame
  }
};
document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const holder = button.closest(".code-block, .response-body") ?? button.parentElement;
  const label = (button.dataset.copy ||= button.textContent);
  const copied = await copyText(holder.querySelector("pre.raw") ?? holder.querySelector("pre, code, input"));
  button.textContent = copied ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = label), 2000);
});

document.addEventListener("click", ({ target }) => {
  const clear = target.closest?.("[data-clear-stars]");
  if (!clear) return;
  const none = clear.closest("form").querySelector("input[value='0']");
  none.checked = true;
  none.dispatchEvent(new Event("change", { bubbles: true }));
});
