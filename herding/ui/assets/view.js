// Loads the views of the tabs, and does what their replies ask for: notices, the address bar, questions before a deletion.

import "./controls.js";
import "./focus.js";
import { addShortcuts, showShortcuts } from "./shortcuts.js";

const version = new URL(import.meta.url).searchParams.get("v");
const modules = new Map();
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
const tabs = new Map(JSON.parse(meta("tabs") ?? "[]")); // the names of the tabs of this role, by their keys

/** Show a message for some seconds; page.js draws it. */
export const notify = (message, kind = "info") =>
  document.dispatchEvent(new CustomEvent("herding:notice", { detail: { message, kind } }));

// The address has the fields of the open tab. Those of the others are kept, so that a tab which is opened again, also
// after a reload, finds its own. A tab of one prompt that is opened first takes the prompt that was open last.
const ONE_PROMPT = new Set(["engineer", "versions", "compare", "insights"]);
const IN_MENU = "#tabs .overflow-dropdown button"; // tabs for which a narrow page has no room; they have only their names
const firstKey = meta("first-tab");
let byLink = false;
let here = new URL(location.href); // the open tab with its fields; once the user goes back, the address is another one
const tabOf = (url) => url.searchParams.get("tab") ?? firstKey;
const fieldsIn = (url) =>
  Object.fromEntries([...url.searchParams].filter(([name]) => name !== "tab" && !name.startsWith("__")));
const fieldsOf = (key) => JSON.parse(sessionStorage.getItem(`fields-${key}`) ?? "null");
const keepFields = () => {
  const fields = fieldsIn(here);
  sessionStorage.setItem(`fields-${tabOf(here)}`, JSON.stringify(fields));
  if (fields.prompt && ONE_PROMPT.has(tabOf(here))) sessionStorage.setItem("prompt", fields.prompt);
};
const sharedFields = (key) => {
  const prompt = here.searchParams.get("prompt") ?? sessionStorage.getItem("prompt");
  return prompt && ONE_PROMPT.has(key) ? { prompt } : {};
};

