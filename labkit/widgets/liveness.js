// What every live widget's page does: say that it is there, notice when the kernel is not, keep keys and theme.

const WATCH_MS = 2000;
const LOOK_MS = 500;
const BUSY_MS = 2500;

export const LIFE_WORDS = {
  waiting: "connecting",
  live: "live",
  busy: "kernel busy",
  gone: "kernel gone – run the cell again",
  stopped: "stopped",
};

/** Make an element with a class and, if given, a text. */
export function make(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  if (text) element.textContent = text;
  return element;
}

/** Write only what changed: most of what is written twenty times a second is the same. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The word for what the kernel does, from what is known of it. */
export function lifeOf({ isGone, isStopped, heardAt, watchedAt, now }) {
  if (isGone) return "gone";
  if (isStopped) return "stopped";
  if (now - Math.max(heardAt, watchedAt) > BUSY_MS) return "busy";
  return heardAt ? "live" : "waiting";
}

/**
 * Tell the kernel that a page shows this widget, as long as somebody can see it.
 * `onLife(word)` is called when the kernel falls silent, comes back, or is gone; `onVisible(isVisible)` when the
 * widget comes into sight or leaves it. Returns what to send with, and what to call for each message and at the
 * end.
 */
export function keepAlive({ model, root, onLife, onVisible }) {
  const known = { isGone: false, isStopped: false, heardAt: 0, watchedAt: performance.now() };
  let isVisible = true;
  let isNew = true;
  let life = "";

  const look = () => {
    const word = lifeOf({ ...known, now: performance.now() });
    if (isVisible && word !== life) onLife((life = word));
  };
  // The line to the widget in the kernel is cut when the kernel ends; then sending throws.
  const send = (message) => {
    try {
      model.send(message);
      known.isGone = false;
    } catch {
      known.isGone = true;
    }
    look();
    return !known.isGone;
  };
  const watch = () => {
    if (isVisible && !known.isStopped && send({ type: "watching", new: isNew })) isNew = false;
  };
  const appear = (isNow) => {
    if (isNow === isVisible) return;
    isVisible = isNow;
    isNew = true;
    known.watchedAt = performance.now();
    watch();
    onVisible(isVisible);
  };
  let inSight = true;
  const update = () => appear(inSight && !document.hidden);
  const sight = new IntersectionObserver((entries) => {
    inSight = entries[entries.length - 1].isIntersecting;
    update();
  });
  sight.observe(root);
  document.addEventListener("visibilitychange", update);
  model.on("comm_live_update", watch);
  const timers = [setInterval(watch, WATCH_MS), setInterval(look, LOOK_MS)];
  watch();

  return {
    send,
    heard(isLast = false) {
      known.heardAt = performance.now();
      known.isStopped = isLast;
      look();
    },
    stop() {
      timers.forEach(clearInterval);
      sight.disconnect();
      document.removeEventListener("visibilitychange", update);
      model.off("comm_live_update", watch);
    },
  };
}

/** In command mode JupyterLab takes arrow keys and letters for itself; inside a widget they are the widget's. */
export function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") event.stopPropagation();
  });
}

/** Call back when Jupyter's theme changes, and once more when its style sheet has arrived. */
export function onTheme(changed) {
  const later = () => {
    changed();
    setTimeout(changed, 300);
  };
  const observer = new MutationObserver(later);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  later();
  return () => observer.disconnect();
}
