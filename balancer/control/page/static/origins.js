// The table of origins: those that are not healthy at an edge, then the slowest.

import { clock } from "./edges.js";
import { seconds } from "./traffic.js";

export const ORIGINS_SHOWN = 50;

function stateOf(origin) {
  const [first] = origin.edges;
  const chip = Object.assign(document.createElement("span"), { className: `chip ${origin.unhealthy_edges ? "bad" : "good"}` });
  chip.textContent = origin.unhealthy_edges
    ? `${first.state} at ${origin.unhealthy_edges === 1 ? `edge ${first.edge_id}` : `${origin.unhealthy_edges} edges`}`
    : "healthy";
  return chip;
}

function rowOf(origin) {
  const row = document.createElement("tr");
  row.dataset.origin = `${origin.service}/${origin.origin}`;
  row.insertCell().textContent = origin.service;
  row.insertCell().textContent = origin.origin;
  row.insertCell().append(stateOf(origin));
  const latency = row.insertCell();
  latency.className = "number";
  latency.textContent = origin.latency === null ? "–" : seconds(origin.latency);
  const [first] = origin.edges;
  row.insertCell().textContent = first.since ? clock(first.since) : "–";
  row.insertCell().textContent = first.cause || "–";
  return row;
}

export function showOrigins(body, origins, wanted) {
  const matching = origins.items.filter((one) => `${one.service} ${one.origin}`.includes(wanted));
  body.replaceChildren(...matching.slice(0, ORIGINS_SHOWN).map(rowOf));
  return matching.length;
}
