"use strict";
// What the agent's model predicted: a small chart for each component of the observation and for the reward of one
// episode, real against predicted, and the model's error over the trial. A number that was not finite is null.
const predictions = (() => {
  const { node, canvas } = scenes;
  const MOST = 8, WIDTH = 100, HEIGHT = 40, DECADES = 8;

  const number = (value) => String(Number(value.toPrecision(3))).replace("-", "\u2212");
  const known = (values) => values.filter((value) => value !== null);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const column = (rows, i) => rows.map((row) => row[i]);
  // Trials may be too long to be spread over the arguments of a function.
  const lowest = (values) => values.reduce((low, value) => Math.min(low, value), Infinity);
  const highest = (values) => values.reduce((high, value) => Math.max(high, value), -Infinity);

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  // One path through the points [x, y]; it breaks off where y is null, and a point alone is a dot.
  function line(points, style) {
    const runs = [[]];
    for (const point of points) point[1] === null ? runs.push([]) : runs[runs.length - 1].push(point);
    const parts = runs.filter((run) => run.length).map((run) => `M${[run[0], ...run].join("L")}`);
    return node("path", { d: parts.join(""), class: `line ${style}` });
  }

  // Fills its box, whatever that box's shape; what lies outside is cut off.
  function picture(label, ...children) {
    const made = canvas(0, 0, WIDTH, HEIGHT, ...children);
    for (const [name, value] of Object.entries({ preserveAspectRatio: "none", role: "img", "aria-label": label })) {
      made.setAttribute(name, value);
    }
    return made;
  }

  function element(tag, className, ...children) {
    const made = Object.assign(document.createElement(tag), { className });
    made.append(...children);
    return made;
  }

  const captioned = (title, note, chart) =>
    element("figure", "", chart, element("figcaption", "", element("b", "", title), note));

  // A series of the trial: `real` and `predicted` give its values in an episode, the first of them after `from` steps.
  // Its scale is that of the real values in all episodes, with some room for predictions beside them.
  function compared(kept, index, title, from, real, predicted) {
    const all = known(kept.episodes.flatMap(real)), low = lowest(all), high = highest(all);
    const span = high - low || Math.abs(high) || 1;
    const thought = known(kept.episodes.flatMap(predicted));
    const bottom = clamp(lowest(thought), low - span / 2, low), top = clamp(highest(thought), high, high + span / 2);
    const [floor, height] = top > bottom ? [bottom, top - bottom] : [bottom - span / 2, span];
    const episode = kept.episodes[index], steps = Math.max(episode.rewards.length, 1);
    const y = (value) => clamp(2 + ((HEIGHT - 4) * (floor + height - value)) / height, -HEIGHT, 2 * HEIGHT);
    const at = (values) => values.map((value, i) => [((i + from) * WIDTH) / steps, value === null ? null : y(value)]);
    const label = `${title} in the first ${steps} steps of episode ${index + 1}: what happened, from ` +
      `${number(lowest(known(real(episode))))} to ${number(highest(known(real(episode))))}, and what was predicted`;
    return captioned(title, ` ${number(low)} to ${number(high)}`,
      picture(label, line(at(real(episode)), "real"), line(at(predicted(episode)), "predicted")));
  }

  const power = (exponent) =>
    Math.abs(exponent) < 3 ? String(Number((10 ** exponent).toPrecision(1))) : element("span", "", "10", sup(exponent));
  const sup = (exponent) => element("sup", "", String(exponent).replace("-", "\u2212"));

  // The error of every step on a logarithmic scale of whole decades, with the episodes' borders.
  function errors(kept, index) {
    const { errors: values, starts } = kept, positive = known(values).filter((value) => value > 0);
    if (!positive.length) return [];
    const top = Math.ceil(Math.log10(Math.max(highest(positive), 1)));
    const bottom = Math.max(Math.floor(Math.log10(Math.min(lowest(positive), 0.1))), top - DECADES);
    const y = (value) => clamp((HEIGHT * (top - Math.log10(Math.max(value, 1e-300)))) / (top - bottom), 0, HEIGHT);
    const x = (step) => (step * WIDTH) / values.length;
    const end = index + 1 < starts.length ? starts[index + 1] : values.length;
    const across = (value, style) => node("line", { x1: 0, x2: WIDTH, y1: y(value), y2: y(value), class: style });
    const decades = Array.from({ length: top - bottom + 1 }, (_, i) => top - i);
    const now = known(values.slice(starts[index], end)), middle = now.length ? number(median(now)) : "unknown";
    const title = "Model error, one step ahead";
    const chart = picture(`${title}, at each of the ${values.length} steps of the trial; its median is ${middle} in episode ${index + 1}`,
      node("rect", { x: x(starts[index]), y: 0, width: x(end - starts[index]), height: HEIGHT, class: "cell" }),
      ...decades.map((exponent) => across(10 ** exponent, exponent === 0 ? "line unchanged" : "line axis")),
      ...starts.slice(1).map((step) => node("line", { x1: x(step), x2: x(step), y1: 0, y2: HEIGHT, class: "line border" })),
      line(values.map((value, i) => [x(i + 0.5), value === null ? null : y(value)]), "predicted error"));
    const every = Math.ceil((decades.length - 1) / 4);
    const ticks = element("div", "ticks", ...decades.map((exponent, i) =>
      i % every ? element("span", "") : element("span", "", power(exponent))));
    ticks.setAttribute("aria-hidden", "true");
    const note = ` over the trial; median in episode ${index + 1}: ${middle}. Dashed line: no change predicted. Upright lines: an episode begins.`;
    const made = captioned(title, note, element("div", "scaled", ticks, chart));
    made.className = "whole";
    return [made];
  }

  // The charts of one episode, and that of the trial.
  function draw(kept, index) {
    const { observed } = kept.episodes[index], count = observed[0].length;
    const components = Array.from({ length: Math.min(count, MOST) }, (_, i) => compared(kept, index,
      count > MOST ? `Observation ${i + 1} of ${count}` : `Observation ${i + 1}`, 0, (episode) => column(episode.observed, i), (episode) => column(episode.predicted, i)));
    const reward = compared(kept, index, "Reward", 1, (episode) => episode.rewards, (episode) => episode.predicted_rewards);
    return [...components, reward, ...errors(kept, index)];
  }

  return { draw };
})();
