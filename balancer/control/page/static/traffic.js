// Traffic over time, of the fleet, a service or an edge: four charts, from the control plane's rings.

import { ask } from "./api.js";
import { drawChart } from "./charts.js";
import { bits } from "./edges.js";

export const scope = { service: null, edge: null, step: 10 };

// 1.50 is 1.5, and 100 stays
const withoutZeros = (digits) => (digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits);

export function short(number) {
  if (number >= 999.5) {
    const power = Math.min(3, Math.floor(Math.log10(number * 1.0005) / 3));
    return `${withoutZeros((number / 1000 ** power).toPrecision(3))}${["", "k", "M", "G"][power]}`;
  }
  return number === 0 || number >= 10 ? String(Math.round(number)) : withoutZeros(number.toPrecision(2));
}

export function percent(share) {
  return `${short(share * 100)} %`;
}

export function seconds(value) {
  return value >= 1 ? `${short(value)} s` : `${short(value * 1000)} ms`;
}

export async function lookAtTraffic() {
  if (scope.edge) return ask("GET", `/v1/figures/edges?edge=${scope.edge.id}`);
  const asked = new URLSearchParams({ step: scope.step });
  if (scope.service) asked.append("service", scope.service);
  return ask("GET", `/v1/figures/history?${asked}`);
}

const ratio = (parts, wholes) => parts.map((part, at) => (wholes[at] ? part / wholes[at] : null));

export function showTraffic(box, history) {
  const line = history.lines[0];
  const per = (values) => values.map((value) => value / history.step_seconds);
  const common = { begin: Date.parse(history.begin), step: history.step_seconds * 1000 };
  const charts = [
    { title: "Requests a second", format: short, lines: [
      { name: "all", hue: "hue0", values: per(line.requests) },
      { name: "to origins", hue: "hue1", values: per(line.origin_requests) },
    ] },
    { title: "Sent to clients", format: bits, lines: [{ name: "rate", hue: "hue5", values: per(line.bytes_out).map((each) => each * 8) }] },
    { title: "Hit ratio", format: percent, highest: 1, lines: [{ name: "hits", hue: "hue2", values: ratio(line.hits, line.requests) }] },
    { title: "Errors", format: percent, lines: [
      { name: "5xx", hue: "hue4", values: ratio(line.server_errors, line.requests) },
      { name: "4xx", hue: "hue1", values: ratio(line.client_errors, line.requests) },
      { name: "of origins", hue: "hue3", values: ratio(line.origin_failures, line.origin_requests) },
    ] },
    { title: "Origin latency", format: seconds, lines: [
      { name: "mean", hue: "hue0", values: ratio(line.origin_seconds, line.origin_requests) },
      ...(line.origin_p95.length ? [{ name: "p95", hue: "hue3", values: line.origin_p95 }] : []),
    ] },
    // not kept for an edge
    ...(line.open_sessions.length ? [{ title: "Sessions", format: short, lines: [
      { name: "open", hue: "hue0", values: line.open_sessions },
      { name: "failed handshakes/s", hue: "hue4", values: per(line.handshake_failures) },
    ] }] : []),
  ];
  while (box.children.length < charts.length) box.append(document.createElement("article"));
  while (box.children.length > charts.length) box.lastElementChild.remove();
  charts.forEach((chart, at) => drawChart(box.children[at], { ...common, ...chart, label: `${chart.title} over time` }));
}
