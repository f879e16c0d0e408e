// The source of each recipe in a column, and two switches: all side by side or one wide, and with the lab's
// channels or with the broker's plain client.

const ALL = "all";
const CODES = [
  ["lab", "The lab's recipe"],
  ["plain", "Plain client"],
];

/** Make an element with a class and, if given, a text. */
function make(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

/** Make one part of a line, which may be wrapped after a dot or an opening bracket. */
function makePart(name, part) {
  const element = make("span", `lk-tok-${name || "none"}`, part);
  if ((name === "o" || name === "p") && /[.([{]$/.test(part)) element.append(document.createElement("wbr"));
  return element;
}

/** Make a line of source; its indent is kept when it is wrapped. */
function makeLine(parts) {
  const line = make("span", "lk-rline");
  const text = parts.map(([, part]) => part).join("");
  line.style.setProperty("--lk-indent", `${text.length - text.trimStart().length}ch`);
  for (const [name, part] of parts) line.append(makePart(name, part));
  line.append("\n"); // so that what is copied has its lines
  return line;
}

/** Make one broker's column: its name, what it uses, what it had to build, its source. */
function makeColumn(recipe) {
  const column = make("section", "lk-recipe");
  column.dataset.broker = recipe.broker;
  column.setAttribute("aria-label", recipe.title);
  const head = make("h4", "lk-rhead");
  head.append(make("span", "lk-mark"), make("span", "lk-rtitle", recipe.title));
  column.append(head);
  if (recipe.native) column.append(make("p", "lk-rnote", `Uses: ${recipe.native}.`));
  if (recipe.built) column.append(make("p", "lk-rnote", `Built here: ${recipe.built}.`));
  column.append(makeSource("lab", recipe.lines));
  if (recipe.plain.length) column.append(makeSource("plain", recipe.plain));
  return column;
}

/** Make the source that is shown when the switch says so. */
function makeSource(code, lines) {
  const source = make("pre", "lk-rsource");
  source.dataset.code = code;
  source.append(...lines.map(makeLine));
  return source;
}

/** Make a switch: a group of choices under a name that is read out. */
function makeSwitch(legend, ...choices) {
  const fieldset = make("fieldset", "lk-rswitch");
  fieldset.append(make("legend", "lk-unseen", legend), ...choices);
  return fieldset;
}

/** Make one place of the switch: a radio button that looks like a tab. */
function makeChoice(group, value, title, choose, first) {
  const label = make("label", "lk-rchoice");
  const radio = make("input", "lk-rradio");
  radio.type = "radio";
  radio.name = group;
  radio.value = value;
  radio.checked = value === first;
  radio.addEventListener("change", () => choose(value));
  label.append(radio, make("span", "lk-rname", title));
  return label;
}

let groups = 0;

function render({ model, el }) {
  const group = `labkit-recipes-${groups++}`;
  const recipes = model.get("recipes");
  const root = make("div", "labkit lk-recipes");
  const columns = recipes.map(makeColumn);
  const choose = (chosen) => {
    root.dataset.shown = chosen === ALL ? "all" : "one";
    for (const column of columns) column.hidden = chosen !== ALL && chosen !== column.dataset.broker;
  };
  const choices = [[ALL, "Side by side"], ...recipes.map(({ broker, title }) => [broker, title])];
  const switches = make("div", "lk-rswitches");
  switches.append(
    makeSwitch("Which recipes to show", ...choices.map(([value, title]) => makeChoice(group, value, title, choose, ALL))),
  );
  const command = model.get("command");
  const read = (code) => {
    for (const source of root.querySelectorAll(".lk-rsource")) source.hidden = source.dataset.code !== code;
    told.hidden = code !== "plain";
  };
  const told = make("p", "lk-rnote", "A script for each: ");
  told.append(make("code", "lk-rcommand", command));
  if (command)
    switches.append(
      makeSwitch("Which code to show", ...CODES.map(([value, title]) => makeChoice(`${group}-code`, value, title, read, "lab"))),
      told,
    );

  const frame = make("div", "lk-rframe");
  frame.append(...columns);
  root.append(switches, frame);
  // In command mode JupyterLab takes arrow keys and letters for itself; here they choose.
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") event.stopPropagation();
  });
  choose(ALL);
  read("lab");
  el.append(root);
}

export default { render };
