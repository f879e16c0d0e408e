// Links, dots, crosses and pulses of one lane on a canvas that lies under its nodes.

const DOT = 4;
const CROSS = 5;

/** Colours as the theme has them now. */
export function readColours(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  return { hue: colour("--lk-hue"), link: colour("--lk-link"), lost: colour("--lk-lost"), again: colour("--lk-again") };
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
export function drawLane(canvas, { layout, colours, isUp, motion, now }) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, layout.width, layout.height);
  context.lineCap = "round";
  drawLinks(context, layout, colours, isUp);
  for (const ring of motion.rings(now)) drawPulse(context, layout, ring, colours);
  for (const dot of motion.dots(now)) drawDot(context, dot, colours);
  for (const cross of motion.crosses(now)) drawCross(context, cross, colours);
  context.globalAlpha = 1;
}

function drawLinks(context, layout, colours, isUp) {
  context.globalAlpha = 1;
  context.strokeStyle = colours.link;
  context.lineWidth = 1.5;
  context.setLineDash(isUp ? [] : [2, 6]);
  for (const { curve } of layout.links) {
    context.beginPath();
    context.moveTo(curve[0], curve[1]);
    context.bezierCurveTo(curve[2], curve[3], curve[4], curve[5], curve[6], curve[7]);
    context.stroke();
  }
  context.setLineDash([]);
}

function drawDot(context, { at, tail, isAgain, alpha }, colours) {
  context.strokeStyle = colours.hue;
  context.fillStyle = colours.hue;
  let from = at;
  tail.forEach((to, step) => {
    context.globalAlpha = alpha * 0.34 * (1 - step / tail.length);
    context.lineWidth = DOT * 1.5 * (1 - (0.7 * step) / tail.length);
    line(context, from, to);
    from = to;
  });
  context.globalAlpha = alpha;
  if (isAgain) drawAgain(context, at, colours);
  else disc(context, at, DOT);
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
  context.beginPath();
  const corners = [[a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a], [-a, -b]];
  corners.forEach(([dx, dy], at) => (at ? context.lineTo(dx, dy) : context.moveTo(dx, dy)));
  context.closePath();
  context.stroke();
  context.restore();
}

/** Something arrived: the outline of the node spreads and fades. */
function drawPulse(context, layout, { node, spread }, colours) {
  const grow = 1 + 7 * spread;
  context.globalAlpha = 0.45 * (1 - spread) ** 2;
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

function line(context, from, to) {
  context.beginPath();
  context.moveTo(from[0], from[1]);
  context.lineTo(to[0], to[1]);
  context.stroke();
}

function disc(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
