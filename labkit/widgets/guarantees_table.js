// What each kind of channel promises; a click on a cell runs its experiment on the real broker.

import { LIFE_WORDS, keepAlive, keepKeys, make, setText } from "./liveness.js";
import { GuaranteesGrid, answerMark, icon, outcomeMark } from "./guarantees_grid.js";
import { OUTCOME_WORDS, capitalized, progressWords, tallyWords } from "./guarantees_words.js";

const KILLS = "This experiment kills the broker with SIGKILL and starts it again. Whatever else uses it notices.";
const HINT = "Choose a cell to see what is claimed and the code that shows it. A click, or Enter, runs that code on the real broker.";

function button(words, name, onClick) {
  const made = make("button", `lk-button ${name}`);
  made.type = "button";
  made.append(icon("play"), words);
  made.addEventListener("click", onClick);
  return made;
}

/** Below the table: all about the chosen cell. */
class Panel {
  constructor(questions, onRun) {
    this.questions = questions;
    this.root = make("section", "lk-gpanel");
    this.root.setAttribute("aria-label", "The chosen cell");
    this.hint = make("p", "lk-ghint", HINT);
    this.facts = make("div", "lk-gfacts");
    this.code = make("pre", "lk-gsource");
    this.code.tabIndex = 0;
    this.code.setAttribute("aria-label", "The experiment's source");
    this.runOne = button("Run it", "lk-grunone", () => onRun(this.cell));
    this.runRow = button("Run this row", "lk-grunrow", () => onRun({ ...this.cell, kind: this.cell.kind, claim: null }));
    this.show(null);
  }

  /** Show this cell as it is now. */
  show(cell) {
    this.cell = cell;
    if (!cell) return this.root.replaceChildren(this.hint);
    this.root.dataset.broker = cell.group.broker;
    const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    this.facts.replaceChildren(...this.factsOf(cell), this.buttonsOf(cell));
    setText(this.code, cell.claim?.source ?? "");
    if (!this.facts.isConnected) this.root.replaceChildren(this.facts, this.code);
    this.code.hidden = !cell.claim;
    focused?.focus();
    return null;
  }

  factsOf({ name, kind, claim, trial, group }) {
    const title = make("h4", "lk-gtitle");
    title.append(make("span", "lk-mark"), claim ? `${name}: ${claim.aspect}` : name);
    const facts = [title];
    if (claim) facts.push(make("p", "lk-gquestion", this.questions[claim.aspect]));
    facts.push(claim ? this.lines(claim, trial, group) : make("p", "lk-gquestion", versions(kind)));
    if (claim?.kills) {
      const warning = make("p", "lk-gkills");
      warning.append(icon("bolt"), KILLS);
      facts.push(warning);
    }
    return facts;
  }

  lines(claim, trial, group) {
    const lines = make("dl", "lk-glines");
    const add = (term, ...details) => {
      const detail = make("dd", "");
      detail.append(...details);
      lines.append(make("dt", "", term), detail);
    };
    add("Claimed", answerMark(claim.answer), make("span", "lk-gwords", claim.words));
    const state = group.remedy ? "missing" : (trial?.state ?? "");
    if (state === "missing") add("Seen", make("span", "lk-gnone", `This machine lacks it. To get it: ${group.remedy}`));
    else if (state === "failed") add("Seen", outcomeMark(state), make("span", "lk-gfailure", trial.error));
    else if (state === "shown" || state === "otherwise") {
      add("Seen", answerMark(trial.answer), make("span", "lk-gwords", trial.words));
      const verdict = make("span", "lk-gverdict", capitalized(OUTCOME_WORDS[state]));
      verdict.dataset.state = state;
      verdict.prepend(outcomeMark(state));
      add("", verdict);
    } else add("Seen", make("span", "lk-gnone", capitalized(OUTCOME_WORDS[state])));
    return lines;
  }

  buttonsOf({ claim, trial, group }) {
    const line = make("div", "lk-gbuttons");
    const isUnderWay = trial?.state === "running" || trial?.state === "waiting";
    this.runOne.disabled = isUnderWay || !!group.remedy;
    this.runOne.lastChild.textContent = trial?.answer || trial?.error ? "Run it again" : "Run it";
    this.runRow.disabled = !!group.remedy;
    line.append(...(claim ? [this.runOne, this.runRow] : [this.runRow]));
    return line;
  }
}

function versions({ since, shown_on: shownOn }) {
  return `The claims hold since version ${since}, and were last shown on ${shownOn}.`;
}

