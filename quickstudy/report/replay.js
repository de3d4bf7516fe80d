"use strict";
// The player: choose a task, an episode and a step, or let it run.
(() => {
  const EPISODE_MS = 3200, PAUSE_MS = 700;

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  const text = (value) => value.toFixed(2).replace("-", "\u2212");
  const sum = (values) => values.reduce((total, value) => total + value, 0);

  function labelled(name, input) {
    const output = element("output");
    output.setAttribute("aria-live", "off");
    return { row: element("label", {}, element("span", { textContent: name }), input, output), output };
  }

  function player(host) {
    const replays = JSON.parse(document.getElementById(host.dataset.replays).textContent);
    const now = { task: 0, episode: 0, step: Infinity, timer: null };

    const task = element("select", { className: "task" });
    replays.forEach((entry, i) => task.append(new Option(`Task ${entry.task + 1} · seed ${entry.seed}`, i)));
    const play = element("button", { type: "button", className: "play" });
    const previous = element("button", { type: "button", className: "previous", textContent: "‹ Episode" });
    const next = element("button", { type: "button", className: "next", textContent: "Episode ›" });
    const episode = element("input", { type: "range", className: "episode", min: 0, step: 1 });
    const step = element("input", { type: "range", className: "step", min: 0, step: 1 });
    const episodeRow = labelled("Episode", episode), stepRow = labelled("Step", step);
    const stage = element("div", { className: "stage" });
    const rewards = element("div", { className: "rewards" });
    const strip = element("div", { className: "filmstrip" });
    const maps = element("div", { className: "beliefs" }), lines = element("div", { className: "predictions" });
    const legend = element("p", { className: "caption" });
    const buttons = element("div", { className: "buttons" }, play, previous, next);
    const controls = element("div", { className: "controls" },
      element("label", {}, element("span", { textContent: "Task" }), task), buttons, episodeRow.row, stepRow.row,
      element("div", { className: "reward-title", textContent: "Reward of each step" }), rewards, legend);
    host.append(stage, controls, strip, maps, lines);

    const replay = () => replays[now.task].replay;
    const scene = () => scenes[replay().kind];
    const episodes = () => scene().rewards(replay());
    const last = () => episodes()[now.episode].length;
    let explained = null;

    function show() {
      const all = episodes(), current = all[now.episode];
      now.step = Math.min(now.step, current.length);
      stage.replaceChildren(scene().draw(replay(), now.episode, now.step));
      const earned = sum(current.slice(0, now.step));
      describe(stage.firstChild, `Episode ${now.episode + 1}, step ${now.step}: ${text(earned)} earned so far`);
      rewards.replaceChildren(scenes.drawRewards(all, now.episode, now.step));
      describe(rewards.firstChild, "The reward of each step");
      episode.value = now.episode;
      step.max = current.length;
      step.value = now.step;
      episodeRow.output.textContent = `${now.episode + 1} of ${all.length}`;
      stepRow.output.textContent = `${now.step} of ${current.length} · return ${text(earned)}`;
      previous.disabled = now.episode === 0;
      next.disabled = now.episode === all.length - 1;
      [...strip.children].forEach((frame, i) => frame.setAttribute("aria-pressed", i === now.episode));
      explain();
    }

    // Beliefs and predictions are those of an episode's start: drawn once for all of its steps.
    function explain() {
      const { beliefs: believed, predictions: predicted } = replays[now.task], shown = `${now.task}/${now.episode}`;
      if (shown === explained) return;
      explained = shown;
      maps.hidden = !believed;
      if (believed) maps.replaceChildren(...beliefs.draw(believed, now.episode, scene().goal(replay())));
      lines.hidden = !predicted;
      if (predicted) lines.replaceChildren(...predictions.draw(predicted, now.episode));
    }

    function describe(svg, label) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", label);
    }

    function load() {
      const all = episodes();
      Object.assign(now, { episode: 0, step: Infinity });
      episode.max = all.length - 1;
      host.classList.toggle("wide", !scene().square);
      for (const part of [episodeRow.row, previous, next, strip]) part.hidden = all.length < 2;
      legend.textContent = scene().legend;
      strip.replaceChildren(...(all.length < 2 ? [] : all.map(frame)));
      show();
    }

    function frame(values, i) {
      const picture = scene().draw(replay(), i, values.length);
      picture.setAttribute("aria-hidden", "true");
      const caption = element("span", {}, element("b", { textContent: `Episode ${i + 1}` }), ` ${text(sum(values))}`);
      return element("button", { type: "button", onclick: () => { pause(); go(i, Infinity); } }, picture, caption);
    }

    function go(toEpisode, toStep) {
      now.episode = Math.min(Math.max(toEpisode, 0), episodes().length - 1);
      now.step = toStep;
      show();
    }

    function pause() {
      clearTimeout(now.timer);
      now.timer = null;
      play.textContent = "▶ Play";
    }

    function start() {
      play.textContent = "❚❚ Pause";
      if (now.step >= last()) go(now.episode === episodes().length - 1 ? 0 : now.episode, 0);
      schedule();
    }

    function schedule() {
      const tick = Math.min(Math.max(EPISODE_MS / last(), 30), 320);
      now.timer = setTimeout(advance, now.step >= last() ? PAUSE_MS : tick);
    }

    function advance() {
      if (now.step < last()) go(now.episode, now.step + 1);
      else if (now.episode < episodes().length - 1) go(now.episode + 1, 0);
      else return pause();
      schedule();
    }

    play.onclick = () => (now.timer === null ? start() : pause());
    previous.onclick = () => { pause(); go(now.episode - 1, Infinity); };
    next.onclick = () => { pause(); go(now.episode + 1, Infinity); };
    episode.oninput = () => { pause(); go(Number(episode.value), Infinity); };
    step.oninput = () => { pause(); go(now.episode, Number(step.value)); };
    task.onchange = () => { pause(); now.task = Number(task.value); load(); };
    pause();
    load();
  }

  document.querySelectorAll(".replay").forEach(player);
})();
