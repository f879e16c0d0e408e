// The grid of the guarantees table: its cells, what they show, and how keys and clicks move among them.

import { make, setText } from "./liveness.js";
import { STATE_WORDS, TITLES } from "./flow_numbers.js";
import { aspectTitle, cellSentence, kindName, moved } from "./guarantees_words.js";

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  shown: "M2 6.6 4.9 9.5 10 2.9",
  otherwise: "M2.6 2.6l6.8 6.8M9.4 2.6 2.6 9.4",
  failed: "M6 1.8v5.2M6 9.6v.6",
  play: "M3.6 2.2v7.6L9.8 6z",
  bolt: "M6.9.8 2.8 6.9h2.7L4.9 11.2 9.2 4.9H6.3z",
};

/** A small drawing of 12 by 12. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("class", `lk-gicon lk-g${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** An answer as shape and word: full for yes, half for by hand, hollow for no. */
export function answerMark(answer) {
  const mark = make("span", "lk-ganswer");
  mark.dataset.answer = answer;
  mark.append(make("span", "lk-gshape"), make("span", "lk-gword", answer));
  return mark;
}

/** The mark of what came of an experiment. */
export function outcomeMark(state) {
  const mark = make("span", "lk-gmark");
  showOutcome(mark, state);
  return mark;
}

function showOutcome(mark, state) {
  if (mark.dataset.state === state) return;
  mark.dataset.state = state;
  mark.replaceChildren(...(ICONS[state] ? [icon(state)] : state ? [] : [icon("play")]));
}

/** One claim, and what came of it. */
class ClaimCell {
  constructor(group, kind, claim) {
    Object.assign(this, { group, kind, claim, trial: null });
    this.root = make("td", "lk-gcell");
    this.root.setAttribute("role", "gridcell");
    this.root.dataset.aspect = claim.aspect;
    this.root.dataset.at = kind.at;
    this.mark = outcomeMark("");
    const row = make("span", "lk-gcellrow");
    row.append(answerMark(claim.answer), this.mark);
    this.root.append(row);
    if (claim.kills) this.root.append(icon("bolt"));
    if (group.remedy) this.root.setAttribute("aria-disabled", "true");
    this.show(null);
  }

  get name() {
    return kindName(this.group.broker, this.kind.channel);
  }

  /** @returns whether something new has come of it. */
  show(trial) {
    const state = trial?.state ?? "";
    const isNew = (this.trial?.state ?? "") !== state;
    this.trial = trial;
    this.root.dataset.state = state;
    this.root.setAttribute("aria-busy", state === "running");
    showOutcome(this.mark, state);
    const sentence = this.sentence();
    if (this.root.getAttribute("aria-label") !== sentence) this.root.setAttribute("aria-label", sentence);
    return isNew;
  }

  sentence() {
    const { claim, trial, kind, group } = this;
    return cellSentence({ broker: group.broker, channel: kind.channel, claim, trial, isMissing: !!group.remedy });
  }
}

/** The first cell of a row: the kind's name, and what runs all of it. */
class KindCell {
  constructor(group, kind) {
    Object.assign(this, { group, kind, claim: null });
    this.root = make("th", "lk-gkind");
    this.root.setAttribute("role", "rowheader");
    this.root.scope = "row";
    this.root.dataset.at = kind.at;
    this.button = make("button", "lk-grun");
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.title = `Run all of ${this.name}`;
    this.button.setAttribute("aria-label", this.button.title);
    this.button.disabled = !!group.remedy;
    this.button.append(icon("play"));
    const line = make("span", "lk-gkindrow");
    line.append(make("span", "lk-gkindname", kind.channel), this.button);
    this.root.append(line);
  }

  get name() {
    return kindName(this.group.broker, this.kind.channel);
  }
}

export class GuaranteesGrid {
  /** `onChoose(cell)` is called when a cell gets the focus, `onRun(cell)` when it is clicked or entered. */
  constructor({ aspects, groups, onChoose, onRun }) {
    Object.assign(this, { aspects, onChoose, onRun, chosen: null });
    this.rows = [];
    this.heads = {};
    this.root = make("table", "lk-gtable");
    this.root.setAttribute("role", "grid");
    this.root.setAttribute("aria-label", "What each kind of channel promises");
    this.root.append(this.makeHead(), ...groups.map((group) => this.makeGroup(group)));
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    this.root.addEventListener("click", (event) => this.clicked(event));
    this.root.addEventListener("focusin", (event) => this.focused(event));
    if (this.rows.length) this.rows[0][1].root.tabIndex = 0;
  }

