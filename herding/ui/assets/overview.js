// The overview: closes the drawer, and copies what it shows.

import { copyText } from "./response.js";
import { setAddress } from "./view.js";

const NARROW = matchMedia("(max-width: 900px)");

export const start = (body) => {
  const drawer = body.querySelector("#overview-detail");
  const current = () => body.querySelector("tr[aria-current]");

  const close = () => {
    if (!drawer.childElementCount) return;
    drawer.replaceChildren();
    setAddress({ prompt: "" });
    const row = current();
    row?.removeAttribute("aria-current");
    row?.querySelector(".row-name").focus();
  };

  body.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  body.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target !== drawer) return;
    delete drawer.dataset.initial;
    drawer.scrollTop = 0;
    // On a narrow screen the drawer covers the table.
    if (NARROW.matches) drawer.querySelector("[data-close]")?.focus();
  });
  drawer.addEventListener("click", async ({ target }) => {
    if (target.closest("[data-close]")) return close();
    const button = target.closest("button.copy");
    if (!button) return;
    button.textContent = (await copyText(button.parentElement.querySelector("pre, code"))) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
};
