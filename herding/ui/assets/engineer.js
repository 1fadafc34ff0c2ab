// The form of the prompt engineer: stores what is typed as a draft, and edits the blocks of messages.

import { PAGES, leavePage } from "./draft_page.js";
import { addShortcuts } from "./shortcuts.js";
import { insertHtml, markWrong, sessionEnded, sessionLives, setAddress } from "./view.js";

const PAUSE_MS = 350; // typing pauses: one request then
const AT_MOST_MS = 2_500; // while somebody types on, a request is sent this often
const RETRY_MS = 1_000;
const OWN = ["model", "note", "message"]; // fields that are no part of the draft
const PLACEHOLDER = /(\\*)\{\{[ \t]{0,8}([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]{0,8}\}\}/g;

let current; // the form on the page
let isNew = false; // the next form is that of a prompt that was just created
document.addEventListener("engineer-new", () => (isNew = true));

/** Start the form on the page; it takes the place of the one before. */
export const start = (element) => {
  current?.close();
  current = new Editor(element);
  if (isNew) element.querySelector("#messages textarea")?.focus();
  isNew = false;
};

const moving = (by) => (event) => current.moveMessage(event, by);
addShortcuts({
  title: "Messages of a prompt",
  shortcuts: [
    { keys: ["Alt+ArrowUp"], label: "Move the message up", on: ".engineer-block *", run: moving(-1) },
    { keys: ["Alt+ArrowDown"], label: "Move the message down", on: ".engineer-block *", run: moving(1) },
  ],
});

const saveButton = () => document.getElementById("save-version");
addShortcuts({
  title: "Prompt engineer",
  works: () => Boolean(saveButton()?.offsetParent),
  shortcuts: [
    { keys: ["Ctrl+S"], label: "Save a version", run: () => saveButton().click() },
    { keys: ["Enter"], label: "Save a version with the note", on: "#save-message", run: () => saveButton().click() },
  ],
});

// The menu of the draft closes with a click beside it, and with Escape.
document.addEventListener("click", ({ target }) => {
  const menu = document.getElementById("draft-more");
  if (menu?.open && (!menu.contains(target) || target.closest(".engineer-more-menu button"))) menu.open = false;
});
document.addEventListener("keydown", ({ key, target }) => {
  const menu = target.closest?.("#draft-more[open]");
  if (key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

const LEAVE = "Your changes here are not saved, because this draft was changed elsewhere. Leave without them?";

class Editor {
  constructor(form) {
    this.form = form;
    this.version = 0; // counts edits
    this.stored = 0; // the edit up to which the server has everything
    this.off = new AbortController();
    for (const page of PAGES) {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "page", value: page }));
    }
    const on = (name, handler, target = form) => target.addEventListener(name, handler, { signal: this.off.signal });
    on("input", (event) => this.#input(event));
    on("change", (event) => event.target.matches("select, [type=checkbox]") && this.#input(event));
    on("focusout", () => this.#due && this.#send());
    on("click", (event) => this.#click(event));
    on("submit", (event) => event.preventDefault());
    on("htmx:confirm", (event) => this.#beforeRequest(event), document.body);
    on("htmx:afterRequest", () => this.form.removeAttribute("inert"), document.body);
    on("pagehide", () => this.#leave(), window);
    on("beforeunload", (event) => document.getElementById("draft-conflict") && event.preventDefault(), window);
    for (const text of form.querySelectorAll("textarea")) this.#mark(text);
    this.#edit(this.#typedBefore());
  }

  // A text may be typed in the moment between the form's arrival and this script's start.
  #typedBefore() {
    const texts = [...this.form.querySelectorAll("textarea[name], input[type=text][name]")];
    return texts.some((text) => !OWN.includes(text.name) && text.value !== text.defaultValue.replace(/\r\n?/g, "\n"));
  }

  close() {
    this.off.abort();
    clearTimeout(this.timer);
  }

  // Typing

  #input(event) {
    const field = event.target;
    if (!field.name || OWN.includes(field.name)) return;
    if (field.matches("textarea")) this.#mark(field);
    if (field.name.endsWith(".role")) field.closest(".engineer-block").dataset.role = field.value;
    this.#follow(field);
    this.#showVariant(field);
    this.changed();
  }

  /** Something was edited. */
  changed() {
    this.version += 1;
    this.form.dataset.unsaved = "";
    const save = saveButton();
    if (save) save.disabled = false; // the server tells if there is nothing to save after all
    for (const step of this.form.querySelectorAll("input[name=redo]")) step.remove();
    this.form.elements.undo_step.value = "0";
    const now = performance.now();
    this.first ||= now;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#send(), Math.max(0, Math.min(PAUSE_MS, this.first + AT_MOST_MS - now)));
    this.#due = true;
  }

  #due = false;

  // The value of a variable follows its default while nobody has typed another one.
  #follow(field) {
    const [, name, part] = /^def\.(\w+)\.(\w+)$/.exec(field.name) ?? [];
    if (!name) return;
    if (part === "type") this.#showType(name, field.value);
    if (part === "default") {
      const value = document.getElementById(`var-${name}`);
      if (!value) return;
      const own = value.type === "checkbox" ? String(value.checked) : value.value;
      if (own.toLowerCase() === value.dataset.default?.toLowerCase()) {
        if (value.type === "checkbox") value.checked = field.value === "true";
        else value.value = field.value;
        if (value.matches("textarea")) this.#mark(value);
      }
      value.dataset.default = field.value;
    }
  }

  #showType(name, type) {
    for (const part of document.querySelectorAll(`#variable-${name} [data-of]`)) {
      const fits = part.dataset.of.split(" ").includes(type);
      part.hidden = !fits;
      for (const field of part.querySelectorAll("input, textarea, select")) field.disabled = !fits;
    }
  }

  // Storing: one request at a time, until the server has the latest edit; one made meanwhile waits for the next pause.

  async #send() {
    clearTimeout(this.timer);
    this.#due = false;
    this.first = 0;
    if (this.sending || this.stored >= this.version) return;
    this.sending = true;
    try {
      do await this.#sendOnce();
      while (this.stored < this.version && !this.off.signal.aborted && (!this.#due || this.waiting.length));
    } finally {
      this.sending = false;
      if (this.stored >= this.version) delete this.form.dataset.unsaved;
      if (this.stored >= this.version || this.off.signal.aborted) for (const wait of this.waiting.splice(0)) wait();
    }
  }

  waiting = [];

  async #sendOnce() {
    const sent = this.version;
    let response, answer;
    try {
      response = await fetch("ui/engineer/edit", { method: "POST", body: new FormData(this.form), cache: "no-store" });
      answer = await response.json().catch(() => ({}));
      // The page of a proxy, or the last words of an app that ends: the next one gets the edit.
      const why = answer.error?.type ?? "shutting_down";
      if ([502, 503, 504].includes(response.status) && why === "shutting_down") throw new TypeError("away");
    } catch {
      document.dispatchEvent(new Event("herding:outage")); // page.js tells it
      await new Promise((next) => setTimeout(next, RETRY_MS));
      return;
    }
    document.getElementById("away")?.remove();
    if (response.status === 401) {
      sessionEnded();
      await new Promise((next) => setTimeout(next, RETRY_MS)); // the user may log in again in another tab
      return;
    }
    sessionLives();
    this.stored = Math.max(this.stored, sent);
    if (!response.ok) {
      const why = answer.error?.message ?? `Server error ${response.status}.`;
      document.getElementById("draft-state").textContent = `Draft not saved: ${why}`;
      return;
    }
    if (!this.off.signal.aborted) this.form.elements.draft_revision.value = answer.revision;
    // A response to an older edit says nothing about what is on the page now.
    if (sent === this.version && !this.off.signal.aborted) this.#apply(answer);
    else if (answer.pieces) this.#piece("draft-state", answer.pieces["draft-state"]);
  }

  #apply({ pieces, errors, show, enable, controls, added, gone, unused, models }) {
    for (const [id, html] of Object.entries(pieces)) this.#piece(id, html);
    for (const [id, visible] of Object.entries(show)) {
      const element = document.getElementById(id);
      if (element) element.hidden = !visible;
    }
    for (const [id, enabled] of Object.entries(enable)) {
      const button = document.getElementById(id);
      if (button) button.disabled = !enabled;
    }
    for (const name of gone) document.getElementById(`variable-${name}`)?.remove();
    for (const [name, html] of Object.entries(added)) this.#add(name, html);
    for (const [name, html] of Object.entries(controls)) {
      const control = document.getElementById(`control-${name}`);
      if (control && !control.contains(document.activeElement)) this.#swap(control, html);
    }
    for (const note of this.form.querySelectorAll("[data-unused]")) note.hidden = !unused.includes(note.dataset.unused);
    const none = document.getElementById("engineer-no-variables");
    if (none) none.hidden = Boolean(this.form.querySelector("[data-variable]"));
    if (models) this.#swap(document.getElementById("engineer-model"), models);
    this.showErrors(errors);
  }

  /** Show the errors at their fields; a field without one says nothing. */
  showErrors(errors) {
    for (const slot of document.querySelectorAll("[data-error]")) {
      const message = errors[slot.dataset.error] ?? "";
      if (slot.textContent !== message) slot.textContent = message;
      slot.hidden = !message;
      const field = this.form.elements.namedItem(slot.dataset.error);
      if (field?.toggleAttribute) markWrong(field, slot);
    }
    for (const part of this.form.querySelectorAll("details")) {
      part.classList.toggle("has-error", Boolean(part.querySelector("[data-error]:not([hidden])")));
    }
  }

  #piece(id, html) {
    const element = document.getElementById(id);
    if (!element || element.dataset.html === html) return;
    element.dataset.html = html;
    insertHtml(element, html);
  }

  #swap(element, html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const made = holder.content.firstElementChild;
    element.replaceWith(made);
    htmx.process(made);
    for (const text of made.querySelectorAll("textarea")) this.#mark(text);
    return made;
  }

  #add(name, html) {
    if (document.getElementById(`variable-${name}`)) return;
    const place = document.createElement("div");
    document.getElementById("engineer-no-variables").before(place);
    this.#swap(place, html);
  }

  /** Resolve once everything typed is stored. */
  flush() {
    if (this.stored >= this.version) return Promise.resolve();
    return new Promise((done) => {
      this.waiting.push(done);
      this.#send();
    });
  }

  // A request of this tab waits until what was typed is stored; one that replaces the form also stops the typing.
  #beforeRequest(event) {
    const { path, elt, issueRequest, question } = event.detail;
    if (!path?.startsWith("ui/engineer") || event.defaultPrevented || question || path.includes("/prompts")) return;
    const opens = elt.matches?.(".view");
    const replaces = opens || elt.matches?.("[data-action]");
    if (this.stored >= this.version) {
      if (opens && !this.#mayLeave()) event.preventDefault();
      else if (replaces) this.#hold();
      return;
    }
    event.preventDefault();
    this.flush().then(() => {
      if (opens && !this.#mayLeave()) return;
      if (replaces) this.#hold();
      issueRequest(true);
    });
  }

  // Another prompt takes the place of this one: ask first if what was typed here can't be stored.
  #mayLeave() {
    if (!document.getElementById("draft-conflict") || confirm(LEAVE)) return true;
    setAddress({ prompt: this.form.elements.key.value });
    return false;
  }

  #hold() {
    this.form.setAttribute("inert", "");
  }

  #leave() {
    if (this.stored >= this.version) return;
    leavePage();
    navigator.sendBeacon("ui/engineer/edit", new FormData(this.form));
  }

  // Ask once for errors and marks of a form that has just been opened.
  #edit(send) {
    if (send) this.changed();
    const first = this.form.dataset.errors;
    if (first) this.showErrors(JSON.parse(first));
    const unused = JSON.parse(this.form.dataset.unused ?? "[]");
    for (const note of this.form.querySelectorAll("[data-unused]")) note.hidden = !unused.includes(note.dataset.unused);
  }

  // Blocks

  #click(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const { add, move, remove, removeVariable, addTarget, removeTarget } = button.dataset;
    const { addVariant, moveVariant, removeVariant } = button.dataset;
    if (add) this.#addBlocks(button.closest(".engineer-template"), add === "pair" ? ["user", "assistant"] : [null]);
    else if (move) this.#move(button.closest(".engineer-block"), Number(move), button);
    else if (remove !== undefined) this.#remove(button.closest(".engineer-block"));
    else if (addVariant !== undefined) this.#addVariant();
    else if (moveVariant) this.#moveVariant(button.closest(".engineer-variant"), Number(moveVariant), button);
    else if (removeVariant !== undefined) this.#removeVariant(button.closest(".engineer-variant"));
    else if (removeVariable) {
      document.getElementById(`variable-${removeVariable}`).remove();
      this.changed();
    } else if (addTarget) this.#addTarget(addTarget);
    else if (removeTarget !== undefined) {
      button.closest("li").remove();
      this.changed();
    }
  }

  #addBlocks(template, roles) {
    const list = template.querySelector(".engineer-blocks");
    const blank = document.getElementById("engineer-block");
    const blocks = [...list.children];
    // Examples stand before the last message of the user, which is the one to respond to.
    const pair = roles.length > 1;
    const last = blocks.at(-1);
    const before = pair && last?.dataset.role === "user" ? last : null;
    let first;
    for (const role of roles) {
      const made = blank.content.firstElementChild.cloneNode(true);
      list.insertBefore(made, before);
      made.querySelector("select").value = role ?? (last?.dataset.role === "user" ? "assistant" : "user");
      made.dataset.role = made.querySelector("select").value;
      first ??= made;
    }
    this.#renumber(template);
    for (const text of list.querySelectorAll("textarea")) this.#mark(text);
    first.querySelector("textarea").focus();
    this.changed();
  }

  #move(block, by, button) {
    const other = by < 0 ? block.previousElementSibling : block.nextElementSibling;
    if (!other) return;
    if (by < 0) other.before(block);
    else other.after(block);
    this.#renumber(block.closest(".engineer-template"));
    (button ?? block.querySelector("textarea")).focus();
    this.changed();
  }

  #remove(block) {
    const template = block.closest(".engineer-template");
    const next = block.nextElementSibling ?? block.previousElementSibling;
    block.remove();
    this.#renumber(template);
    (next?.querySelector("textarea") ?? template.querySelector("[data-add]")).focus();
    this.changed();
  }

  #renumber(template) {
    const { prefix } = template.dataset;
    [...template.querySelector(".engineer-blocks").children].forEach((block, number) => {
      const name = `${prefix}messages.${number}`;
      for (const part of ["role", "content"]) {
        const field = block.querySelector(part === "role" ? "select" : "textarea");
        field.name = field.id = `${name}.${part}`;
        block.querySelector(`[data-error$=".${part}"]`).dataset.error = `${name}.${part}`;
      }
    });
  }

  // Variants: their fields have the number of their place in their names

  #addVariant() {
    const list = document.getElementById("engineer-variants");
    const made = document.getElementById("engineer-variant").content.firstElementChild.cloneNode(true);
    const names = new Set([...list.querySelectorAll("[name$='.name']")].map((field) => field.value));
    let number = list.children.length + 1;
    while (names.has(`variant_${number}`)) number += 1;
    list.append(made);
    const name = made.querySelector("[name$='.name']");
    name.value = `variant_${number}`;
    this.#copyDefault(made.querySelector(".engineer-template"));
    this.#renumberVariants();
    this.#showVariant(name);
    for (const text of made.querySelectorAll("textarea")) this.#mark(text);
    made.querySelector("[name$='.when']").focus();
    this.changed();
  }

  // A new variant begins with the default texts, or with those of the first variant.
  #copyDefault(template) {
    const own = [...this.form.querySelectorAll("#messages > .engineer-template, #messages .engineer-variant .engineer-template")];
    const source = own.find((one) => one !== template && one.querySelector("textarea"));
    if (!source) return;
    const raw = template.querySelector("[name$='prompt_text']");
    if (raw) {
      raw.value = source.querySelector("[name$='prompt_text']")?.value ?? "";
      return;
    }
    const list = template.querySelector(".engineer-blocks");
    const blocks = [...source.querySelectorAll(".engineer-blocks > li")];
    if (!blocks.length) return;
    list.replaceChildren(
      ...blocks.map((block) => {
        const copy = document.getElementById("engineer-block").content.firstElementChild.cloneNode(true);
        copy.querySelector("select").value = copy.dataset.role = block.dataset.role;
        copy.querySelector("textarea").value = block.querySelector("textarea").value;
        return copy;
      }),
    );
    this.#renumber(template);
  }

  #moveVariant(variant, by, button) {
    const other = by < 0 ? variant.previousElementSibling : variant.nextElementSibling;
    if (!other) return;
    if (by < 0) other.before(variant);
    else other.after(variant);
    this.#renumberVariants();
    button.focus();
    this.changed();
  }

  #removeVariant(variant) {
    const next = variant.nextElementSibling ?? variant.previousElementSibling;
    variant.remove();
    this.#renumberVariants();
    (next?.querySelector("summary") ?? document.getElementById("add-variant")).focus();
    this.changed();
  }

  #renumberVariants() {
    const variants = [...document.getElementById("engineer-variants").children];
    variants.forEach((variant, number) => {
      const moved = (text) => text.replace(/^variants\.\w+\./, `variants.${number}.`);
      for (const part of variant.querySelectorAll("[name], [data-error], [data-prefix]")) {
        if (part.name) part.name = moved(part.name);
        if (part.id) part.id = moved(part.id);
        for (const key of ["error", "prefix"]) if (part.dataset[key]) part.dataset[key] = moved(part.dataset[key]);
      }
    });
    for (const part of this.form.querySelectorAll("[data-with-variants]")) part.hidden = !variants.length;
  }

  // The head of a variant shows its name and its condition as they are typed.
  #showVariant(field) {
    const [, part] = /^variants\.\d+\.(name|when)$/.exec(field.name) ?? [];
    const shown = part && field.closest(".engineer-variant").querySelector(`[data-shows="${part}"]`);
    if (shown) shown.textContent = field.value || (part === "name" ? "New variant" : "");
  }

  /** Move the message around a field up or down. */
  moveMessage({ target }, by) {
    const block = target.closest(".engineer-block");
    if (!block?.parentElement.matches(".engineer-blocks")) return false;
    this.#move(block, by, target);
  }

  #addTarget(model) {
    const list = document.getElementById("engineer-targets");
    if (!list) return;
    const made = document.getElementById("engineer-target").content.firstElementChild.cloneNode(true);
    made.querySelector("input").value = model;
    made.querySelector(".chip").textContent = model;
    made.querySelector("button").setAttribute("aria-label", `Remove ${model}`);
    list.append(made);
    this.changed();
    this.#send();
  }

  // A text area is as high as a copy of its text behind it, which also marks the variables.

  #mark(area) {
    const marks = area.previousElementSibling;
    if (!marks?.matches(".engineer-marks")) return;
    const parts = [];
    let at = 0;
    if ("text" in area.parentElement.dataset) {
      for (const found of area.value.matchAll(PLACEHOLDER)) {
        if (found[1].length % 2) continue;
        const mark = document.createElement("mark");
        const begin = found.index + found[1].length;
        mark.textContent = area.value.slice(begin, found.index + found[0].length);
        parts.push(area.value.slice(at, begin), mark);
        at = found.index + found[0].length;
      }
    }
    marks.replaceChildren(...parts, `${area.value.slice(at)}\n`);
  }
}

document.addEventListener("engineer-about", ({ detail }) => {
  const about = document.getElementById("prompt-about");
  if (about) insertHtml(about, detail.value ?? "");
});
