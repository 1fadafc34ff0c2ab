// Shows a running response: text is added once a frame; blocks of Markdown replace their text when they are complete.

import { insertHtml, readEvents } from "./view.js";

const STOPPED_MS = 2_500; // after Stop, how long the server may take to send what it recorded
const ID_MS = 30_000; // after Stop, how long the server may take to name the request: it may still read documents for it
const LONG = 4_000; // characters after which the text goes on in another element: a browser lays out one as a whole

const node = (tag, cls, ...children) => {
  const made = document.createElement(tag);
  made.className = cls;
  made.append(...children);
  return made;
};

/**
 * One running response in `box`; `status` is the element of its status line.
 *
 * Streams that come over one connection share its AbortController, `connection`; their events are in `events`, and
 * `tell(id)` stops one of them on the server. `named(id)` is called once the request has its id.
 */
export class Stream {
  constructor(box, status, { connection = null, tell = null } = {}) {
    this.box = box;
    this.status = status;
    this.abort = connection ?? new AbortController();
    this.tell = tell;
    this.id = "";
    this.text = "";
    this.pending = "";
    this.frame = 0;
    this.stopped = false;
    this.ended = false;
  }

  /** Send `body` to `url` and show the events until the end; returns true if the final response came. */
  async run(url, body) {
    this.begin();
    try {
      await readEvents(url, body, { ...this.more, ...this.events }, this.abort.signal);
    } finally {
      this.close();
    }
    return this.ended;
  }

  /** Clear the box for the response. */
  begin() {
    this.#begin();
    this.began = performance.now();
    this.clock = setInterval(() => this.#tick(performance.now() - this.began), 200);
  }

  /** The handlers of the events by name. */
  get events() {
    return {
      // After Stop only the final status is news.
      status: (html) => (this.stopped && html.includes("pulse")) || this.#show(html, this.began),
      started: (id) => this.#start(id),
      steps: (html) => this.#list(html),
      reasoning: (text) => this.stopped || this.#think(text),
      text: (text) => this.stopped || this.#write(text),
      blocks: (complete) => this.stopped || this.#complete(complete),
      done: (html) => this.#end(html),
    };
  }

  /** No more events come. */
  close() {
    clearInterval(this.clock);
    clearTimeout(this.late);
    this.#flush();
    this.box.removeAttribute("aria-busy");
  }

  /** Stop at once; the text so far stays. `url` is where the server is told. */
  stop(url) {
    if (this.stopped || this.ended) return;
    this.#flush();
    this.stopped = true;
    this.status.replaceChildren(node("div", "status-line", node("span", "chip calm", "Stopped")));
    this.stopUrl = url;
    // Only what has an id can be stopped; what just goes away counts as disconnected.
    if (this.id) this.#tell();
    else this.#wait(ID_MS);
  }

  #tell() {
    if (this.tell) this.tell(this.id);
    else {
      const body = new FormData();
      body.set("request", this.id);
      fetch(this.stopUrl, { method: "POST", body }).catch(() => {});
    }
    this.#wait(STOPPED_MS);
  }

  #wait(ms) {
    clearTimeout(this.late);
    this.late = setTimeout(() => this.abort.abort(), ms);
  }

  #begin() {
    this.thought = node("details", "reasoning", node("summary", "", "Reasoning"), node("div", "reasoning-text"));
    this.thought.hidden = true;
    this.raw = document.documentElement.dataset.responseText === "raw";
    this.tail = node("div", "tail");
    this.blocks = node(this.raw ? "pre" : "div", this.raw ? "raw" : "markdown", this.tail);
    this.steps = node("div", "steps-box");
    this.box.replaceChildren(node("div", "response running", this.steps, this.thought, this.blocks));
    this.box.setAttribute("aria-busy", "true");
  }

  #start(id) {
    this.id = id;
    this.named?.(id);
    if (this.stopped) this.#tell();
  }

  #show(html, began) {
    insertHtml(this.status, html);
    this.#tick(performance.now() - began);
  }

  #tick(ms) {
    const clock = this.stopped || this.ended ? null : this.status.querySelector(".clock");
    if (clock) clock.textContent = `${(ms / 1000).toFixed(1)} s`;
  }

  // The steps of a chain stay above the response, and open ones stay open.
  #list(html) {
    const open = new Set([...this.steps.querySelectorAll("details[open]")].map((one) => one.parentElement.dataset.step));
    insertHtml(this.steps, html);
    for (const item of this.steps.querySelectorAll("[data-step]"))
      if (open.has(item.dataset.step) && item.firstElementChild.tagName === "DETAILS") item.firstElementChild.open = true;
  }

  #think(text) {
    if (this.thought.hidden) this.thought.hidden = !(this.thought.open = true);
    this.thought.lastChild.append(text);
  }

  #write(text) {
    if (!this.text && this.thought.open) this.thought.open = false;
    this.text += text;
    this.pending += text;
    this.frame ||= requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.pending) return;
    if (!this.tail.firstChild) this.tail.classList.toggle("code", /^\s*(`{3}|~{3}|[{[])/.test(this.pending));
    this.tail.append(this.pending);
    this.pending = "";
    if (this.tail.textContent.length > LONG) this.#continue();
    this.box.dispatchEvent(new CustomEvent("grew", { bubbles: true }));
  }

  // Go on in another element after the last line break.
  #continue() {
    const text = this.tail.textContent;
    const end = text.lastIndexOf("\n");
    if (end < 0) return;
    const next = node("div", this.tail.className, text.slice(end + 1));
    this.tail.textContent = text.slice(0, end);
    this.tail.after(next);
    this.earlier ??= this.tail;
    this.tail = next;
  }

  #complete({ html, rest }) {
    if (this.raw) return;
    this.pending = "";
    const first = this.earlier ?? this.tail;
    while (first.nextSibling) first.nextSibling.remove();
    this.earlier = undefined;
    this.tail = first;
    this.tail.insertAdjacentHTML("beforebegin", html);
    this.tail.textContent = "";
    this.pending = rest;
    this.#flush();
  }

  #end(html) {
    this.ended = true;
    this.pending = "";
    insertHtml(this.box, html);
    const recorded = this.box.querySelector(".chain-steps");
    if (recorded && this.steps.firstChild) recorded.replaceWith(this.steps); // these have the responses of steps, too
    if (this.tell) this.close();
    this.box.dispatchEvent(new CustomEvent("grew", { bubbles: true }));
  }
}
