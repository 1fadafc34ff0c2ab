// The keys of the page. Each is an entry of a table; the dialog on "?" shows the tables, so what it says is what works.

const tables = [];
const TYPING = "textarea, select, [contenteditable=true], input:not([type=radio], [type=checkbox], [type=button])";
const isMac = /mac/i.test(navigator.platform);
const NAMES = { ArrowUp: "↑", ArrowDown: "↓", Ctrl: isMac ? "⌘" : "Ctrl", Alt: isMac ? "⌥" : "Alt", Escape: "Esc" };

/**
 * Add keys. A table has a title, `shortcuts`, and `works`, which tells whether its keys work now.
 * A shortcut has `keys` such as "Ctrl+Enter" (Cmd on a Mac), a label, `run(event)`, which returns false where the key is
 * not for it, and if it belongs to some elements only, `on`, their selector. Keys without Ctrl or Alt, but Escape, leave
 * fields alone unless `on` names them.
 */
export const addShortcuts = (table) => {
  const before = tables.findIndex(({ title }) => title === table.title);
  if (before < 0) tables.push(table);
  else tables[before] = table;
};

const isPressed = (chord, event) => {
  const parts = chord.split("+");
  const key = parts.pop() || "+";
  const alt = parts.includes("Alt");
  if (alt !== event.altKey || parts.includes("Ctrl") !== (event.ctrlKey || event.metaKey)) return false;
  if (event.shiftKey && (alt || parts.includes("Ctrl") || key.length > 1)) return false;
  // With Alt, a digit types another character on some keyboards.
  return alt && /^\d$/.test(key) ? event.code === `Digit${key}` : event.key.toLowerCase() === key.toLowerCase();
};

const fits = ({ keys, on }, event) => {
  const pressed = keys.find((chord) => isPressed(chord, event));
  if (!pressed) return false;
  if (on) return event.target.matches?.(on);
  return /Ctrl|Alt|Escape/.test(pressed) || !event.target.matches?.(TYPING);
};

document.addEventListener(
  "keydown",
  (event) => {
    // While an input method composes a character, the keys belong to it; so they do to an open dialog.
    if (event.isComposing || event.keyCode === 229 || document.querySelector("dialog[open]")) return;
    const now = tables.filter(({ works }) => !works || works()).flatMap(({ shortcuts }) => shortcuts);
    // The keys of an element go before those of the page.
    for (const shortcut of [...now.filter(({ on }) => on), ...now.filter(({ on }) => !on)]) {
      if (!fits(shortcut, event) || shortcut.run(event) === false) continue;
      event.preventDefault();
      return event.stopPropagation();
    }
  },
  true,
);

const make = (tag, text = "", ...children) => {
  const made = Object.assign(document.createElement(tag), { textContent: text });
  made.append(...children);
  return made;
};

const chordOf = (chord) => {
  const shown = make("span");
  chord.split("+").forEach((part, number) => shown.append(...(number ? ["+"] : []), make("kbd", NAMES[part] ?? part)));
  return shown;
};

const rowOf = ({ keys, label }) => {
  const cell = make("td");
  const [first, last] = [keys[0], keys.at(-1)];
  const shown = keys.length > 3 ? [chordOf(first), " to ", chordOf(last)] : keys.flatMap((chord, n) => [...(n ? [" or "] : []), chordOf(chord)]);
  cell.append(...shown);
  const head = make("th", label);
  head.scope = "row";
  return make("tr", "", head, cell);
};

/** Show all keys in a dialog. */
export const showShortcuts = () => {
  const dialog = Object.assign(document.createElement("dialog"), { className: "question shortcuts" });
  const title = Object.assign(make("h2", "Keyboard shortcuts"), { id: "shortcuts-title" });
  const close = Object.assign(make("button", "Close"), { type: "button", className: "btn" });
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.append(make("div", "", title, close));
  dialog.firstChild.className = "shortcuts-head";
  for (const { title: about, shortcuts } of tables) {
    const table = make("table", "", make("caption", about), make("tbody", "", ...shortcuts.map(rowOf)));
    dialog.append(table);
  }
  document.body.append(dialog);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  close.focus();
};

document.addEventListener("click", ({ target }) => target.closest?.("[data-shortcuts]") && showShortcuts());
