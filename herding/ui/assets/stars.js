const field = element.querySelector("fieldset");
const radios = [...element.querySelectorAll("input")];
const clear = element.querySelector("button");

const paint = () => {
  const stars = Number(props.value) || 0;
  field.disabled = !props.enabled;
  radios.forEach((radio) => {
    radio.checked = Number(radio.value) === stars;
    radio.parentElement.classList.toggle("lit", Number(radio.value) <= stars);
  });
  clear.hidden = !stars || !props.enabled;
};
const give = (stars) => {
  props.value = stars;
  paint();
  trigger("rate");
};

element.addEventListener("change", (event) => give(Number(event.target.value)));
clear.addEventListener("click", () => {
  give(0);
  radios[0].focus();
});
watch(["value", "enabled"], paint);
paint();
