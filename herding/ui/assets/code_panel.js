const KEY = "herding-call";
let selected = "";
try {
  selected = localStorage.getItem(KEY) ?? "";
} catch {
  // storage may be blocked in a frame
}
const showSelected = () => {
  const radios = [...element.querySelectorAll("input[type=radio]")];
  const radio = radios.find((one) => one.value === selected) ?? radios[0];
  if (!radio) return;
  radio.checked = true;
  element.querySelectorAll("[data-call]").forEach((call) => (call.hidden = call.dataset.call !== radio.value));
};
element.addEventListener("change", (event) => {
  if (event.target.type !== "radio") return;
  selected = event.target.value;
  try {
    localStorage.setItem(KEY, selected);
  } catch {
    // keep the choice until the page is closed
  }
  showSelected();
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
    copied = document.execCommand("copy"); // the clipboard may be blocked in a frame
  }
  button.textContent = copied ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), 2000);
});
watch("value", () => requestAnimationFrame(showSelected));
showSelected();
