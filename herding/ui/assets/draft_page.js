// The id of this page. Each save of a draft names it, so that the server tells two open pages of one user apart.

const LEFT = "herding-draft-page";

/** The id of this page, and that of the page before it in this tab if a save of that may still arrive. */
export const PAGES = [[...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("")];

const left = sessionStorage.getItem(LEFT);
if (left) PAGES.push(left);
sessionStorage.removeItem(LEFT); // also from a copy of this tab
addEventListener("pageshow", ({ persisted }) => persisted && sessionStorage.removeItem(LEFT));

/** The page is left while a save is under way: the next page in this tab counts that save as its own. */
export const leavePage = () => sessionStorage.setItem(LEFT, PAGES[0]);
