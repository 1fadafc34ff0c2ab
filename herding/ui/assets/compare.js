// Compare: runs all columns over one connection, stops them, and keeps settings, inputs and differences up to date.

import { PAGES } from "./draft_page.js";
import { insertHtml, markWrong, notify, openTab, readEvents, sessionEnded, setAddress } from "./view.js";
import { Stream } from "./stream.js";

const PAUSE_MS = 350; // typing pauses: one request then
const LOADING_MS = 1_500;

let current; // the comparison on the page

/** Start the comparison on the page; it takes the place of the one before. */
export const start = (element) => {
  current?.close();
  current = new Comparison(element);
};

class Comparison {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("#compare-form");
    this.streams = null;
    this.off = new AbortController();
    const on = (name, handler, target = root) => target.addEventListener(name, handler, { signal: this.off.signal });
    on("input", (event) => this.#input(event.target));
    on("change", (event) => this.#change(event.target));
    on("click", (event) => this.#click(event.target));
    on("htmx:afterSwap", ({ detail }) => detail.target.id === "compare-columns" && this.#columnsChanged());
    on("compare-revealed", () => this.#hide(false), document.body);
    on("shown", () => this.#edit("shown"), root.closest(".view"));
    this.#buttons();
    this.#showDiff();
    this.#watchLoading();
  }

  close() {
    this.stop();
    this.off.abort();
    clearTimeout(this.timer);
    clearTimeout(this.loading);
  }

  get columns() {
    return [...this.root.querySelectorAll(".compare-column[data-letter]")];
  }

  get ownColumns() {
    return this.columns.filter((column) => !column.matches(".compare-past"));
  }

  $(id) {
    return document.getElementById(id);
  }

  // Editing

  #input(field) {
    if (field.form !== this.form || field.matches("select, [type=checkbox]")) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#edit(field.name), PAUSE_MS);
  }

  #change(field) {
    if (field.id === "compare-prompt") return openTab("compare", { prompt: field.value, request: "" });
    if (field.closest("#compare-diff")) return this.#showDiff();
    if (field.form !== this.form || !field.matches("select, [type=checkbox]")) return;
    if (field.id === "compare-blind" && !field.checked && this.#hidden) this.$("compare-reveal")?.click();
    this.#edit(field.name);
  }

  async #edit(changed) {
    clearTimeout(this.timer);
    if (!this.form.elements.prompt) return;
    this.editing?.abort();
    const editing = (this.editing = new AbortController());
    const body = new FormData(this.form);
    body.set("changed", changed);
    body.set("page", PAGES[0]);
    try {
      const response = await fetch("ui/compare/edit", { method: "POST", body, signal: editing.signal, cache: "no-store" });
      if (response.status === 401) return sessionEnded();
      const found = await response.json();
      if (!response.ok) return notify(found.error?.message ?? `Server error ${response.status}.`, "error");
      if (!editing.signal.aborted && !this.off.signal.aborted) this.#apply(found);
    } catch (error) {
      if (error.name !== "AbortError") notify("Can't reach Herding. Your last change is not stored yet.", "error");
    }
  }

  #apply({ pieces, address, stored, notice }) {
    const focused = document.activeElement?.id;
    for (const [id, html] of Object.entries(pieces)) {
      const element = this.$(id);
      if (!element || element.dataset.html === html) continue;
      const typing = element.contains(document.activeElement) && document.activeElement.matches("textarea, input");
      if (typing) continue; // what is typed now is newer
      element.dataset.html = html;
      insertHtml(element, html);
    }
    if (focused && document.activeElement?.id !== focused) this.$(focused)?.focus({ preventScroll: true });
    setAddress(address);
    if (notice) notify(notice, "error");
    // The Prompt engineer shows the same draft: it is filled anew when it is opened next.
    const engineer = document.querySelector(".view[data-view=engineer]");
    if (stored && engineer?.querySelector("#engineer-form [name=key]")?.value === stored) delete engineer.dataset.opened;
    this.#watchLoading();
  }

  // A model that loads is asked for until it is loaded.
  #watchLoading() {
    clearTimeout(this.loading);
    const progress = this.root.querySelector(".compare-model-note progress");
    if (!progress) return;
    const { letter } = progress.closest("[data-letter]").dataset;
    this.loading = setTimeout(() => (this.root.offsetParent ? this.#edit(`${letter}.model`) : this.#watchLoading()), LOADING_MS);
  }

  #click(target) {
    const button = target.closest("button");
    if (!button) return;
    if (button.id === "compare-run") this.run();
    else if (button.id === "compare-stop") this.stop();
    else if (button.dataset.remove) {
      this.$(`compare-${button.dataset.remove}`).remove();
      this.$("compare-add").disabled = false;
      this.$("compare-add").focus();
      this.#columnsChanged();
    }
  }

  #columnsChanged() {
    this.#buttons();
    this.#edit("columns");
    this.#showDiff();
    this.ownColumns.at(-1)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #buttons() {
    const [run, stop, add, prompt] = ["run", "stop", "add", "prompt"].map((name) => this.$(`compare-${name}`));
    const busy = Boolean(this.streams);
    run.disabled = busy || !this.ownColumns.length;
    stop.disabled = !busy || this.stopping;
    add.disabled = busy || this.ownColumns.length >= 6;
    prompt.disabled = busy;
    for (const button of this.root.querySelectorAll("[data-remove], .compare-foot .btn")) button.disabled = busy;
    this.root.classList.toggle("is-running", busy);
    this.$("compare-columns").style.setProperty("--columns", this.columns.length);
  }

  get #hidden() {
    return "hidden" in this.root.dataset;
  }

