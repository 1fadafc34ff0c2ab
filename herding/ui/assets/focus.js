// Keeps the focus. What has it may be disabled while its request runs, be hidden, or go with a swap, and the browser
// leaves the focus on the body: it comes back when the element is usable again, or goes to what stands nearest.

const USABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
const LATER_MS = 80; // who replaces a part of the page may give the focus a better place

let last = null; // what had the focus, null once the user left it
let near = []; // its neighbours, and those of what is around it
let timer = 0;

const isUsable = (one) => one?.isConnected && one.matches(USABLE) && !one.disabled && one.offsetParent !== null && !one.closest("[inert]");
const firstIn = (part) => [part, ...part.querySelectorAll(USABLE)].find(isUsable);
const isLost = () => last && (document.activeElement ?? document.body) === document.body;

const around = (element) => {
  const found = [];
  for (let one = element; one && !one.matches(".view"); one = one.parentElement) found.push(one.nextElementSibling, one.previousElementSibling);
  return found.filter(Boolean);
};

document.addEventListener("focusin", ({ target }) => {
  if (target.closest("dialog")) return; // it closes, and then matters what opened it
  last = target;
  near = around(target);
});
document.addEventListener("pointerdown", () => (last = null), true);
document.addEventListener("focusout", ({ target }) => {
  if (isUsable(target)) setTimeout(() => isLost() && target === last && isUsable(target) && (last = null)); // a script left it
});

const restore = () => {
  timer = 0;
  if (!isLost() || document.querySelector("dialog[open]")) return;
  // A button such as Stop, with `data-then`, hands on to another one; others wait until they are enabled again.
  const here = last.isConnected ? last : document.getElementById(last.id);
  const own = [here, document.getElementById(here?.dataset.then)].find(isUsable);
  if (own) return own.focus({ preventScroll: true });
  if (last.isConnected && (last.disabled || last.closest("[inert]"))) return;
  for (const part of near) {
    const place = part.isConnected ? part : document.getElementById(part.id);
    const found = place && firstIn(place);
    if (found) return found.focus();
  }
  const view = [...document.querySelectorAll(".view")].find((one) => one.offsetParent);
  if (!view) return;
  view.tabIndex = -1;
  view.focus({ preventScroll: true });
};
new MutationObserver(() => {
  if (!timer && last) timer = setTimeout(restore, LATER_MS);
}).observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled", "hidden", "inert"] });
