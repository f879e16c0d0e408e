// A recording on a page: the picture as it was at any moment, and the controls that choose the moment.

import { glyph } from "./flow_lane.js";
import { STATE_WORDS, TITLES, formatCount } from "./flow_numbers.js";
import { FlowView } from "./flow_view.js";
import { make, setText } from "./liveness.js";
import { Playback, SPEEDS, landmarks, unfold } from "./playback.js";

// As long as a lane says "ready in ..." after a restart; all else it remembers is shorter.
const MEMORY_SECONDS = 6;
// A page that was frozen or hidden goes on where it was.
const LONGEST_STEP = 0.25;
const ICONS = {
  play: "M8 5.5v13l10.5-6.5z",
  pause: "M9 6v12M15 6v12",
  back: "M17 6l-8 6 8 6zM6.5 6v12",
  forward: "M7 6l8 6-8 6zM17.5 6v12",
};

/** Plays one recording in `el`; `keys` is whose keys it hears beside its own: the whole page's, or nobody's. */
export class PlayerView {
  constructor(el, recording, { keys = null } = {}) {
    this.playback = new Playback(unfold(recording));
    this.now = 0;
    this.frame = 0;
    this.isSeen = true;
    const time = { now: () => this.now, isRunning: () => false }; // the player draws, also while nothing moves
    const lanes = this.playback.frames[0].shown;
    const fitted = () => this.playback.isPlaying || this.showMoment();
    this.view = new FlowView(el, { title: recording.title, lanes, time, fitted });
    this.root = this.view.root;
    this.root.classList.add("lk-player");
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", `Recording ${recording.title}`.trim());
    this.caption = make("p", "lk-caption");
    this.caption.setAttribute("aria-live", "polite");
    this.view.bar.after(this.makeControls(), this.caption);
    this.root.append(make("p", "lk-about", aboutWords(recording)));
    this.listen(keys);
    this.seek(0);
  }

  makeControls() {
    const bar = make("div", "lk-transport");
    this.play = this.makeButton("play", () => this.toggle());
    const back = this.makeButton("back", () => this.step(-1), "One batch back");
    const forward = this.makeButton("forward", () => this.step(1), "One batch forward");
    bar.append(this.play, back, forward, this.makeScrub(), (this.clock = make("span", "lk-clock")), this.makeSpeed());
    return bar;
  }

  makeButton(icon, act, label = "") {
    const button = make("button", `lk-button lk-icon lk-${icon}`);
    button.type = "button";
    button.append(glyph(ICONS[icon]));
    if (label) Object.assign(button, { title: label, ariaLabel: label });
    button.addEventListener("click", act);
    return button;
  }

  makeScrub() {
    const scrub = make("span", "lk-scrub");
    const range = (this.range = make("input", "lk-range"));
    Object.assign(range, { type: "range", min: 0, max: Math.round(1000 * this.playback.seconds), step: 1, ariaLabel: "Time" });
    range.addEventListener("input", () => this.seek(Number(range.value) / 1000));
    scrub.append(range, ...landmarks(this.playback.frames).map((one) => this.makeLandmark(one)));
    return scrub;
  }

  makeLandmark({ at, kind, broker, words }) {
    const mark = make("span", `lk-landmark lk-landmark-${kind}`);
    if (broker) mark.dataset.broker = broker;
    mark.title = words ?? `${TITLES[broker] ?? broker} is ${STATE_WORDS[kind]}`;
    mark.style.setProperty("--lk-at", String(this.playback.seconds ? at / this.playback.seconds : 0));
    return mark;
  }

  makeSpeed() {
    const label = make("label", "lk-speed");
    const select = make("select", "lk-select");
    for (const speed of SPEEDS) select.append(new Option(`${speed}×`, String(speed), false, speed === 1));
    select.addEventListener("change", () => (this.playback.speed = Number(select.value)));
    label.append(make("span", "lk-sliderlabel", "Speed"), select);
    return label;
  }

