// A field for YAML: line numbers, colours behind the text, Tab and Enter that indent, and a mark at the line of an error.

const MAX = 100_000; // characters that are coloured
const INDENT = "  ";
const PARTS = [
  ["comment", /(?:^|(?<=\s))#.*/y],
  ["string", /"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'/y],
  ["key", /[\w./*-]+(?=:(?:\s|$))/y],
  ["variable", /\{\{[ \t]*\w+[ \t]*\}\}/y],
  ["word", /(?<![\w.-])(?:true|false|null|-?\d+(?:\.\d+)?)(?![\w.-])/y],
];

const colour = (line) => {
  const parts = [];
  let plain = "";
  for (let at = 0; at < line.length; ) {
    const found = PARTS.map(([kind, pattern]) => ((pattern.lastIndex = at), [kind, pattern.exec(line)?.[0]])).find(([, text]) => text);
    const [kind, text] = found ?? ["", /^(?:[\w.-]+|.)/su.exec(line.slice(at))[0]]; // a word as a whole, not from its middle
    at += text.length;
    if (!kind) {
      plain += text;
      continue;
    }
    const part = document.createElement("span");
    part.className = `yaml-${kind}`;
    part.textContent = text;
    parts.push(plain, part);
    plain = "";
  }
  return [...parts, plain];
};

class YamlEditor {
  constructor(box) {
    this.box = box;
    this.area = box.querySelector("textarea");
    this.numbers = box.querySelector(".yaml-lines");
    this.colours = box.querySelector(".yaml-colours");
    this.leaves = false; // Esc was pressed: the next Tab leaves the field
    this.shown = []; // the lines as they are shown
    this.area.addEventListener("input", () => this.show());
    this.area.addEventListener("scroll", () => this.follow());
    this.area.addEventListener("keydown", (event) => this.press(event));
    this.area.addEventListener("blur", () => (this.leaves = false));
    const errors = document.querySelector(box.dataset.errors);
    if (errors) new MutationObserver(() => this.mark(errors)).observe(errors, { childList: true, characterData: true, subtree: true });
    this.show();
    if (errors) this.mark(errors);
  }

  // Only lines that changed are made anew.
  show() {
    const { value } = this.area;
    const lines = value.split("\n");
    if (value.length > MAX) {
      this.box.classList.add("plain");
      this.colours.replaceChildren();
      this.shown = [];
    } else {
      this.box.classList.remove("plain");
      let same = 0;
      while (same < lines.length && lines[same] === this.shown[same]) same += 1;
      let end = 0;
      while (end < lines.length - same && end < this.shown.length - same && lines.at(-1 - end) === this.shown.at(-1 - end)) end += 1;
      const after = this.colours.children[this.shown.length - end] ?? null;
      for (let gone = this.shown.length - end - same; gone > 0; gone -= 1) this.colours.children[same].remove();
      for (const line of lines.slice(same, lines.length - end)) {
        const made = document.createElement("span");
        made.append(...colour(line), "\n");
        this.colours.insertBefore(made, after);
      }
      this.shown = lines;
    }
    while (this.numbers.children.length > lines.length) this.numbers.lastChild.remove();
    while (this.numbers.children.length < lines.length) {
      const number = document.createElement("span");
      number.textContent = this.numbers.children.length + 1;
      this.numbers.append(number);
    }
    this.follow();
  }

  follow() {
    this.numbers.scrollTop = this.colours.scrollTop = this.area.scrollTop;
    this.colours.scrollLeft = this.area.scrollLeft;
  }

  mark(errors) {
    this.numbers.querySelector(".at-error")?.classList.remove("at-error");
    const [, line] = /\bline (\d+)/i.exec(errors.textContent) ?? [];
    this.numbers.children[line - 1]?.classList.add("at-error");
  }

  press(event) {
    const { key, shiftKey } = event;
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Escape") this.leaves = true;
    else if (key === "Tab" && !this.leaves) this.indent(event, shiftKey);
    else if (key === "Enter" && !shiftKey) this.newLine(event);
    else if (key.length === 1) this.leaves = false;
  }

  // What is written this way can be undone.
  write(text, from = this.area.selectionStart, to = this.area.selectionEnd) {
    this.area.setSelectionRange(from, to);
    document.execCommand(text ? "insertText" : "delete", false, text);
  }

  indent(event, back) {
    event.preventDefault();
    const { value, selectionStart: from, selectionEnd: to } = this.area;
    if (from === to && !back) return this.write(INDENT.slice((from - value.lastIndexOf("\n", from - 1) - 1) % INDENT.length));
    const begin = value.lastIndexOf("\n", from - 1) + 1;
    const end = value[to - 1] === "\n" && to > from ? to - 1 : to;
    const lines = value.slice(begin, end).split("\n");
    const moved = lines.map((line) => (back ? line.replace(/^ {1,2}/, "") : INDENT + line));
    const tail = value.slice(end).split("\n", 1)[0];
    if (moved.join("\n") === lines.join("\n")) return;
    this.write(moved.join("\n") + tail, begin, end + tail.length);
    const shift = moved[0].length - lines[0].length;
    this.area.setSelectionRange(Math.max(begin, from + shift), to + moved.join("\n").length - lines.join("\n").length);
  }

  // The next line begins where this one does, and further in after a colon.
  newLine(event) {
    const { value, selectionStart: from } = this.area;
    const line = value.slice(value.lastIndexOf("\n", from - 1) + 1, from);
    const [space] = /^ */.exec(line);
    const deeper = /:\s*$/.test(line) ? INDENT : "";
    if (!space && !deeper) return;
    event.preventDefault();
    this.write(`\n${space}${deeper}`);
  }
}

export const start = (box) => new YamlEditor(box);
