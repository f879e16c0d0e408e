// The words and the moves of the guarantees table, without a page.

import { TITLES } from "./flow_numbers.js";

export const OUTCOME_WORDS = {
  "": "not tried yet",
  waiting: "waits its turn",
  running: "runs now",
  shown: "the broker showed what is claimed",
  otherwise: "the broker showed something else",
  failed: "the experiment failed",
};

// Where a column's head may break.
const SOFT = {
  acknowledgement: "Acknowl\u00adedgement",
  backpressure: "Back\u00adpressure",
  persistence: "Persist\u00adence",
  redelivery: "Redeliv\u00adery",
  duplicates: "Dupli\u00adcates",
};

/** What stands above a column. */
export function aspectTitle(name) {
  return SOFT[name] ?? capitalized(name);
}

export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How a sentence calls a kind of channel. */
export function kindName(broker, channel) {
  return `${TITLES[broker] ?? broker} ${channel}`;
}

/** What a screen reader says of a cell. `trial` is what came of it so far, if anything. */
export function cellSentence({ broker, channel, claim, trial, isMissing }) {
  const said = [`${kindName(broker, channel)}, ${claim.aspect}: claimed ${claim.answer}`];
  if (isMissing) said.push("this machine lacks the broker");
  else if (trial?.state === "shown") said.push(`seen ${trial.answer}, as claimed`);
  else if (trial?.state === "otherwise") said.push(`seen ${trial.answer}, not what is claimed`);
  else said.push(OUTCOME_WORDS[trial?.state ?? ""]);
  if (claim.kills) said.push("the experiment kills the broker");
  return `${said.join("; ")}.`;
}

/** How far a run is: "37 of 121", with how it stands if it runs no more. */
export function progressWords({ done, total, busy, stopped }) {
  if (!total) return "";
  if (busy) return `${done} of ${total}`;
  return stopped ? `stopped after ${done} of ${total}` : `${done} of ${total} done`;
}

/** How many cells came out in which way, in words; nothing if none was tried. */
export function tallyWords(trials) {
  const count = (state) => trials.filter((trial) => trial.state === state).length;
  const [shown, otherwise, failed] = ["shown", "otherwise", "failed"].map(count);
  if (!shown && !otherwise && !failed) return [];
  return [
    ["shown", `${shown} as claimed`],
    ...(otherwise ? [["otherwise", `${otherwise} otherwise`]] : []),
    ...(failed ? [["failed", `${failed} failed`]] : []),
  ];
}

/** Where a key leads from a place in a grid of `rows` by `columns`; null if the key does not move. */
export function moved(key, isCtrl, { row, column }, rows, columns) {
  const to = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [isCtrl ? 0 : row, 0],
    End: [isCtrl ? rows - 1 : row, columns - 1],
    PageUp: [0, column],
    PageDown: [rows - 1, column],
  }[key];
  if (!to) return null;
  return { row: Math.min(Math.max(to[0], 0), rows - 1), column: Math.min(Math.max(to[1], 0), columns - 1) };
}
