// Numbers and words of the picture. Pure.

export const TITLES = { nats: "NATS", rabbitmq: "RabbitMQ", redis: "Redis", kafka: "Kafka" };
export const STATE_WORDS = {
  starting: "starting",
  running: "running",
  paused: "paused",
  stopped: "stopped",
  dead: "down",
};

/** Which column of a publisher's totals is what: PUBLISHER_KINDS in flow_batch.py. */
export const PUBLISHER = { sent: 0, confirmed: 1, refused: 2, inDoubt: 3, unheard: 4 };

const RATE_SECONDS = 1.5;
const RATIO_SECONDS = 3;

/** 1204 -> "1,204"; always the same way, whatever the browser's language. */
export function formatCount(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** 0.94 -> "0.9", 24.2 -> "24", 15300 -> "15.3k". */
export function formatRate(rate) {
  if (rate >= 9995) return `${(rate / 1000).toFixed(1)}k`;
  if (rate >= 9.95 || rate === 0) return formatCount(Math.round(rate));
  return rate.toFixed(1);
}

/** 0.0103 -> "0.01 s". */
export function formatSeconds(seconds) {
  return `${seconds.toFixed(2)} s`;
}

/** What a publisher was told: nothing by some brokers, a confirm for each message by others. */
export function confirmWords(confirms, sent, confirmed) {
  if (!confirms) return "no confirms";
  return sent > 0 && confirmed === sent ? "all confirmed" : `${formatCount(confirmed)} confirmed`;
}

/** What a node of each kind was counted, summed over nodes: column 0 of a lane's publishers and so on. */
export function sumOf(rows, columns) {
  return rows.reduce((sum, row) => sum + columns.reduce((part, at) => part + row[at], 0), 0);
}

/** Messages a second, from totals that only grow. Feed it each total with the kernel's own time. */
export class RateMeter {
  constructor() {
    this.points = [];
  }

  add(at, total) {
    this.points.push([at, total]);
    while (this.points.length > 2 && this.points[1][0] <= at - RATE_SECONDS) this.points.shift();
  }

  /** Over the last second and a half; 0 while there is nothing to compare. */
  get rate() {
    if (this.points.length < 2) return 0;
    const [start, before] = this.points[0];
    const [end, total] = this.points[this.points.length - 1];
    return end > start ? Math.max(0, (total - before) / (end - start)) : 0;
  }
}

/** How many messages a dot stands for: 1, 2, 5, 10, 20 ... by what was drawn of what happened lately. */
export class DotRatio {
  constructor() {
    this.points = [];
  }

  add(at, events, dots) {
    this.points.push([at, events, dots]);
    this.points = this.points.filter(([when]) => when > at - RATIO_SECONDS);
  }

  get messages() {
    const events = this.points.reduce((sum, point) => sum + point[1], 0);
    const dots = this.points.reduce((sum, point) => sum + point[2], 0);
    return dots ? niceNumber(events / dots) : 1;
  }
}

/** The nearest of 1, 2, 5, 10, 20, 50 ... */
export function niceNumber(value) {
  if (value < 1.4) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const nearest = [1, 2, 5, 10].reduce((best, one) =>
    Math.abs(Math.log(value / power / one)) < Math.abs(Math.log(value / power / best)) ? one : best,
  );
  return nearest * power;
}

/** "1 dot = 1 message", or what a dot stands for when not each message is drawn. */
export function dotWords(messages) {
  return messages <= 1 ? "1 dot = 1 message" : `1 dot ≈ ${formatCount(messages)} messages`;
}

/** What a lane shows, in a sentence, for those who do not see it. */
export function laneSentence(lane, news) {
  const sent = lane.publishers.map((name, at) => `${name} sent ${formatCount(news.publishers[at][PUBLISHER.sent])}`);
  const failed = [
    [sumOf(news.publishers, [PUBLISHER.refused]), "refused"],
    [sumOf(news.publishers, [PUBLISHER.inDoubt]), "in doubt"],
    [sumOf(news.publishers, [PUBLISHER.unheard]), "unheard"],
  ].filter(([count]) => count > 0);
  const got = lane.subscribers.map((one, at) => {
    const away = news.listening[at] ? "" : ", not listening,";
    return `${one.name}${away} received ${formatCount(sumOf([news.subscribers[at]], [0, 1]))}`;
  });
  const waiting = lane.queues
    .map((name, at) => [name, news.depths[at]])
    .filter(([, depth]) => depth !== null && depth > 0)
    .map(([name, depth]) => `${formatCount(depth)} wait in queue ${name}`);
  const parts = [...sent, ...failed.map(([count, word]) => `${formatCount(count)} ${word}`), ...got, ...waiting];
  return `${TITLES[lane.broker] ?? lane.broker} is ${STATE_WORDS[news.state]}: ${parts.join(", ")}.`;
}
