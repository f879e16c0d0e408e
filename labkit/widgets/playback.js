// A recording as moments to go to. Pure: time comes in, what to show goes out.

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10];

/**
 * Each frame with all that is true at its time: which lanes are shown, and a batch as a kernel tells it. A recording
 * holds only what changed, so this is where a frame gets what it shares with the ones before.
 */
export function unfold(recording) {
  let shown = [];
  let lanes = [];
  let caption = "";
  return recording.frames.map((frame) => {
    if (frame.show) {
      shown = frame.show;
      lanes = shown.map(() => ({}));
    }
    lanes = lanes.map((lane, at) => (frame.lanes?.[at] ? { ...lane, ...frame.lanes[at] } : lane));
    caption = frame.caption ?? caption;
    const dots = (frame.dots ?? []).map(([lane, kind, node, ms]) => [lane, recording.kinds[kind], node, ms / 1000]);
    return { at: frame.at, shown, caption, batch: { at: frame.at, lanes, dots, changes: frame.changes ?? [] } };
  });
}

/** The place of the last frame that is not later than `time`; the first if all are. */
export function frameAt(frames, time) {
  let [low, high] = [0, frames.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (frames[middle].at <= time) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What to mark on the bar: where a caption begins, and where a broker went down or came back. */
export function landmarks(frames) {
  const found = [];
  let caption = "";
  for (const frame of frames) {
    if (frame.caption !== caption) found.push({ at: frame.at, kind: "caption", words: (caption = frame.caption) });
    for (const [broker, state] of frame.batch.changes) {
      if (state === "dead" || state === "running") found.push({ at: frame.at, kind: state, broker });
    }
  }
  return found;
}

/** Where the playing is, and how fast. */
export class Playback {
  constructor(frames) {
    this.frames = frames;
    this.seconds = frames[frames.length - 1].at;
    this.time = 0;
    this.index = 0;
    this.speed = 1;
    this.isPlaying = false;
  }

  get isAtEnd() {
    return this.time >= this.seconds;
  }

  /** Let so many seconds of the page pass. @returns the frames that came meanwhile, each once and in order. */
  advance(elapsed) {
    if (!this.isPlaying) return [];
    const before = this.index;
    this.goTo(this.time + elapsed * this.speed);
    if (this.isAtEnd) this.isPlaying = false;
    return this.frames.slice(before + 1, this.index + 1);
  }

  /** Go to a time, or as near as there is one. */
  goTo(time) {
    this.time = Math.min(Math.max(0, time), this.seconds);
    this.index = frameAt(this.frames, this.time);
  }

  /** Go to the next batch, or with -1 to the one before; from between two, -1 goes to the earlier. */
  step(by) {
    const isBetween = by < 0 && this.time > this.frames[this.index].at;
    const index = isBetween ? this.index : this.index + by;
    this.goTo(this.frames[Math.min(Math.max(0, index), this.frames.length - 1)].at);
  }

  /** The frames of the last `seconds` up to now: what the picture remembers of the past. */
  recent(seconds) {
    const shown = this.frames[this.index].shown;
    const first = frameAt(this.frames, this.time - seconds);
    return this.frames.slice(first, this.index + 1).filter((frame) => frame.shown === shown);
  }
}
