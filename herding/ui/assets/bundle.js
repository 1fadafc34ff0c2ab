const told = (result) => {
  if (result.error) return ["refused", "bad", result.error];
  const { version, changed, file } = result.saved;
  const where = { unwritable: "in the database only", shared: "in the database only", conflict: "its file was edited too: decide above" };
  const words = [`version ${version}`, where[file]].filter(Boolean).join("; ");
  if (result.saved.new) return ["new prompt", "good", words];
  return changed ? ["new version", "good", words] : ["unchanged", "calm", words];
};
const node = (name, cls, ...children) => {
  const made = document.createElement(name); // what is said comes as text only
  made.className = cls;
  made.append(...children);
  return made;
};
const say = (tone, title, words) => {
  const panel = node("div", `panel ${tone}`, node("strong", "", title), node("p", "", words));
  panel.setAttribute("role", tone === "bad" ? "alert" : "status");
  element.querySelector(".bundle-result").replaceChildren(panel);
};
const list = (results) => {
  const counts = {};
  const rows = results.map((result) => {
    const [name, tone, words] = told(result);
    counts[name] = (counts[name] ?? 0) + 1;
    const key = node("code", "", result.key);
    return [tone !== "bad", node("li", "bundle-row", key, node("span", `chip ${tone}`, name), node("span", "", words))];
  });
  rows.sort(([one], [other]) => one - other);
  const sum = Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ");
  const head = node("p", "saved", results.length ? `Imported: ${sum}.` : "This zip has no prompt files.");
  head.setAttribute("role", "status");
  const drawn = node("ul", "plain bundle-rows", ...rows.map(([, row]) => row));
  if (results.length) drawn.tabIndex = 0;
  element.querySelector(".bundle-result").replaceChildren(head, drawn);
};
element.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const [file] = form.querySelector("input").files;
  const most = Number(form.dataset.most);
  if (!file) return say("bad", "Not imported", "Choose a zip of prompt files first.");
  if (file.size > most) return say("bad", "Not imported", `A zip has at most ${most.toLocaleString("en")} bytes. Import it in parts.`);
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("api/v1/prompts.zip", { method: "POST", headers: { "content-type": "application/zip" }, body: file });
    const found = await answer.json();
    if (answer.ok) list(found.prompts);
    else say("bad", "Not imported", found.error?.message ?? `The server answered with ${answer.status}.`);
    if (answer.ok) trigger("imported");
  } catch {
    say("bad", "Not imported", "The connection broke off. Import it again: what is there already stays as it is.");
  } finally {
    button.disabled = false;
  }
});
