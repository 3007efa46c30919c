// Line charts over time, as SVG: a scale, times, and the values under the pointer.

import { make } from "./svg.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [340, 130, 62, 6, 8, 20];
const plotWidth = WIDTH - LEFT - RIGHT;
const plotHeight = HEIGHT - TOP - BOTTOM;

// the next number of 1, 2 or 5 times a power of ten
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value * 0.9999);
}

function pathOf(values, x, y) {
  let path = "";
  let drawing = false;
  values.forEach((value, at) => {
    if (value !== null) path += `${drawing ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    // a single value between gaps is a dot: a line of no length with round ends
    if (value !== null && !drawing && (values[at + 1] ?? null) === null) path += "h0";
    drawing = value !== null;
  });
  return path;
}

function time(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

// lines: [{ name, hue, values }], a number or null for each step; highest: of the scale, where it is known
export function drawChart(box, { title, lines, begin, step, format, highest, label }) {
  const steps = lines[0].values.length;
  const peak = Math.max(0, ...lines.flatMap((line) => line.values.filter((value) => value !== null)));
  const top = highest ?? (peak > 0 ? roundUp(peak) : 1);
  const x = (at) => LEFT + (steps > 1 ? (at / (steps - 1)) * plotWidth : plotWidth);
  const y = (value) => TOP + plotHeight * (1 - Math.min(value, top) / top);
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label });
  for (const share of [0, 0.5, 1]) {
    svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(top * share), y2: y(top * share) }));
    svg.append(make("text", { class: "scale", x: LEFT - 5, y: y(top * share) + 4, "text-anchor": "end" }, format(top * share)));
  }
  for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    const at = Math.round(share * (steps - 1));
    svg.append(make("text", { class: "scale", x: x(at), y: HEIGHT - 5, "text-anchor": anchor }, time(begin + at * step)));
  }
  for (const line of lines) svg.append(make("path", { class: `line ${line.hue}`, d: pathOf(line.values, x, y) }));
  const rule = make("line", { class: "rule", y1: TOP, y2: TOP + plotHeight, visibility: "hidden" });
  svg.append(rule);
  const heading = Object.assign(document.createElement("h3"), { textContent: title });
  const legend = Object.assign(document.createElement("p"), { className: "legend" });
  const say = (at) => {
    legend.replaceChildren(...lines.map((line) => {
      const item = document.createElement("span");
      const value = at === null ? line.values.findLast((each) => each !== null) : line.values[at];
      const swatch = Object.assign(document.createElement("span"), { className: `swatch ${line.hue}` });
      item.append(swatch, `${line.name} ${value === null || value === undefined ? "–" : format(value)}`);
      return item;
    }));
    if (at !== null) legend.append(Object.assign(document.createElement("span"), { className: "when", textContent: time(begin + at * step) }));
  };
  const point = (at) => {
    box.pointed = at; // stays when the chart is drawn anew under the pointer
    rule.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at !== null) for (const name of ["x1", "x2"]) rule.setAttribute(name, x(at));
    say(at);
  };
  point(box.pointed >= 0 && box.pointed < steps ? box.pointed : null);
  box.onpointermove = (event) => {
    const frame = svg.getBoundingClientRect();
    const place = ((event.clientX - frame.left) / frame.width) * WIDTH;
    point(Math.max(0, Math.min(steps - 1, Math.round(((place - LEFT) / plotWidth) * (steps - 1)))));
  };
  box.onpointerleave = () => point(null);
  box.replaceChildren(heading, legend, svg);
}

// a line without scale, as high as its highest value
export function sparkline(values) {
  const peak = Math.max(...values, 1e-9);
  const svg = make("svg", { viewBox: "0 0 90 20", class: "spark", "aria-hidden": "true" });
  svg.append(make("path", { class: "line hue0", d: pathOf(values, (at) => (at / (values.length - 1)) * 90, (value) => 19 - (18 * value) / peak) }));
  return svg;
}
