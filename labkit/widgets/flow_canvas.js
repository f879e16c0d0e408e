// Links, dots, crosses, question marks and pulses of one lane on a canvas that lies under its nodes.

const DOT = 4;
const CROSS = 6;
const QUESTION = "700 16px system-ui, sans-serif";

/** Colours as the theme has them now, in six digits each. */
export function readColours(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const names = ["hue", "link", "lost", "doubt", "again", "surface"];
  return Object.fromEntries(names.map((name) => [name, colour(`--lk-${name}`)]));
}

/** Make the canvas as fine as the screen. */
export function fitCanvas(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
}

/** Draw one lane as it is at `now`. */
export function drawLane(canvas, { layout, colours, isLive, motion, now }) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, layout.width, layout.height);
  context.lineCap = "round";
  drawLinks(context, layout, colours, isLive);
  for (const ring of motion.rings(now)) drawPulse(context, layout, ring, colours);
  for (const dot of motion.dots(now)) drawDot(context, dot, colours);
  for (const cross of motion.crosses(now)) drawCross(context, cross, colours);
  for (const question of motion.questions(now)) drawQuestion(context, question, colours);
  context.globalAlpha = 1;
}

/** A link is dashed where nothing can pass: the broker is down, or nobody listens at its end. */
function drawLinks(context, layout, colours, isLive) {
  context.globalAlpha = 1;
  context.strokeStyle = colours.link;
  context.lineWidth = 1.5;
  for (const { curve, to } of layout.links) {
    context.setLineDash(isLive(to) ? [] : [2, 6]);
    context.beginPath();
    context.moveTo(curve[0], curve[1]);
    context.bezierCurveTo(curve[2], curve[3], curve[4], curve[5], curve[6], curve[7]);
    context.stroke();
  }
  context.setLineDash([]);
}

function drawDot(context, { at, tail, isAgain, alpha }, colours) {
  drawTail(context, at, tail, colours.hue, alpha);
  context.fillStyle = colours.hue;
  context.globalAlpha = alpha;
  if (isAgain) drawAgain(context, at, colours);
  else disc(context, at, DOT);
}

/** A soft wedge that ends in nothing where the dot was a moment ago. */
function drawTail(context, at, tail, hue, alpha) {
  const end = tail[tail.length - 1];
  const length = Math.hypot(end[0] - at[0], end[1] - at[1]);
  if (length < 1) return;
  const fade = context.createLinearGradient(at[0], at[1], end[0], end[1]);
  fade.addColorStop(0, hue);
  fade.addColorStop(1, `${hue}00`); // and not "transparent", which is black
  const across = [((at[1] - end[1]) / length) * (DOT - 1), ((end[0] - at[0]) / length) * (DOT - 1)];
  const spine = [at, ...tail];
  const edge = (side) =>
    spine.map(([x, y], step) => {
      const slim = side * (1 - step / tail.length);
      return [x + across[0] * slim, y + across[1] * slim];
    });
  context.globalAlpha = alpha * 0.55;
  context.fillStyle = fade;
  polygon(context, [...edge(1), ...edge(-1).reverse()]);
  context.fill();
}

/** Delivered again: a ring around a small dot. */
function drawAgain(context, at, colours) {
  context.strokeStyle = colours.again;
  context.fillStyle = colours.again;
  context.lineWidth = 1.75;
  context.beginPath();
  context.arc(at[0], at[1], DOT + 2, 0, 2 * Math.PI);
  context.stroke();
  disc(context, at, DOT - 2);
}

/** Lost: a hollow cross, so that shape tells it as well as colour. */
function drawCross(context, { x, y, turn, alpha }, colours) {
  context.save();
  context.translate(x, y);
  context.rotate(turn + Math.PI / 4);
  context.globalAlpha = Math.max(0, alpha);
  context.strokeStyle = colours.lost;
  context.lineWidth = 1.4;
  const [a, b] = [CROSS / 2.6, CROSS];
  polygon(context, [[a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a], [-a, -b]]);
  context.stroke();
  context.restore();
}

/** In doubt: a question mark, with an edge that keeps it apart from the link behind it. */
function drawQuestion(context, { x, y, alpha }, colours) {
  context.globalAlpha = Math.max(0, alpha);
  context.font = QUESTION;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.strokeStyle = colours.surface;
  context.fillStyle = colours.doubt;
  context.lineWidth = 4;
  context.strokeText("?", x, y);
  context.fillText("?", x, y);
}

/** Something arrived: the outline of the node spreads and fades. */
function drawPulse(context, layout, { node, spread }, colours) {
  const grow = 1 + 5 * spread;
  context.globalAlpha = 0.38 * (1 - spread) ** 2;
  context.strokeStyle = colours.hue;
  context.lineWidth = 2;
  context.beginPath();
  if (node === "hub") context.arc(layout.hub.x, layout.hub.y, layout.hub.r + grow, 0, 2 * Math.PI);
  else outline(context, boxOf(layout, node), grow);
  context.stroke();
}

function boxOf(layout, node) {
  const list = { p: layout.publishers, q: layout.queues, s: layout.subscribers }[node[0]];
  return list[Number(node.slice(1))];
}

function outline(context, { x, y, w, h }, grow) {
  context.roundRect(x - grow, y - grow, w + 2 * grow, h + 2 * grow, 9 + grow);
}

function polygon(context, corners) {
  context.beginPath();
  corners.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
}

function disc(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
