// The Versions tab: imports a zip of prompts, and keeps the focus where a pressed button went.

const outcomeOf = (result) => {
  if (result.error) return ["failed", "bad", result.error];
  const { version, changed, file } = result.saved;
  const notes = { unwritable: "in the database only", shared: "in the database only", conflict: "its file was edited too: resolve the conflict above" };
  const text = [`version ${version}`, notes[file]].filter(Boolean).join("; ");
  if (result.saved.new) return ["new prompt", "good", text];
  return changed ? ["new version", "good", text] : ["unchanged", "calm", text];
};
const node = (name, cls, ...children) => {
  const made = document.createElement(name); // children are text, never HTML
  made.className = cls;
  made.append(...children);
  return made;
};
const showError = (element, text) => {
  const panel = node("div", "panel bad", node("strong", "", "Not imported"), node("p", "", text));
  panel.setAttribute("role", "alert");
  element.querySelector(".bundle-result").replaceChildren(panel);
};
const showResults = (element, results) => {
  const counts = {};
  const rows = results.map((result) => {
    const [name, tone, text] = outcomeOf(result);
    counts[name] = (counts[name] ?? 0) + 1;
    const key = node("code", "", result.key);
    return [tone !== "bad", node("li", "bundle-row", key, node("span", `chip ${tone}`, name), node("span", "", text))];
  });
  rows.sort(([one], [other]) => one - other);
  const sum = Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ");
  const head = node("p", "saved", results.length ? `Imported: ${sum}.` : "This zip contains no prompt files.");
  head.setAttribute("role", "status");
  const list = node("ul", "plain bundle-rows", ...rows.map(([, row]) => row));
  if (results.length) list.tabIndex = 0;
  element.querySelector(".bundle-result").replaceChildren(head, list);
};
/** Send the zip of the form to the API, and tell the page of new prompts. */
export const start = (element) => element.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const [file] = form.querySelector("input").files;
  const most = Number(form.dataset.most);
  if (!file) return showError(element, "Choose a zip file first.");
  if (file.size > most) return showError(element, `The zip is larger than ${most.toLocaleString("en")} bytes. Import it in parts.`);
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch("api/v1/prompts.zip", { method: "POST", headers: { "content-type": "application/zip" }, body: file });
    const body = await response.json();
    if (response.ok) showResults(element, body.prompts);
    else showError(element, body.error?.message ?? `The server returned status ${response.status}.`);
    if (response.ok) htmx.trigger(document.body, "imported");
  } catch {
    showError(element, "The connection was lost. Import the zip again; unchanged prompts are skipped.");
  } finally {
    button.disabled = false;
  }
});

// The pressed button disappears: the focus moves to the labels, where a second press does nothing.
document.addEventListener("versions-focus", ({ detail }) =>
  document.addEventListener("htmx:afterSettle", () => document.getElementById(detail.value)?.focus({ preventScroll: true }), { once: true }),
);