  // The names of the columns, while a response that one came from is not to be known.
  #hide(hidden) {
    if (hidden) this.root.dataset.hidden = "";
    else delete this.root.dataset.hidden;
    this.form.elements.hidden.value = hidden ? "on" : "";
    if (!hidden) this.#showDiff();
  }

  // Running

  async run() {
    if (this.streams) return;
    this.#showErrors({});
    const body = new FormData(this.form);
    const connection = new AbortController();
    const streams = new Map();
    this.streams = streams;
    this.stopping = false;
    const began = new Set();
    const on = { errors: (found) => this.#showErrors(found), failed: (message) => notify(message, "error") };
    on.finished = (found) => this.#finish(found);
    const tell = (id) => this.#tell(id);
    for (const column of this.ownColumns) {
      const { letter } = column.dataset;
      const stream = new Stream(column.querySelector(".compare-response"), column.querySelector(".compare-status"), { connection, tell });
      streams.set(letter, stream);
      for (const [name, handler] of Object.entries(stream.events)) {
        on[`${letter}.${name}`] = (data) => {
          if (!began.has(letter)) this.#begin(streams, began);
          handler(data);
        };
      }
    }
    this.#buttons();
    this.$("compare-note").textContent = "Running all columns";
    try {
      await readEvents("ui/compare/run", body, on, connection.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.#fail(streams, error);
    } finally {
      for (const stream of streams.values()) stream.close();
      this.streams = null;
      if (this.$("compare-note").textContent === "Running all columns") this.$("compare-note").textContent = this.stopping ? "Stopped." : "";
      this.#buttons();
      this.#showDiff();
    }
  }

  // The first event has come: nothing was wrong with the inputs, and the responses before go.
  #begin(streams, began) {
    for (const [letter, stream] of streams) {
      began.add(letter);
      stream.begin();
      if (stream.stopped) stream.box.replaceChildren();
    }
    this.$("compare-prefer").replaceChildren();
    this.$("compare-diff").replaceChildren();
    this.#hide(this.$("compare-blind")?.checked ?? false);
  }

  #finish({ note, prefer, summary, address }) {
    this.$("compare-note").textContent = note;
    insertHtml(this.$("compare-prefer"), prefer);
    if (summary) insertHtml(this.$("compare-summary"), summary);
    setAddress(address);
  }

  #fail(streams, error) {
    const text = error instanceof TypeError ? "Can't reach Herding. The requests have ended; try again in a moment." : error.message;
    this.$("compare-note").textContent = "Disconnected";
    for (const stream of streams.values()) {
      if (stream.ended) continue;
      stream.status.innerHTML = '<div class="status-line"><span class="chip bad">Disconnected</span></div>';
      stream.box.querySelector(".running")?.classList.remove("running");
    }
    notify(text, "error");
  }

  stop() {
    if (!this.streams || this.stopping) return;
    this.stopping = true;
    for (const stream of this.streams.values()) stream.stop();
    this.#buttons();
  }

  // The server is told of all columns in one request.
  #tell(id) {
    this.told ??= [];
    this.told.push(id);
    if (this.told.length > 1) return;
    queueMicrotask(() => {
      const body = new FormData();
      for (const one of this.told) body.append("request", one);
      this.told = null;
      fetch("ui/compare/stop", { method: "POST", body }).catch(() => {});
    });
  }

  #showErrors(errors) {
    let first = null;
    for (const slot of this.root.querySelectorAll("[data-input-error]")) {
      const name = slot.dataset.inputError;
      slot.textContent = errors[name] ?? "";
      slot.hidden = !errors[name];
      const field = this.$(`compare-var-${name}`);
      if (field) markWrong(field, slot);
      if (errors[name]) first ??= field;
    }
    if (!Object.keys(errors).length) return;
    this.$("compare-inputs").open = true;
    this.$("compare-note").textContent = "Fix the input before running.";
    first?.focus();
  }

  // Differences between two responses

  async #showDiff() {
    const place = this.$("compare-diff");
    const texts = this.columns.map((column) => [column.dataset.letter, column.querySelector(".compare-response [data-pane=raw] pre.raw")?.textContent]);
    const there = texts.filter(([, text]) => text);
    if (this.streams || there.length < 2) return place.replaceChildren();
    const body = new FormData(this.form);
    const [left, right] = ["left", "right"].map((side) => this.$(`compare-diff-${side}`)?.value ?? "");
    body.set("left", left);
    body.set("right", right);
    for (const [letter, text] of there) {
      body.append("letter", letter);
      body.set(`text.${letter}`, text);
    }
    const focused = document.activeElement?.id;
    const response = await fetch("ui/compare/diff", { method: "POST", body }).catch(() => null);
    if (!response?.ok || this.streams || this.off.signal.aborted) return;
    insertHtml(place, await response.text());
    if (focused?.startsWith("compare-diff-")) this.$(focused)?.focus();
  }
}