/** Set fields of the address; empty ones are removed. */
export const setAddress = (fields) => {
  for (const [name, value] of Object.entries(fields)) {
    if (value === "" || value === null) here.searchParams.delete(name);
    else here.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", here);
};
const switchAddress = (key, fields) => {
  keepFields();
  const next = new URL(here);
  for (const name of Object.keys(fieldsIn(here))) next.searchParams.delete(name);
  for (const [name, value] of Object.entries({ ...fields, tab: key })) if (value) next.searchParams.set(name, value);
  if (next.href !== here.href) history.pushState(history.state, "", next);
  here = next;
};
const nameOf = (button) => button?.textContent.trim();
const keyOf = (target) => {
  const button = target.closest?.("#tabs button[role=tab]");
  if (button) return button.getAttribute("aria-controls")?.replace(/^tab-/, "");
  const entry = target.closest?.(IN_MENU);
  return [...tabs].find(([, name]) => name === nameOf(entry))?.[0];
};
document.addEventListener(
  "click",
  ({ target }) => {
    const key = keyOf(target);
    if (key && !byLink && key !== tabOf(here)) switchAddress(key, fieldsOf(key) ?? sharedFields(key));
  },
  true,
);

/** Open a tab by its key, with the fields of the address that it reads. */
export const openTab = (key, fields = {}) => {
  switchAddress(key, { ...sharedFields(key), ...fields });
  showTab(key);
};
const showTab = (key, anew = true) => {
  const host = document.querySelector(`.view[data-view="${key}"]`);
  const tab = tabButton(key);
  if (!tab) return location.reload();
  if (host && anew) delete host.dataset.opened;
  byLink = true;
  tab.click(); // Gradio makes the host of a tab when it is opened first, and `seen` finds it then
  byLink = false;
  if (host && isVisible(host)) open(host);
};
const sorted = (fields) => JSON.stringify(Object.entries(fields ?? {}).sort());
addEventListener("popstate", () => {
  keepFields();
  here = new URL(location.href);
  const key = tabOf(here);
  showTab(key, sorted(fieldsOf(key)) !== sorted(fieldsIn(here)));
});

document.addEventListener("open-tab", ({ detail }) => openTab(detail.tab, detail.fields));

const tabButton = (key) =>
  document.querySelector(`#tabs button[role=tab][data-tab-id="${key}"]`) ??
  [...document.querySelectorAll(IN_MENU)].find((button) => nameOf(button) === tabs.get(key));
const isVisible = (element) => element.offsetParent !== null;

// The content of the tab that opens first is asked for at once: it comes while Gradio's page still starts.
const askFirst = async (key) => {
  const headers = { "HX-Request": "true", "HX-Current-URL": location.href };
  const response = await fetch(`ui/${key}${location.search}`, { headers });
  if (!response.ok) return null;
  const html = await response.text();
  for (const [, name] of html.matchAll(/ data-module="(\w+)"/g)) load(name);
  return { html, told: JSON.parse(response.headers.get("HX-Trigger") ?? "{}") };
};
const load = (name) => {
  if (!modules.has(name)) modules.set(name, import(`./${name}.js?v=${version}`));
  return modules.get(name);
};
let first = firstKey ? askFirst(firstKey).catch(() => null) : null;

const showFirst = async (host) => {
  const asked = first;
  first = null;
  const found = await asked;
  if (!found) return false;
  for (const [name, told] of Object.entries(found.told))
    htmx.trigger(host, name, typeof told === "object" ? told : { value: told });
  htmx.swap(host, found.html, { swapStyle: "innerHTML" });
  return true;
};

// The content of a view is asked for once, when its tab is first opened; later openings are an event of its own.
const open = async (host) => {
  if (host.dataset.opened) return htmx.trigger(host, "shown");
  host.dataset.opened = "1";
  const key = host.dataset.view;
  if (first && key === firstKey && (await showFirst(host))) return;
  await htmx.ajax("GET", `ui/${key}${location.search}`, { target: host, swap: "innerHTML", source: host }).catch(() => {});
  if (host.querySelector(":scope > .opening")) offerAgain(host);
};

// A view that did not come, since the network was down for example, is asked for again when its tab is opened next.
const offerAgain = (host) => {
  delete host.dataset.opened;
  const text = Object.assign(document.createElement("span"), { textContent: "Can't load this tab." });
  const again = Object.assign(document.createElement("button"), { className: "btn", type: "button", textContent: "Try again" });
  again.addEventListener("click", () => open(host));
  const note = Object.assign(document.createElement("div"), { className: "answers opening" });
  note.append(text, again);
  host.replaceChildren(note);
};

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) open(target);
    else if (target.dataset.opened) htmx.trigger(target, "hidden");
  }
});
const known = new WeakSet();
const findViews = () => {
  for (const host of document.querySelectorAll(".view[data-view]")) {
    if (known.has(host)) continue;
    known.add(host);
    seen.observe(host);
  }
};
new MutationObserver(findViews).observe(document.body, { childList: true, subtree: true });
findViews();

// A fragment with data-module has a script of its own, which is loaded with the first of them.
const startModules = async (root) => {
  const elements = [root, ...root.querySelectorAll("[data-module]")].filter((one) => one.dataset?.module);
  const loaded = await Promise.all(elements.map((one) => load(one.dataset.module)));
  elements.forEach((element, index) => loaded[index].start(element));
};
document.addEventListener("htmx:load", ({ detail }) => startModules(detail.elt));

/** Replace the content of an element by HTML of the server, outside a request of htmx. */
export const insertHtml = (element, html) => {
  element.innerHTML = html;
  htmx.process(element);
  startModules(element);
};

document.addEventListener("notice", ({ detail }) => notify(detail.value ?? detail));
// What a view shows is outdated: it is fetched anew when it is opened next.
document.addEventListener("stale", ({ detail }) => {
  delete document.querySelector(`.view[data-view="${detail.value}"]`)?.dataset.opened;
});
document.addEventListener("address", ({ detail, target }) => {
  const { elt: _, ...fields } = detail;
  const view = target.closest?.(".view")?.dataset.view;
  if (!view || view === tabOf(here)) setAddress(fields); // a late reply must not change the address of another tab
});

