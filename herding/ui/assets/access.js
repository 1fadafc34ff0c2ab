// Access: its sections, and a new token, which leaves the page with the next action.

import { setAddress } from "./view.js";

const hide = () => document.getElementById("access-secret")?.replaceChildren();

const show = async (root, name) => {
  hide();
  for (const section of root.querySelectorAll("[data-section]")) section.hidden = section.dataset.section !== name;
  for (const link of root.querySelectorAll("[data-to]")) {
    if (link.dataset.to === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  setAddress({ section: name === "tokens" ? "" : name, q: "", token: "", user: "" });
  await refresh(root.querySelector(`[data-section=${name}]`));
};

// A section is loaded once; later it keeps what was typed, and its list or its file is compared with the server's.
const refresh = async (section) => {
  const { section: name, loaded } = section.dataset;
  if (loaded === undefined) {
    section.dataset.loaded = "";
    return htmx.ajax("GET", `ui/access/sections/${name}`, { target: section, swap: "innerHTML", source: section });
  }
  if (name === "roles") {
    const form = section.querySelector("#roles-form");
    return form && htmx.ajax("POST", "ui/access/roles/check", { target: section, swap: "innerHTML", source: form });
  }
  // A user may have been added since, for whom a token can be created now.
  if (name === "tokens" && !section.querySelector("#token-name")?.value) return htmx.ajax("GET", "ui/access/sections/tokens", { target: section, swap: "innerHTML", source: section });
  const search = section.querySelector("input[type=search]");
  if (search) htmx.trigger(search, "input");
};

export const start = (root) => {
  if (root.dataset.ready) return;
  root.dataset.ready = "1";
  const view = root.closest(".view");
  root.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    const { to, done } = button.dataset;
    if (to) show(root, to);
    else if (done !== undefined) hide();
  });
  root.addEventListener("focusin", ({ target }) => target.matches(".access-secret input") && target.select());
  root.addEventListener("htmx:beforeRequest", hide);
  root.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.id === "access-secret") detail.target.querySelector("input")?.focus(); // selected, to be copied
    if (detail.target.matches(".detail") && !detail.target.contains(document.activeElement)) {
      if (detail.target.querySelector("#user-id:not(:disabled)")) detail.target.querySelector("#user-id").focus();
    }
  });
  const off = new AbortController();
  const onPage = (name, target, handler) =>
    target.addEventListener(name, () => (root.isConnected ? handler() : off.abort()), { signal: off.signal });
  onPage("token-created", document.body, () => {
    const name = document.getElementById("token-name");
    if (name) name.value = "";
  });
  onPage("hidden", view, hide);
  onPage("pagehide", window, hide);
  onPage("shown", view, () => {
    const section = root.querySelector("[data-section]:not([hidden])");
    if (section.dataset.section === "roles") refresh(section);
  });
};
