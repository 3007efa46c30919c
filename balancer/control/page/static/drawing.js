// The drawing: edges on a circle, an arrow from each ingress edge to each owner it forwards to, as thick as its rate.

import { bits, colour } from "./edges.js";
import { make } from "./svg.js";

const [WIDTH, HEIGHT, RADIUS] = [400, 380, 28];

function places(edges) {
  const radius = edges.length > 1 ? Math.min(WIDTH, HEIGHT) / 2 - 52 : 0;
  return new Map(edges.map((edge, at) => {
    const angle = (at / edges.length) * 2 * Math.PI - Math.PI / 2;
    return [edge.id, [WIDTH / 2 + radius * Math.cos(angle), HEIGHT / 2 + radius * Math.sin(angle)]];
  }));
}

function flow(from, to, rate, size) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / length, dy / length];
  // bowed to one side: the way back has the other
  const middle = [(from[0] + to[0]) / 2 - uy * 26, (from[1] + to[1]) / 2 + ux * 26];
  const start = [from[0] + ux * size - uy * 6, from[1] + uy * size + ux * 6];
  const end = [to[0] - ux * (size + 9) - uy * 6, to[1] - uy * (size + 9) + ux * 6];
  const width = Math.min(9, 1 + Math.log10(1 + rate / 1e3));
  const line = make("path", {
    class: "flow", d: `M${start} Q${middle} ${end}`, "stroke-width": width.toFixed(1), "marker-end": "url(#tip)",
  });
  const [t, u] = [0.36, 0.64]; // nearer to where it starts: arrows that cross do so in the middle
  const [x, y] = [0, 1].map((axis) => u * u * start[axis] + 2 * t * u * middle[axis] + t * t * end[axis]);
  // beside the arrow, on the side that it is bowed to, as far as the text is wide there: a line through it is hard to read
  const said = bits(rate);
  const away = Math.abs(uy) * said.length * 2.9 + Math.abs(ux) * 7 + 5;
  const text = make("text", { class: "flow-text", x: x - uy * away, y: y + ux * away + 4 }, said);
  return [line, text];
}

function node(edge, [x, y], size) {
  const group = make("g", { class: `edge ${colour(edge)}`, "data-edge": edge.name });
  group.append(
    make("title", {}, [`${edge.name}, id ${edge.id}, site ${edge.site}: ${edge.health.state}`, ...edge.health.reasons.map((each) => each.reason)].join("\n")),
    make("circle", { cx: x, cy: y, r: size }),
    make("text", { x, y: y + 5 }, size < 20 ? String(edge.id) : edge.name),
  );
  if (size >= 20) group.append(make("text", { class: "below", x, y: y + size + 17 }, edge.state === "up" ? edge.site : edge.state));
  return group;
}

export function draw(svg, drawn) {
  const at = places(drawn);
  const size = drawn.length > 10 ? 15 : RADIUS;
  const tip = make("marker", { id: "tip", viewBox: "0 0 8 8", refX: 3, refY: 4, markerWidth: 9, markerHeight: 9, orient: "auto", markerUnits: "userSpaceOnUse" });
  tip.append(make("path", { d: "M0 0 L8 4 L0 8 z", fill: "var(--flow)" }));
  const arrows = drawn.flatMap((edge) => (edge.lease?.forwards ?? [])
    .filter((to) => at.has(to.edge_id) && to.bits_per_second > 0)
    .flatMap((to) => flow(at.get(edge.id), at.get(to.edge_id), to.bits_per_second, size)));
  const defs = make("defs", {});
  defs.append(tip);
  const [lines, texts] = [arrows.filter((one) => one.tagName === "path"), arrows.filter((one) => one.tagName === "text")];
  svg.replaceChildren(defs, ...lines, ...drawn.map((edge) => node(edge, at.get(edge.id), size)), ...texts);
}
