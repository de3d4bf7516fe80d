"use strict";
// What the agent believed when an episode began: a small map of the states for each kind of belief.
const beliefs = (() => {
  const { node, canvas, star } = scenes;

  // Beliefs that share a scale are drawn from its lowest to its highest value in the whole trial.
  const KINDS = {
    knowledge: { title: "Knowledge", note: "value of a state before the task has shown anything", scale: "value" },
    adapted: { title: "Adapted", note: "its value by what the task has shown so far", scale: "value" },
    uncertainty: { title: "Uncertainty", note: "standard deviation of the adapted value", scale: "deviation" },
  };

  const number = (value) => value.toFixed(2).replace("-", "\u2212");
  const ends = (values) => [Math.min(...values), Math.max(...values)];
  const named = (episode) => Object.keys(KINDS).filter((name) => name in episode);

  function range(episodes, scale) {
    const values = episodes.flatMap((episode) =>
      named(episode).filter((name) => KINDS[name].scale === scale).flatMap((name) => episode[name].flat()));
    return scale === "deviation" ? [0, Math.max(...values)] : ends(values);
  }

  function map(rows, [low, high], [from, to], scale, goal) {
    const side = (to - from) / rows.length;
    const share = (value) => (high > low ? (value - low) / (high - low) : 0);
    const cells = rows.flatMap((row, j) => row.map((value, i) => node("rect", {
      x: from + i * side, y: -from - (j + 1) * side, width: side, height: side,
      class: `belief ${scale}`, "fill-opacity": share(value).toFixed(3),
    }, node("title", {}, number(value)))));
    const ground = node("rect", { x: from, y: -to, width: to - from, height: to - from, class: "cell" });
    return canvas(from, -to, to - from, to - from, ground, ...cells,
      ...(goal ? [star(goal[0], -goal[1], (to - from) / 14)] : []));
  }

  function bar([low, high], scale) {
    const made = document.createElement("span");
    made.className = `scale ${scale}`;
    made.append(number(low), document.createElement("i"), number(high));
    return made;
  }

  function figure(kept, index, name, goal) {
    const { title, note, scale } = KINDS[name];
    const rows = kept.episodes[index][name], whole = range(kept.episodes, scale);
    const picture = map(rows, whole, kept.limits, scale, goal), [low, high] = ends(rows.flat());
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label",
      `${title} at the start of episode ${index + 1}: ${note}, from ${number(low)} to ${number(high)}`);
    const made = document.createElement("figure"), caption = document.createElement("figcaption");
    const heading = Object.assign(document.createElement("b"), { textContent: title });
    caption.append(heading, bar(whole, scale), note);
    made.append(picture, caption);
    return made;
  }

  // The maps of one episode; `goal` is a place in the coordinates of the map, or null.
  const draw = (kept, index, goal) => named(kept.episodes[index]).map((name) => figure(kept, index, name, goal));
  return { draw };
})();