  listen(keys) {
    this.pressed = (event) => this.press(event);
    this.hearing = [this.root, keys].filter(Boolean);
    for (const one of this.hearing) one.addEventListener("keydown", this.pressed);
    this.sight = new IntersectionObserver((entries) => {
      this.isSeen = entries[entries.length - 1].isIntersecting;
      this.run();
    });
    this.sight.observe(this.root);
  }

  press(event) {
    const isOwnKey = event.target.closest?.("select") || (event.key === " " && event.target.closest?.("button"));
    if (isOwnKey || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      Home: () => this.seek(0),
      End: () => this.seek(this.playback.seconds),
    };
    if (!Object.hasOwn(acts, event.key)) return;
    event.preventDefault();
    acts[event.key]();
  }

  toggle() {
    const { playback } = this;
    if (!playback.isPlaying && playback.isAtEnd) this.seek(0);
    playback.isPlaying = !playback.isPlaying;
    this.showControls();
    this.run();
  }

  step(by) {
    this.playback.isPlaying = false;
    this.playback.step(by);
    this.showMoment();
  }

  /** Show the picture as it was at this time. */
  seek(time) {
    this.playback.goTo(time);
    this.showMoment();
  }

  /** What is shown depends on the time alone, not on the way to it: the last seconds are told anew. */
  showMoment() {
    const { playback, view } = this;
    const frame = playback.frames[playback.index];
    if (view.declared !== frame.shown) view.build(frame.shown);
    view.reset();
    for (const one of playback.recent(MEMORY_SECONDS)) this.showFrame(one);
    this.now = playback.time;
    view.draw();
    view.describe();
    this.showControls();
  }

  showFrame(frame) {
    const { view } = this;
    if (view.declared !== frame.shown) view.build(frame.shown);
    this.now = frame.at;
    for (const lane of view.lanes) lane.motion.advance(this.now);
    view.showBatch(frame.batch);
  }

  run() {
    if (!this.playback.isPlaying || !this.isSeen || this.frame) return;
    let last = performance.now();
    const next = (at) => {
      const elapsed = Math.min(LONGEST_STEP, Math.max(0, at - last) / 1000);
      last = at;
      for (const frame of this.playback.advance(elapsed)) this.showFrame(frame);
      this.now = this.playback.time;
      this.view.draw();
      this.showControls();
      this.frame = this.playback.isPlaying && this.isSeen ? requestAnimationFrame(next) : 0;
    };
    this.frame = requestAnimationFrame(next);
  }

  showControls() {
    const { playback } = this;
    const words = `${playback.time.toFixed(1)} of ${playback.seconds.toFixed(1)} s`;
    this.root.dataset.playing = String(playback.isPlaying);
    this.showPlay(playback.isPlaying ? "pause" : "play");
    this.range.value = String(Math.round(1000 * playback.time));
    this.range.style.setProperty("--lk-filled", `${playback.seconds ? (100 * playback.time) / playback.seconds : 0}%`);
    this.range.setAttribute("aria-valuetext", words);
    setText(this.clock, words);
    setText(this.caption, playback.frames[playback.index].caption);
  }

  showPlay(icon) {
    if (this.play.dataset.icon === icon) return;
    this.play.dataset.icon = icon;
    this.play.replaceChildren(glyph(ICONS[icon]));
    Object.assign(this.play, { title: icon === "play" ? "Play" : "Pause", ariaLabel: icon === "play" ? "Play" : "Pause" });
  }

  stop() {
    cancelAnimationFrame(this.frame);
    for (const one of this.hearing) one.removeEventListener("keydown", this.pressed);
    this.sight.disconnect();
    this.view.stop();
  }
}

/** On what it was recorded, when, and what is not in it. */
export function aboutWords({ brokers, recorded, left_out: leftOut }) {
  const versions = Object.entries(brokers).map(([broker, version]) => `${TITLES[broker] ?? broker} ${version}`);
  const parts = [`Recorded on ${[recorded, versions.join(", ")].filter(Boolean).join(" with ")}.`];
  if (leftOut.dots) parts.push(`${formatCount(leftOut.dots)} dots were left out; the numbers have them.`);
  if (leftOut.batches) parts.push(`What came after the end, ${formatCount(leftOut.batches)} batches, was left out.`);
  return parts.join(" ");
}
