// Sliders, each with its value; the kernel has the last word on where one stands.

/** Make an element with a class and, if given, a text. */
function make(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

/** Return a value as it is read: no more digits than the step has, and the unit. */
function told(value, scale) {
  const digits = (String(scale.step).split(".")[1] ?? "").length;
  return `${Number(value).toFixed(digits)} ${scale.unit}`.trim();
}

/** Make one slider; `turn` is called with each value it is moved to. Returns it, and how to show a value. */
function makeDial(scale, turn) {
  const label = make("label", "lk-dial");
  const slider = make("input", "lk-dslider");
  const output = make("output", "lk-dvalue");
  slider.type = "range";
  [slider.min, slider.max, slider.step] = [scale.low, scale.high, scale.step];
  label.append(make("span", "lk-dlabel", scale.label), slider, output);

  let isHeld = false;
  const write = (value) => {
    output.textContent = told(value, scale);
    slider.setAttribute("aria-valuetext", output.textContent);
  };
  const show = (value) => {
    if (isHeld) return; // an echo of where it was must not pull it from under the hand
    slider.value = value;
    write(value);
  };
  slider.addEventListener("pointerdown", () => (isHeld = true));
  for (const end of ["pointerup", "pointercancel", "blur"]) slider.addEventListener(end, () => (isHeld = false));
  slider.addEventListener("input", () => {
    write(slider.value);
    turn(Number(slider.value));
  });
  return { label, show };
}

function render({ model, el }) {
  const root = make("div", "labkit lk-dials");
  const error = make("p", "lk-error");
  error.setAttribute("role", "status");
  const scales = model.get("scales");
  const dials = scales.map((scale) =>
    makeDial(scale, (value) => model.send({ label: scale.label, value })),
  );
  root.append(...dials.map((dial) => dial.label), error);

  const show = () => {
    scales.forEach((scale, at) => dials[at].show(model.get("values")[scale.label]));
    error.textContent = model.get("error");
  };
  // In command mode JupyterLab takes arrow keys for itself; here they turn a dial.
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") event.stopPropagation();
  });
  model.on("change:values change:error", show);
  show();
  el.append(root);
  return () => model.off("change:values change:error", show);
}

export default { render };
