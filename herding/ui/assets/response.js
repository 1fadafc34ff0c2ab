// Responses: the switch between rendered, raw and JSON, which the browser remembers.

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

export const start = check;