// The session has ended: the page of the login takes the place of this one, unless something typed would be lost.
const TEXTS = ".view :is(textarea, input:not([type=hidden], [type=radio], [type=checkbox]))";
const isTyped = () => [...document.querySelectorAll(TEXTS)].some((field) => field.value !== field.defaultValue);
export const sessionEnded = () => {
  if (!isTyped()) return location.assign("login?ended=1");
  if (document.getElementById("ended")) return;
  const panel = Object.assign(document.createElement("div"), { id: "ended", className: "panel warn" });
  panel.setAttribute("role", "alert");
  const link = Object.assign(document.createElement("a"), { href: "login?ended=1", target: "_blank", textContent: "Log in in a new tab" });
  panel.append("Your session has ended. ", link, ", then go on here. Keep this page open: what you typed stays.");
  document.body.append(panel);
};
/** A request was answered: the session is there again. */
export const sessionLives = () => document.getElementById("ended")?.remove();
document.addEventListener("herding:ended", sessionEnded);
document.addEventListener("htmx:afterRequest", ({ detail }) => detail.successful && sessionLives());

// Errors of requests.
const UNREACHABLE = "Can't reach Herding. Your last action may be lost; try again in a moment.";
document.addEventListener("htmx:sendError", () => notify(UNREACHABLE, "error"));
/** Tie an error to its field, or remove the tie where the place of the error is hidden. */
export const markWrong = (field, slot) => {
  slot.id ||= `wrong-${field.id || field.name}`;
  field.dataset.about ??= field.getAttribute("aria-describedby") ?? "";
  const about = slot.hidden ? field.dataset.about : `${field.dataset.about} ${slot.id}`.trim();
  for (const [name, value] of [["aria-invalid", slot.hidden ? "" : "true"], ["aria-describedby", about]])
    if (value) field.setAttribute(name, value);
    else field.removeAttribute(name);
};

// What is wrong with a field stands below it until the field changes, or the form is sent again.
const showAtField = (form, { param, message }) => {
  const field = param && form?.elements.namedItem(param);
  if (!field?.matches?.("input.input, textarea.input, select.input") || field.disabled || !isVisible(field)) return false;
  const note = Object.assign(document.createElement("small"), { className: "wrong", role: "alert", textContent: message });
  field.after(note);
  markWrong(field, note);
  const off = new AbortController();
  const end = () => {
    note.hidden = true;
    markWrong(field, note);
    note.remove();
    off.abort();
  };
  for (const [target, name] of [[field, "input"], [form, "htmx:beforeRequest"]]) target.addEventListener(name, end, { signal: off.signal });
  field.focus();
  return true;
};
document.addEventListener("htmx:responseError", ({ detail }) => {
  const { status, responseText } = detail.xhr;
  if (status === 401) return sessionEnded();
  let error = { message: `Server error ${status}.` };
  try {
    error = JSON.parse(responseText).error;
  } catch {
    // a proxy's page: the status says enough
  }
  if (!showAtField(detail.elt.closest("form"), error)) notify(error.message, "error");
});

// Questions are asked in a dialog of the page.
document.addEventListener("htmx:confirm", (event) => {
  const { question, elt, issueRequest } = event.detail;
  if (!question) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  dialog.className = "question";
  dialog.setAttribute("aria-labelledby", "question");
  const text = Object.assign(document.createElement("p"), { id: "question", textContent: question });
  const yes = Object.assign(document.createElement("button"), { className: "btn danger", textContent: elt.dataset.answer ?? "Continue" });
  const no = Object.assign(document.createElement("button"), { className: "btn", textContent: "Cancel", autofocus: true });
  const row = Object.assign(document.createElement("div"), { className: "answers" });
  row.append(yes, no);
  dialog.append(text, row);
  const box = Object.assign(document.createElement("input"), { type: "checkbox", className: "box" });
  if (elt.dataset.check) {
    const label = Object.assign(document.createElement("label"), { className: "checkbox" });
    label.append(box, elt.dataset.check);
    text.after(label);
  }
  document.body.append(dialog);
  yes.addEventListener("click", () => {
    if (elt.dataset.check) elt.setAttribute("hx-vals", JSON.stringify({ [elt.dataset.checkName]: box.checked ? "on" : "" }));
    dialog.close();
    issueRequest(true);
  });
  no.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
});