/** Above the table: what the shapes mean, what runs all, and how far it is. */
class Bar {
  constructor(onRunAll, onStop) {
    this.root = make("div", "lk-gbar");
    this.runAll = button("Run all", "lk-grunall", onRunAll);
    this.stop = make("button", "lk-button lk-gstop", "Stop");
    this.stop.type = "button";
    this.stop.title = "Try nothing more; the experiment that runs comes to its end";
    this.stop.addEventListener("click", onStop);
    this.progress = make("span", "lk-gprogress");
    this.progress.setAttribute("role", "progressbar");
    this.progress.setAttribute("aria-label", "Experiments");
    this.filled = make("span", "lk-gfilled");
    this.progress.append(this.filled);
    this.count = make("span", "lk-gcount");
    this.tally = make("span", "lk-gtally");
    this.life = make("span", "lk-life");
    this.root.append(this.runAll, this.stop, this.progress, this.count, this.tally, this.life);
    this.show({ done: 0, total: 0, busy: false, stopped: false, cells: [] });
  }

  show(news) {
    const share = news.total ? news.done / news.total : 0;
    this.progress.hidden = !news.busy;
    this.progress.setAttribute("aria-valuemax", news.total);
    this.progress.setAttribute("aria-valuenow", news.done);
    this.filled.style.width = `${100 * share}%`;
    this.stop.disabled = !news.busy;
    this.runAll.disabled = news.busy;
    setText(this.count, news.busy || news.stopped ? progressWords(news) : "");
    const tally = tallyWords(news.cells);
    const words = tally.map(([, told]) => told).join();
    if (this.told === words) return;
    this.told = words;
    this.tally.replaceChildren(...tally.map(([state, told]) => {
      const part = make("span", "lk-gtold");
      part.append(outcomeMark(state), told);
      return part;
    }));
  }
}

function legend() {
  const root = make("div", "lk-glegend");
  const add = (sign, words) => {
    const part = make("span", "lk-glegendpart");
    part.append(sign, ...(words ? [words] : []));
    root.append(part);
  };
  add(answerMark("yes"), "– the broker does it");
  add(answerMark("by hand"), "– a program does, with its parts");
  add(answerMark("no"), "– nobody does");
  add(outcomeMark("shown"), "seen as claimed");
  add(outcomeMark("otherwise"), "seen otherwise");
  add(icon("bolt"), "kills the broker");
  return root;
}

function render({ model, el }) {
  const root = make("div", "labkit lk-guarantees");
  const frame = make("div", "lk-gframe");
  const error = make("p", "lk-error");
  const news = make("p", "lk-unseen");
  error.setAttribute("role", "alert");
  news.setAttribute("aria-live", "polite");

  const run = (cell) => {
    if (cell.group.remedy || root.dataset.life === "stopped") return;
    alive.send({ type: "run", at: cell.kind.at, ...(cell.claim ? { aspect: cell.claim.aspect } : {}) });
  };
  const bar = new Bar(() => alive.send({ type: "run" }), () => alive.send({ type: "stop" }));
  const questions = Object.fromEntries(model.get("aspects").map(({ name, question }) => [name, question]));
  const panel = new Panel(questions, run);
  const grid = new GuaranteesGrid({
    aspects: model.get("aspects"),
    groups: model.get("groups"),
    onChoose: (cell) => panel.show(cell),
    onRun: run,
  });
  frame.append(grid.root);
  root.append(bar.root, frame, legend(), panel.root, error, news);
  el.append(root);

  let wasBusy = false;
  const show = (message) => {
    const changed = grid.show(message);
    bar.show(message);
    const isChosen = changed.includes(grid.chosen);
    if (isChosen) panel.show(grid.chosen);
    if (isChosen && grid.chosen.trial) setText(news, grid.chosen.sentence());
    else if (wasBusy && !message.busy) setText(news, progressWords(message));
    wasBusy = message.busy;
  };
  const alive = keepAlive({
    model,
    root,
    onLife: (word) => {
      root.dataset.life = word;
      const isOver = word === "stopped" || word === "gone";
      for (const part of [bar.runAll, bar.stop, panel.root]) part.toggleAttribute("inert", isOver);
      setText(bar.life, LIFE_WORDS[word]);
    },
    onVisible: () => {},
  });
  const received = (message) => {
    alive.heard(message.type === "stopped");
    if (message.type === "error") setText(error, message.text);
    if (message.type === "table") show(message);
  };
  model.on("msg:custom", received);
  keepKeys(root);
  return () => {
    model.off("msg:custom", received);
    alive.stop();
    root.remove();
  };
}

export default { render };
