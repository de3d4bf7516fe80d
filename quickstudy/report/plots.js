"use strict";
// Draws the figures of the page. A figure names its colours as CSS variables ("--adapted", "--adapted/0.2" with an
// opacity), which are looked up here, so that figures follow the light and the dark theme.
(() => {
  const NARROW = 620; // below this width, in pixels, a legend replaces the labels beside the lines
  const root = document.documentElement;
  const drawn = new Map(); // element -> whether it was drawn narrow
  const config = { responsive: true, displayModeBar: false };

  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function color(text) {
    const [name, opacity] = text.split("/");
    const hex = variable(name);
    if (opacity === undefined) return hex;
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return `rgba(${r}, ${g}, ${b}, ${opacity})`;
  }

  function resolved(value, key = "") {
    if (typeof value === "string") return /color$/.test(key) && value.startsWith("--") ? color(value) : value;
    if (Array.isArray(value)) return value.map((item) => resolved(item));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolved(item, name)]));
  }

  function axis(own) {
    const line = variable("--rule");
    return {
      gridcolor: line, zeroline: false, linecolor: line, ticks: "outside", tickcolor: line, automargin: true,
      ...own, title: { standoff: 10, ...own.title },
    };
  }

  function layout(figure, narrow) {
    const own = resolved(figure.layout);
    const named = figure.data.filter((trace) => trace.name && trace.showlegend !== false).length;
    const below = narrow && !own.showlegend && named > 1; // the legend in place of the labels
    return {
      ...own,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: variable("--muted") },
      xaxis: axis(own.xaxis),
      yaxis: axis(own.yaxis),
      annotations: narrow ? [] : own.annotations,
      showlegend: own.showlegend || below,
      dragmode: narrow ? false : "zoom", // a finger scrolls the page
      legend: { orientation: "h", y: -0.24, x: 0, yanchor: "top", font: { size: 12 }, ...own.legend },
      margin: { ...own.margin, r: narrow ? 12 : own.margin.r, l: narrow ? 46 : own.margin.l },
      height: own.height + (below ? 30 + 20 * named : 0),
      hoverlabel: { bgcolor: variable("--surface"), bordercolor: variable("--rule"), font: { color: variable("--ink") } },
    };
  }

  function draw(element) {
    if (!element.clientWidth) return; // folded away: drawn when it is opened
    const figure = JSON.parse(document.getElementById(`${element.id}-figure`).textContent);
    const narrow = element.clientWidth < NARROW;
    drawn.set(element, narrow);
    const themed = layout(figure, narrow);
    element.style.height = `${themed.height}px`; // Plotly draws over its place and does not stretch it
    Plotly.react(element, resolved(figure.data), themed, config);
  }

  const plots = () => document.querySelectorAll(".plot");
  const drawAll = () => plots().forEach(draw);
  const drawNew = () => plots().forEach((element) => drawn.has(element) || draw(element));

  function choose(event) {
    const radio = event.target;
    if (!radio.dataset || !radio.dataset.shows) return;
    for (const other of document.getElementsByName(radio.name))
      document.getElementById(other.dataset.shows).hidden = other !== radio;
    drawNew();
  }

  function resize() {
    for (const [element, narrow] of drawn)
      if (element.clientWidth && element.clientWidth < NARROW !== narrow) draw(element);
  }

  function print(printing) {
    root.classList.toggle("printing", printing);
    if (printing) document.querySelectorAll("details").forEach((element) => (element.open = true));
    drawAll();
  }

  document.addEventListener("toggle", drawNew, true);
  document.addEventListener("change", choose);
  window.addEventListener("resize", resize);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