// A link to a tab opens it without loading the page again.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='?tab=']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const { tab, ...fields } = Object.fromEntries(new URLSearchParams(link.getAttribute("href")));
  openTab(tab, fields);
});

// The swap "patch" replaces only what changed, so that focus, open details and typed text stay: elements with the same
// id and data-v are left alone, and of others the children are compared where all of them have ids.
const patch = (old, now, added) => {
  if (old.dataset.v && old.dataset.v === now.dataset.v) return;
  if (!now.children.length || [...now.children, ...old.children].some((child) => !child.id)) {
    old.replaceWith(now);
    return added.push(now);
  }
  old.dataset.v = now.dataset.v;
  old.className = now.className;
  patchChildren(old, now, added);
};
const patchChildren = (old, now, added) => {
  const before = new Map([...old.children].map((child) => [child.id, child]));
  const wanted = [...now.children];
  for (const [id, child] of before) if (!wanted.some((part) => part.id === id)) child.remove();
  wanted.forEach((part, place) => {
    const there = old.children[place] ?? null;
    const kept = before.get(part.id);
    if (!kept) return old.insertBefore(part, there), added.push(part);
    if (kept !== there) old.insertBefore(kept, there);
    patch(kept, part, added);
  });
};
htmx.defineExtension("patch", {
  handleSwap: (style, target, fragment) => {
    if (style !== "patch") return false;
    const added = [];
    const whole = document.createElement("div");
    whole.append(...fragment.childNodes);
    patchChildren(target, whole, added);
    return added;
  },
});
document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
  const version = detail.fragment.firstElementChild?.dataset.v;
  if (version && version === detail.target.dataset.v) detail.shouldSwap = false;
});

/** Read the server-sent events of a POST: calls `on[event](data)` for each, until the end or `signal`. */
export const readEvents = async (url, body, on, signal) => {
  const response = await fetch(url, { method: "POST", body, signal, headers: { Accept: "text/event-stream" } });
  if (response.status === 401) setTimeout(sessionEnded); // a message that was not sent is put back before
  if (!response.ok) {
    const found = await response.json().catch(() => ({}));
    throw new Error(found.error?.message ?? `Server error ${response.status}.`);
  }
  sessionLives();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const name = /^event: (.*)$/m.exec(part)?.[1];
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (name && data !== undefined) on[name]?.(JSON.parse(data));
    }
  }
};

// Keys.
const isUsable = (button) => button.offsetParent !== null && !button.disabled;
const press = (selector) => () => {
  const button = [...document.querySelectorAll(selector)].find(isUsable);
  if (!button || document.querySelector(":popover-open")) return false;
  button.click();
};
const openNumber = ({ code }) => {
  const key = [...tabs.keys()][(Number(code.at(-1)) + 9) % 10];
  if (!key) return false;
  tabButton(key)?.click();
};
const closeMenu = ({ target }) => {
  const button = target.closest(".overflow-menu").querySelector(":scope > button");
  if (!button.nextElementSibling?.offsetParent) return false;
  button.click();
  button.focus();
};
const DIGITS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"];
addShortcuts({
  title: "Everywhere",
  shortcuts: [
    { keys: ["?"], label: "Show the keyboard shortcuts", run: showShortcuts },
    { keys: DIGITS.map((digit) => `Alt+${digit}`), label: "Open a tab by its place", run: openNumber },
    { keys: ["Ctrl+Enter"], label: "Run the prompt, or all columns of Compare", run: press("#run, #compare-run") },
    { keys: ["Escape"], label: "Close the menu of tabs", on: "#tabs .overflow-menu *", run: closeMenu },
    { keys: ["Escape"], label: "Stop what is running", run: press("#stop, #compare-stop") },
  ],
});

// The first stop of the Tab key leads past the header and the strip of tabs.
const skip = Object.assign(document.createElement("a"), { className: "skip-link", href: "#tabs", textContent: "Skip to the content" });
skip.addEventListener("click", (event) => {
  event.preventDefault(); // the page's base would make another address of it
  const view = [...document.querySelectorAll(".view")].find(isVisible);
  if (!view) return;
  view.tabIndex = -1;
  view.focus();
  view.scrollIntoView();
});
document.body.prepend(skip);
