"use strict";
// How each kind of replay is drawn. A scene says how many episodes there are, which rewards each brought, what its
// parts mean, and draws an episode up to a step. y points up, as in the environments.
const scenes = (() => {
  const NAMESPACE = "http://www.w3.org/2000/svg";

  function node(tag, attributes = {}, ...children) {
    const element = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const canvas = (x, y, width, height, ...children) =>
    node("svg", { viewBox: `${x} ${y} ${width} ${height}`, class: "scene" }, ...children);

  // The places seen after `step` actions; records with and without the place before the first action are both in use.
  const seen = (places, rewards, step) => places.slice(0, Math.max(1, step + places.length - rewards.length));

  function star(x, y, radius) {
    const points = Array.from({ length: 10 }, (_, i) => {
      const angle = (Math.PI * i) / 5, r = i % 2 ? radius * 0.42 : radius;
      return `${x + r * Math.sin(angle)},${y - r * Math.cos(angle)}`;
    });
    return node("polygon", { points: points.join(" "), class: "goal" });
  }

  // A path whose older part fades.
  function trail(points, width) {
    const segments = [];
    for (let i = 1; i < points.length; i++) {
      const [x1, y1] = points[i - 1], [x2, y2] = points[i];
      const opacity = 0.25 + (0.75 * i) / (points.length - 1);
      segments.push(node("line", { x1, y1, x2, y2, class: "trail", "stroke-width": width, "stroke-opacity": opacity }));
    }
    return segments;
  }

  const agent = ([x, y], radius) => node("circle", { cx: x, cy: y, r: radius, class: "agent" });
  const ring = ([x, y], radius) => node("circle", { cx: x, cy: y, r: radius, class: "start", "stroke-width": radius / 4 });

  function drawGrid(replay, episode, step) {
    const { size } = replay;
    const { cells, rewards } = replay.episodes[episode];
    const visited = seen(cells, rewards, step);
    const centre = (cell) => [(cell % size) + 0.5, size - 0.5 - Math.floor(cell / size)];
    const squares = Array.from({ length: size * size }, (_, cell) => {
      const [x, y] = centre(cell);
      const visits = visited.filter((other) => other === cell).length;
      const box = { x: x - 0.47, y: y - 0.47, width: 0.94, height: 0.94, rx: 0.08 };
      return [
        node("rect", { ...box, class: "cell" }),
        ...(visits ? [node("rect", { ...box, class: "visited", "fill-opacity": 1 - 0.82 ** visits })] : []),
      ];
    });
    const marks = (replay.marks || []).map(({ cell, label }) => {
      const [x, y] = centre(cell);
      return node("text", { x, y: y + 0.12, class: "mark", "font-size": 0.34 }, String(label));
    });
    const goal = Number.isInteger(replay.goal) ? [star(...centre(replay.goal), 0.38)] : [];
    const start = Number.isInteger(replay.start) ? [ring(centre(replay.start), 0.28)] : [];
    const points = visited.map(centre);
    return canvas(0, 0, size, size, ...squares.flat(), ...goal, ...start, ...marks,
      ...trail(points, 0.09), agent(points[points.length - 1], 0.15));
  }

  function drawPlane(replay, episode, step) {
    const [low, high] = replay.limits;
    const span = high - low;
    const place = ([x, y]) => [x, -y];
    const { points, rewards } = replay.episodes[episode];
    const path = seen(points, rewards, step).map(place);
    const axes = [
      node("rect", { x: low, y: -high, width: span, height: span, class: "cell", rx: span / 60 }),
      node("line", { x1: low, x2: high, y1: 0, y2: 0, class: "axis", "stroke-width": span / 400 }),
      node("line", { y1: -low, y2: -high, x1: 0, x2: 0, class: "axis", "stroke-width": span / 400 }),
    ];
    const goal = replay.goal ? place(replay.goal) : null;
    const target = goal ? [
      node("circle", { cx: goal[0], cy: goal[1], r: replay.radius || 0, class: "region" }), star(...goal, span / 32),
    ] : [];
    const dots = path.map(([cx, cy]) => node("circle", { cx, cy, r: span / 170, class: "dot" }));
    return canvas(low, -high, span, span, ...axes, ...target, ring(place(replay.start), span / 45),
      ...trail(path, span / 130), ...dots, agent(path[path.length - 1], span / 60));
  }

  // The last of several poses in full, earlier ones fading; of many, only some.
  function poses(path, draw) {
    const every = Math.ceil(path.length / 24), last = path.length - 1;
    return path.flatMap((pose, i) => {
      if (i !== last && i % every) return [];
      return [node("g", { opacity: i === last ? 1 : 0.05 + (0.25 * i) / last }, ...draw(pose))];
    });
  }

  const rod = ([x1, y1], [x2, y2], width) => node("line", { x1, y1, x2, y2, class: "rod", "stroke-width": width });
  const body = (x, y, width, height) =>
    node("rect", { x: x - width / 2, y: y - height / 2, width, height, rx: height / 4, class: "body" });

  function drawCartPole(replay, episode, step) {
    const { track, length } = replay;
    const { motion, rewards } = replay.episodes[episode];
    const side = track + 0.4, height = length + 0.2;
    const pose = ([x, angle]) => [
      body(x, 0, 0.5, 0.24), rod([x, 0], [x + length * Math.sin(angle), -length * Math.cos(angle)], 0.09),
    ];
    const ends = [-track, track].map((x) => node("line", { x1: x, x2: x, y1: -0.2, y2: 0.2, class: "axis", "stroke-width": 0.05 }));
    return canvas(-side, -height, 2 * side, 2 * height,
      node("line", { x1: -track, x2: track, y1: 0, y2: 0, class: "axis", "stroke-width": 0.05 }), ...ends,
      ...poses(seen(motion, rewards, step), pose));
  }

  function drawPendulum(replay, episode, step) {
    const { length } = replay;
    const { angles, rewards } = replay.episodes[episode];
    const side = 1.15 * length;
    const pose = (angle) => [rod([0, 0], [-length * Math.sin(angle), -length * Math.cos(angle)], length / 12)];
    return canvas(-side, -side, 2 * side, 2 * side,
      node("rect", { x: -side, y: -side, width: 2 * side, height: 2 * side, rx: side / 30, class: "cell" }),
      ...poses(seen(angles, rewards, step), pose), node("circle", { cx: 0, cy: 0, r: length / 20, class: "body" }));
  }

  // A raster of rows (arms or states) against steps.
  const ROW = 30, LEFT = 118, RIGHT = 700;
  const column = (i, count) => LEFT + ((i + 0.5) * (RIGHT - LEFT)) / Math.max(count, 1);
  const row = (i) => 10 + ROW * (i + 0.5);

  function rows(count, label, highlighted = -1) {
    return Array.from({ length: count }, (_, i) => [
      node("rect", { x: LEFT, y: row(i) - ROW / 2 + 1, width: RIGHT - LEFT, height: ROW - 2, rx: 4,
        class: i === highlighted ? "cell best" : "cell" }),
      node("text", { x: LEFT - 10, y: row(i) + 4, class: i === highlighted ? "label best" : "label" }, label(i)),
    ]).flat();
  }

  const number = (value) => Number(value).toFixed(2).replace("-", "\u2212");

  function drawArms(replay, _episode, step) {
    const { means, actions, rewards } = replay;
    const best = means.indexOf(Math.max(...means));
    const low = Math.min(...rewards, 0), high = Math.max(...rewards, 1);
    const radius = Math.min(9, Math.max(2.2, (0.42 * (RIGHT - LEFT)) / rewards.length));
    const pulls = actions.slice(0, step).map((arm, i) => node("circle", {
      cx: column(i, rewards.length), cy: row(arm), r: radius, class: "pull", "fill-opacity": (rewards[i] - low) / (high - low),
    }));
    const label = (arm) => `arm ${arm + 1} · ${number(means[arm])}`;
    return canvas(0, 0, RIGHT + 10, row(means.length - 1) + ROW, ...rows(means.length, label, best), ...pulls);
  }

  function drawStates(replay, episode, step) {
    const { states, actions, rewards } = replay.episodes[episode];
    const count = Math.max(states.length, rewards.length);
    const points = seen(states, rewards, step).map((state, i) => [column(i, count), row(state)]);
    const radius = Math.min(10, (0.42 * (RIGHT - LEFT)) / count);
    const circles = points.map(([cx, cy]) => node("circle", { cx, cy, r: radius, class: "pull", "fill-opacity": 1 }));
    const names = radius < 7 ? [] : points.slice(0, step).map(([x, y], i) =>
      node("text", { x, y: y + 4, class: "action" }, String(actions[i] + 1)));
    return canvas(0, 0, RIGHT + 10, row(replay.num_states - 1) + ROW, ...rows(replay.num_states, (i) => `state ${i + 1}`),
      ...trail(points, 2), ...circles, ...names);
  }

  // The reward of each step of one of the episodes in `all`, with what is still to come drawn faintly.
  function drawRewards(all, episode, step) {
    const rewards = all[episode];
    const top = Math.max(...all.flat(), 0), bottom = Math.min(...all.flat(), 0), span = top - bottom || 1;
    const y = (reward) => 4 + (56 * (top - reward)) / span;
    const width = 710 / Math.max(rewards.length, 1);
    const bars = rewards.map((reward, i) => node("rect", {
      x: i * width + width * 0.1, width: width * 0.8, y: Math.min(y(reward), y(0)),
      height: Math.max(Math.abs(y(reward) - y(0)), 0.75), class: reward < 0 ? "loss" : "gain", opacity: i < step ? 1 : 0.18,
    }));
    const svg = canvas(0, 0, 710, 64, ...bars, node("line", { x1: 0, x2: 710, y1: y(0), y2: y(0), class: "axis" }));
    svg.setAttribute("preserveAspectRatio", "none");
    return svg;
  }

  const listed = (replay) => replay.episodes.map((episode) => episode.rewards);
  const grid = "Star: the goal. Ring: the start. The darker a cell, the more often it was visited.";
  const plane = "Star: the goal, with the region that counts as reached. Ring: the start.";
  const arms = "Beside each arm its true mean. Each dot is a pull: the fuller, the higher its reward. Green: the best arm.";
  const states = "The states from step to step; the number in a circle is the action chosen there.";
  const cart = "The cart with its pole, which began where it is faintest. The marks end the track.";
  const rods = "The pendulum, which began where it is faintest.";
  return {
    drawRewards,
    grid: { rewards: listed, draw: drawGrid, legend: grid, square: true },
    plane: { rewards: listed, draw: drawPlane, legend: plane, square: true },
    arms: { rewards: (replay) => [replay.rewards], draw: drawArms, legend: arms, square: false },
    states: { rewards: listed, draw: drawStates, legend: states, square: false },
    "cart-pole": { rewards: listed, draw: drawCartPole, legend: cart, square: true },
    pendulum: { rewards: listed, draw: drawPendulum, legend: rods, square: true },
  };
})();
