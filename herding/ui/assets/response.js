// Responses: the switch between rendered, raw and JSON, which the browser remembers, and the buttons that copy.

const root = document.documentElement;
const stored = (kind) => `herding.response.${kind}`;
const read = (kind) => {
  try {
    return localStorage.getItem(stored(kind));
  } catch {
    return null; // a browser that keeps nothing
  }
};
const apply = (kind, mode) => {
  if (mode) root.setAttribute(`data-response-${kind}`, mode);
};
for (const kind of ["text", "json"]) apply(kind, read(kind));

const check = (body) => {
  const mode = root.getAttribute(`data-response-${body.dataset.kind}`);
  const radio = body.querySelector(`input[data-mode][value="${mode}"]`);
  if (radio) radio.checked = true;
};

document.addEventListener("change", ({ target }) => {
  if (!target.matches?.("input[data-mode]")) return;
  const { kind } = target.closest(".response-body").dataset;
  apply(kind, target.value);
  try {
    localStorage.setItem(stored(kind), target.value);
  } catch {
    // shown until the page closes
  }
  document.querySelectorAll(`.response-body[data-kind="${kind}"]`).forEach(check);
});

/** Copy the text of an element; false if the browser does not allow it: the text is selected then. */
export const copyText = async (element) => {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy"); // the clipboard may be blocked in a frame
  }
};

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const raw = button.dataset.copy === "raw";
  const text = raw ? button.closest(".response-body").querySelector("pre.raw") : button.closest(".code-block").querySelector("pre");
  button.textContent = (await copyText(text)) ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

export const start = check;