  makeHead() {
    const row = make("tr", "lk-ghead");
    const corner = make("th", "lk-gcorner", "Channel");
    corner.scope = "col";
    this.columns = this.aspects.map(({ name, question }) => {
      const head = make("th", "lk-gcolumn", aspectTitle(name));
      head.scope = "col";
      head.title = question;
      return head;
    });
    row.append(corner, ...this.columns);
    const head = make("thead", "");
    head.append(row);
    return head;
  }

  makeGroup(group) {
    const body = make("tbody", "lk-ggroup");
    body.dataset.broker = group.broker;
    body.dataset.state = group.remedy ? "missing" : "waiting";
    body.append(this.makeGroupHead(group), ...group.kinds.map((kind) => this.makeRow(group, kind)));
    return body;
  }

  makeGroupHead(group) {
    const row = make("tr", "lk-gbroker");
    const cell = make("th", "lk-gbrokercell");
    cell.scope = "rowgroup";
    cell.colSpan = this.aspects.length + 1;
    const line = make("span", "lk-gbrokerline");
    const state = make("span", "lk-gbrokerstate");
    line.append(make("span", "lk-mark"), make("span", "lk-gbrokername", TITLES[group.broker] ?? group.broker));
    if (group.version) line.append(make("span", "lk-gversion", group.version));
    line.append(state);
    if (group.remedy) setText(state, `not on this machine. To get it: ${group.remedy}`);
    cell.append(line);
    row.append(cell);
    this.heads[group.broker] = { row, state, isMissing: !!group.remedy };
    return row;
  }

  makeRow(group, kind) {
    const row = make("tr", "lk-grow");
    const claims = Object.fromEntries(kind.claims.map((claim) => [claim.aspect, claim]));
    const cells = this.aspects.map(({ name }) => new ClaimCell(group, kind, claims[name]));
    const all = [new KindCell(group, kind), ...cells];
    for (const cell of all) cell.root.tabIndex = -1;
    row.append(...all.map((cell) => cell.root));
    this.rows.push(all);
    return row;
  }

  /** All cells with a claim. */
  get cells() {
    return this.rows.flatMap(([, ...cells]) => cells);
  }

  /** Show what came of the experiments, and how the brokers do; @returns the cells with something new. */
  show({ cells, brokers }) {
    const trials = new Map(cells.map((trial) => [`${trial.at} ${trial.aspect}`, trial]));
    for (const [broker, state] of Object.entries(brokers)) this.showBroker(broker, state);
    return this.cells.filter((cell) => cell.show(trials.get(`${cell.kind.at} ${cell.claim.aspect}`) ?? null));
  }

  showBroker(broker, state) {
    const head = this.heads[broker];
    if (!head || head.isMissing) return;
    head.row.parentElement.dataset.state = state;
    setText(head.state, state === "running" ? "" : (STATE_WORDS[state] ?? state));
  }

  placeOf(target) {
    const root = target.closest?.("[role=gridcell], [role=rowheader]");
    for (const [row, cells] of this.rows.entries()) {
      const column = cells.findIndex((cell) => cell.root === root);
      if (column >= 0) return { row, column, cell: cells[column] };
    }
    return null;
  }

  pressed(event) {
    const place = this.placeOf(event.target);
    if (!place || event.altKey || event.metaKey) return;
    const to = moved(event.key, event.ctrlKey, place, this.rows.length, this.aspects.length + 1);
    if (to) this.rows[to.row][to.column].root.focus();
    else if (event.key === "Enter" || event.key === " ") this.onRun(place.cell);
    else return;
    event.preventDefault();
  }

  clicked(event) {
    const place = this.placeOf(event.target);
    if (!place) return;
    place.cell.root.focus({ preventScroll: true });
    if (place.cell.claim || event.target.closest("button")) this.onRun(place.cell);
  }

  focused(event) {
    const place = this.placeOf(event.target);
    if (!place || place.cell === this.chosen) return;
    for (const cell of this.rows.flat()) {
      cell.root.tabIndex = cell === place.cell ? 0 : -1;
      cell.root.setAttribute("aria-selected", cell === place.cell);
    }
    this.columns.forEach((head, at) => head.toggleAttribute("data-chosen", at === place.column - 1));
    this.chosen = place.cell;
    this.onChoose(place.cell);
  }
}
