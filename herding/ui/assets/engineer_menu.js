// Menus of the prompt engineer: the list of prompts, and the form of a new one.

/** Begin with the search, or the first link, when the menu opens; arrow keys go through its links. */
export const start = (menu) => {
  menu.addEventListener("toggle", ({ newState }) => {
    if (newState !== "open") return;
    const first = menu.querySelector("input, a");
    first?.focus();
    first?.select?.();
    if (first?.type === "search") htmx.trigger(first, "opened");
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.type === "search") {
      event.preventDefault();
      menu.querySelector("a")?.click();
    }
    if (!["ArrowDown", "ArrowUp"].includes(event.key)) return;
    const links = [...menu.querySelectorAll("a")];
    if (!links.length) return;
    event.preventDefault();
    const at = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    if (at < 0) menu.querySelector("input")?.focus();
    else links[Math.min(at, links.length - 1)].focus();
  });
  menu.addEventListener("focusout", ({ relatedTarget }) => relatedTarget && !menu.contains(relatedTarget) && menu.hidePopover());
  menu.addEventListener("click", ({ target }) => target.closest("a") && menu.hidePopover());
  if ("open" in menu.dataset) menu.showPopover();
};
