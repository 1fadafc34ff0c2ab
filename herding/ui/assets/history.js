// The History tab: keeps as many rows as are shown, follows changes of a row, and steps from request to request.

import { notify } from "./view.js";

const list = () => document.getElementById("history-list");

document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.path === "ui/history/list") detail.parameters.rows = list()?.querySelectorAll("tr[data-row]").length ?? 0;
});

// A row that has changed beside the list, by a rating for example.
document.addEventListener("history-row", ({ detail }) => {
  const row = list()?.querySelector(`tr[data-row="${detail.id}"]`);
  if (!row) return;
  const template = document.createElement("template");
  template.innerHTML = detail.html;
  const changed = template.content.firstElementChild;
  row.replaceWith(changed);
  htmx.process(changed);
});

const step = (by) => {
  const rows = [...(list()?.querySelectorAll("tr[data-row]") ?? [])];
  const at = rows.findIndex((row) => row.hasAttribute("aria-current"));
  const name = rows[at < 0 ? 0 : at + by]?.querySelector(".row-name");
  if (!name) return notify(by < 0 ? "This is the first request of the list." : "This is the last request of the list.");
  name.focus();
  name.click();
};

document.addEventListener("click", async ({ target }) => {
  const stepping = target.closest?.("[data-step]");
  if (stepping) step(Number(stepping.dataset.step));
  const link = target.closest?.("[data-copy-link]");
  if (!link) return;
  const url = new URL(link.dataset.copyLink, new URL(".", location.href)).href;
  const copied = await navigator.clipboard?.writeText(url).then(() => true, () => false);
  notify(copied ? "Link copied." : url);
});

// "Show more" goes on at the first of the new rows, also if an arrow key asked for it.
document.addEventListener("htmx:beforeRequest", ({ target }) => {
  if (target.id !== "history-more") return;
  const last = list().querySelector("tr[data-row]:last-child");
  list().addEventListener("htmx:afterSettle", () => last.nextElementSibling?.querySelector(".row-name").focus({ preventScroll: true }), { once: true });
});
document.addEventListener("keydown", ({ key, target }) => {
  if (key === "ArrowDown" && target.matches?.("#history-rows tr:last-child .row-name")) document.getElementById("history-more")?.click();
});

export const start = () => {};
