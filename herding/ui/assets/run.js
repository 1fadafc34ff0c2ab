// Runs the prompt: Run, Stop, the stream of the response, and the turns of a chat.
// A response stays on the page, also a running one, while other prompts are opened.

import { insertHtml, markWrong, notify, setAddress } from "./view.js";
import { addShortcuts } from "./shortcuts.js";
import { Stream } from "./stream.js";

const URL_RUN = "ui/engineer/run";
const URL_STOP = "ui/engineer/stop";
const MAX_IDS = 60;
const panes = new Map(); // the response of each prompt, by its key
let section; // the part of the page that shows the response now

const form = () => document.getElementById("engineer-form");
/** Say at the field what is wrong with its value, and go there; the next change of the form renews all errors. */
const showWrong = ({ field: name, message }) => {
  const field = form()?.elements.namedItem(name);
  const slot = document.querySelector(`[data-error="${CSS.escape(name)}"]`);
  if (!field?.focus || !slot) return;
  slot.textContent = message;
  slot.hidden = false;
  markWrong(field, slot);
  field.focus({ preventScroll: true });
  field.scrollIntoView({ block: "center" });
};
const isIn = (text) => text.closest?.("#engineer-response");

class Pane {
  constructor(key, box, isChat) {
    this.key = key;
    this.box = box;
    this.isChat = isChat;
    this.status = document.createElement("div");
    this.session = "";
    this.stream = null;
  }

  get ids() {
    const turns = [this.box, ...this.box.querySelectorAll("[data-request]")].filter((turn) => turn.dataset.request);
    return turns.map((turn) => turn.dataset.request).slice(-MAX_IDS);
  }

  get shown() {
    return section?.dataset.key === this.key;
  }

  // The HTML of recorded requests, empty if there are none.
  async recorded(run) {
    const query = new URLSearchParams({ key: this.key, run, chat: this.isChat ? "1" : "" });
    const response = await fetch(`ui/engineer/response?${query}`).catch(() => null);
    return response?.ok ? response.text() : "";
  }

  /** Show recorded requests, without others those that the address names. */
  async load(run = new URL(location.href).searchParams.get("run")) {
    const html = run ? await this.recorded(run) : "";
    if (!html || this.stream) return;
    insertHtml(this.box, html);
    const last = this.box.lastElementChild;
    this.session = last.dataset.session ?? "";
    if (last.dataset.status) this.status.innerHTML = last.dataset.status;
    this.follow(true);
  }

  // The switches between branches come from the server; the turns stay, with what somebody does in them meanwhile.
  async addSwitches() {
    const fresh = document.createElement("template");
    fresh.innerHTML = await this.recorded(this.ids.join("~"));
    for (const { dataset, previousElementSibling } of fresh.content.querySelectorAll(".turn-assistant")) {
      const shown = this.box.querySelector(`:scope > [data-request="${dataset.request}"]`)?.previousElementSibling;
      const tools = previousElementSibling.querySelector(".turn-tools");
      shown?.querySelector(".turn-tools")?.replaceWith(tools);
    }
  }

  text(turn) {
    return turn.querySelector(".turn-content, pre.raw")?.textContent ?? null;
  }

  async run(message, { removed = [] } = {}) {
    if (this.stream) return false;
    const body = new FormData(form());
    for (const node of removed) node.remove();
    if (this.isChat) {
      body.set("turns", JSON.stringify(this.chatTurns()));
      body.set("session", this.session);
      body.set("message", message ?? "");
    }
    const target = this.isChat ? document.createElement("article") : this.box;
    if (this.isChat) {
      target.className = "turn-assistant";
      target.setAttribute("aria-label", "Model");
      this.box.querySelector(":scope > .empty")?.remove();
      this.box.querySelector(":scope > .not-sent")?.remove();
      this.box.append(target);
    } else delete target.dataset.request;
    const stream = (this.stream = new Stream(target, this.status));
    let ended = null;
    let asked = null;
    stream.more = {
      question: (html) => {
        target.insertAdjacentHTML("beforebegin", html);
        asked = target.previousElementSibling;
        this.follow(true);
      },
      ended: (found) => (ended = found),
      wrong: (found) => found.field && this.shown && showWrong(found),
    };
    stream.named = (id) => this.shown && setAddress({ run: [...this.ids, id].join("~") }); // a reload shows what came
    this.status.innerHTML = '<div class="status-line"><span class="pulse" aria-hidden="true"></span><span>Sending</span><span class="muted clock" aria-hidden="true"></span></div>';
    showBar();
    try {
      const running = stream.run(URL_RUN, body);
      this.reveal();
      await running;
    } catch (error) {
      if (!stream.stopped) this.fail(target, error);
    } finally {
      this.stream = null;
    }
    if (this.isChat) this.endTurn({ target, ended, asked, removed, stopped: stream.stopped });
    else if (ended) target.dataset.request = ended.request;
    if (this.shown) {
      setAddress({ run: this.ids.join("~") });
      document.dispatchEvent(new CustomEvent("ran"));
    }
    showBar();
    return ended !== null || stream.stopped;
  }

