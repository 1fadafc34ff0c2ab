element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pick], [data-open]");
  const row = button ?? event.target.closest("[data-row]")?.querySelector("[data-pick]");
  if (!row || !element.contains(row)) return;
  if (row.dataset.open !== undefined) {
    trigger("open", { item: row.dataset.open });
    return;
  }
  element.querySelectorAll("[aria-current]").forEach((old) => old.removeAttribute("aria-current"));
  (row.closest("[data-row]") ?? row).setAttribute("aria-current", "true");
  trigger("pick", { item: row.dataset.pick });
  const detail = document.getElementById(element.querySelector("[data-detail]")?.dataset.detail ?? "");
  if (detail && window.innerWidth < 900) {
    setTimeout(() => detail.scrollIntoView({ behavior: "smooth", block: "start" }), 150);
  }
});
