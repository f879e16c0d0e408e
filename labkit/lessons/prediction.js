// One question, its answers as radio buttons or a field for a number, and a line that answers.

/** Make an element with a class and, if given, a text. */
function make(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = `labkit-prediction-${name}`;
  element.textContent = text;
  return element;
}

/** Make one answer: a radio button with its label. */
function makeChoice(choice, group, choose) {
  const label = make("label", "choice");
  const radio = make("input", "radio");
  radio.type = "radio";
  radio.name = group;
  radio.value = choice;
  radio.addEventListener("change", () => choose(choice));
  label.append(radio, make("span", "text", choice));
  return label;
}

/** Make a field for a number, with a button; Enter commits, too. */
function makeField(choose) {
  const form = make("form", "form");
  const field = make("input", "number");
  field.type = "number";
  field.step = "any";
  field.setAttribute("aria-label", "Your number");
  form.append(field, make("button", "commit", "That is my answer"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    choose(field.value);
  });
  return form;
}

let groups = 0;

function render({ model, el }) {
  const group = `labkit-prediction-${groups++}`;
  const root = make("fieldset", "root");
  const feedback = make("p", "feedback");
  feedback.setAttribute("aria-live", "polite");

  const choose = (choice) => model.send({ choice });
  const answers =
    model.get("kind") === "number"
      ? [makeField(choose)]
      : model.get("choices").map((choice) => makeChoice(choice, group, choose));
  root.append(make("legend", "question", model.get("question")), ...answers, feedback);

  const show = () => {
    const chosen = model.get("chosen");
    for (const radio of root.querySelectorAll("[type=radio]")) radio.checked = radio.value === chosen;
    for (const field of root.querySelectorAll("[type=number]")) field.value = chosen || field.value;
    feedback.textContent = model.get("feedback");
    feedback.hidden = !model.get("feedback");
  };
  // In command mode JupyterLab takes arrow keys and letters for itself; here they choose an answer.
  const keepKeys = (event) => {
    if (event.key !== "Escape") event.stopPropagation();
  };
  root.addEventListener("keydown", keepKeys);
  model.on("change:chosen change:feedback", show);
  show();
  el.append(root);
  return () => model.off("change:chosen change:feedback", show);
}

export default { render };