  chatTurns() {
    const turns = [...this.box.querySelectorAll(":scope > [data-role]")];
    return turns.map((turn) => [turn.dataset.role, this.text(turn) ?? ""]).filter(([, text]) => text);
  }

  endTurn({ target, ended, asked, removed, stopped }) {
    if (ended) {
      target.dataset.request = ended.request;
      target.dataset.role = "assistant";
      this.session = ended.session;
      // A turn without a text is no part of the chat.
      if (this.text(target) === null) {
        target.removeAttribute("data-role");
        asked?.removeAttribute("data-role");
      }
    } else if (!stopped) {
      // Not sent: the thread stays as it was, with the error below it.
      asked?.remove();
      for (const node of removed) target.before(node);
      target.classList.add("not-sent");
    } else asked?.removeAttribute("data-role");
    if (ended && removed.length) this.addSwitches();
    this.follow(true);
  }

  fail(target, error) {
    const away = error instanceof TypeError;
    const text = away ? "Can't reach Herding. The request has ended; try again in a moment." : error.message;
    const panel = document.createElement("div");
    panel.className = "panel bad";
    panel.setAttribute("role", "alert");
    panel.textContent = text;
    target.querySelector(".running")?.classList.remove("running");
    target.append(panel);
    this.status.innerHTML = `<div class="status-line"><span class="chip bad">${away ? "Disconnected" : "Not sent"}</span></div>`;
  }

  stop() {
    this.stream?.stop(URL_STOP);
    showBar();
  }

  async switchTo(run) {
    await this.load(run);
    if (this.shown) setAddress({ run: this.ids.join("~") });
  }

  clear(html) {
    this.session = "";
    this.box.innerHTML = html;
    this.status.replaceChildren();
    setAddress({ run: "" });
  }

