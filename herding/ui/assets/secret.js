element.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  const field = button?.parentElement.querySelector("input");
  if (!field) return;
  field.select();
  let copied = true;
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    copied = document.execCommand("copy"); // the clipboard may be blocked in a frame
  }
  const label = button.textContent;
  button.textContent = copied ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = label), 2000);
});
element.addEventListener("focusin", (event) => event.target.select?.());
watch("value", () =>
  requestAnimationFrame(() => element.querySelector("input") && element.scrollIntoView({ behavior: "smooth", block: "center" })),
);
