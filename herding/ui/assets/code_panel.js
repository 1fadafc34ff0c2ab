const KEY = "herding-call";
let chosen = "";
try {
  chosen = localStorage.getItem(KEY) ?? "";
} catch {
  // in a frame of another site there may be no storage
}
const show = () => {
  const radios = [...element.querySelectorAll("input[type=radio]")];
  const radio = radios.find((one) => one.value === chosen) ?? radios[0];
  if (!radio) return;
  radio.checked = true;
  element.querySelectorAll("[data-call]").forEach((call) => (call.hidden = call.dataset.call !== radio.value));
};
element.addEventListener("change", (event) => {
  if (event.target.type !== "radio") return;
  chosen = event.target.value;
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // then it is chosen until the page is left
  }
  show();
});
element.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  const text = button?.parentElement.querySelector("pre");
  if (!text) return;
  let copied = true;
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch {
    getSelection().selectAllChildren(text);
    copied = document.execCommand("copy"); // inside a frame the clipboard may be out of reach
  }
  button.textContent = copied ? "Copied" : "Press Ctrl + C";
  setTimeout(() => (button.textContent = "Copy"), 2000);
});
watch("value", () => requestAnimationFrame(show));
show();