  /** On a narrow page the response is below the editor: bring it into sight. */
  reveal() {
    if (!this.shown || section.getBoundingClientRect().top < innerHeight / 2) return;
    section.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  follow(always = false) {
    if (!this.isChat) return;
    const { box } = this;
    const up = box.scrollHeight - box.scrollTop - box.clientHeight > 120;
    if (always || !up) box.scrollTop = box.scrollHeight;
  }
}

const pane = () => panes.get(section?.dataset.key);

const showBar = () => {
  const now = pane();
  const [run, stop, status] = ["run", "stop", "run-status"].map((id) => document.getElementById(id));
  if (!now || !run || !stop) return;
  const busy = Boolean(now.stream) && !now.stream.stopped;
  run.disabled = Boolean(now.stream);
  stop.disabled = !busy;
  const send = document.getElementById("send");
  if (send) send.disabled = Boolean(now.stream);
  if (status && status.firstChild !== now.status) status.replaceChildren(now.status);
  const others = [...panes.values()].filter((other) => other !== now && other.stream);
  let note = document.getElementById("run-others");
  if (!others.length) return note?.remove();
  note ??= Object.assign(document.createElement("a"), { id: "run-others" });
  note.href = `?tab=engineer&prompt=${encodeURIComponent(others[0].key)}`;
  note.textContent = `Running: ${others[0].key}`;
  status?.after(note);
};

export const start = (element) => {
  section = element;
  const { key, chat, variable } = element.dataset;
  const box = element.querySelector("#response");
  element.dataset.blank = box.innerHTML;
  const known = panes.get(key);
  const { run } = element.dataset; // a request of the history, which replaces what was shown
  if (known && known.isChat === (chat !== undefined) && (known.stream || (known.ids.length && !run))) {
    box.replaceWith(known.box);
    if (known.isChat && known.ids.length) element.querySelector("#engineer-message")?.replaceChildren();
    setAddress({ run: known.ids.join("~") });
  } else {
    const made = new Pane(key, box, chat !== undefined);
    panes.set(key, made);
    made.load(run).then(() => {
      const message = document.getElementById("engineer-message");
      if (made.shown && made.isChat && made.ids.length && message) message.value = "";
      if (made.shown) setAddress({ run: made.ids.join("~") });
    });
  }
  hideVariable(variable);
  showBar();
};

// The composer takes the place of its variable, whose definition stays.
const hideVariable = (name) => {
  const field = name && document.getElementById(`control-${name}`);
  if (!field || field.hidden) return;
  field.hidden = true;
  const note = document.createElement("p");
  note.className = "engineer-composed";
  const label = document.createElement("span");
  label.className = "label";
  label.textContent = name;
  note.append(label, " Written in the chat");
  field.before(note);
};

document.addEventListener("htmx:load", () => {
  showBar();
  hideVariable(section?.dataset.variable);
});

const send = async () => {
  const now = pane();
  if (!now || now.stream) return;
  const message = document.getElementById("engineer-message");
  if (!now.isChat || !message) return now.run();
  const text = message.value;
  if (!text.trim()) return message.focus();
  message.value = "";
  message.focus();
  const sent = await now.run(text);
  if (!sent && !message.value) message.value = text;
};

// The turn from which a chat goes on anew, with all turns after it.
const from = (turn) => {
  const nodes = [];
  for (let node = turn; node; node = node.nextElementSibling) nodes.push(node);
  return nodes;
};

const EDITED = "#response .turn-edited";
const ends = new WeakMap(); // what ends the editing of a turn, by its field

const edit = (turn) => {
  const before = turn.innerHTML;
  const area = Object.assign(document.createElement("textarea"), { className: "input turn-edited", value: turn.querySelector(".message-text").textContent });
  area.setAttribute("aria-label", "Edit message");
  const again = Object.assign(document.createElement("button"), { type: "button", className: "btn primary", textContent: "Send" });
  const cancel = Object.assign(document.createElement("button"), { type: "button", className: "btn", textContent: "Cancel" });
  const row = Object.assign(document.createElement("div"), { className: "answers" });
  row.append(again, cancel);
  const content = turn.querySelector(".turn-content");
  turn.replaceChildren(content, area, row);
  area.focus();
  const close = () => {
    turn.innerHTML = before;
    turn.querySelector("[data-edit]").focus();
  };
  const go = () => {
    const text = area.value;
    if (!text.trim()) return;
    turn.innerHTML = before;
    pane().run(text, { removed: from(turn) });
  };
  again.addEventListener("click", go);
  cancel.addEventListener("click", close);
  ends.set(area, { go, close });
};

const regenerate = (button) => {
  const answer = button.closest("article");
  const question = answer.previousElementSibling;
  if (!question?.matches(".turn-user")) return;
  pane().run(question.querySelector(".message-text").textContent, { removed: from(question) });
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("button");
  if (!button || !pane()) return;
  if (button.id === "run" || button.id === "send") send();
  else if (button.id === "stop") pane().stop();
  else if (!isIn(button)) return;
  else if (button.id === "new-chat") {
    if (pane().stream) return notify("Stop the running request first.");
    pane().clear(section.dataset.blank);
    document.getElementById("engineer-message")?.focus();
  } else if (pane().stream) return;
  else if (button.dataset.edit !== undefined) edit(button.closest("article"));
  else if (button.dataset.branch) pane().switchTo(button.dataset.branch);
  else if (button.dataset.regenerate !== undefined) regenerate(button);
});

addShortcuts({
  title: "Chat",
  shortcuts: [
    { keys: ["Enter"], label: "Send the message (Shift+Enter: new line)", on: "#engineer-message", run: () => void send() },
    { keys: ["Enter", "Ctrl+Enter"], label: "Send the edited message", on: EDITED, run: ({ target }) => ends.get(target).go() },
    { keys: ["Escape"], label: "Leave the message unedited", on: EDITED, run: ({ target }) => ends.get(target).close() },
  ],
});
document.addEventListener("grew", ({ target }) => {
  for (const one of panes.values()) if (one.box.contains(target)) one.follow();
});
