// The rings of sites: who takes first subflows and in which share, and who did before the last change.

import { colour } from "./edges.js";
import { make } from "./svg.js";

const SITES = 40; // shown at most
const HUES = 8; // colours of fleet.css
let shown = "";

// what /v1/table answers, whole or since the generation that is known already
export function learn(rings, table) {
  const known = new Map("since" in table ? rings : []);
  for (const site of table.sites ?? []) known.set(site.name, site);
  for (const name of table.removed_sites ?? []) known.delete(name);
  return known;
}

function shares(members) {
  const total = members.reduce((sum, member) => sum + member.weight, 0);
  return members.map((member) => ({ ...member, percent: (100 * member.weight) / total }));
}

function hue(site, id) {
  const ids = [...new Set([...site.current, ...site.previous].map((member) => member.id))].sort((a, b) => a - b);
  return `hue${ids.indexOf(id) % HUES}`;
}

function arcs(site, members, radius, width, kind) {
  let begun = 0;
  return shares(members).filter((member) => member.percent > 0).map((member) => {
    const arc = make("circle", {
      class: `${kind} ${hue(site, member.id)}`, cx: 50, cy: 50, r: radius, "stroke-width": width, pathLength: 100,
      "stroke-dasharray": `${member.percent} ${100 - member.percent}`, "stroke-dashoffset": 25 - begun,
    });
    begun += member.percent;
    return arc;
  });
}

function drawing(site) {
  const svg = make("svg", { viewBox: "0 0 100 100", class: "ring", "aria-hidden": "true" });
  svg.append(...arcs(site, site.current, 38, 14, "now"));
  if (site.previous.length) svg.append(...arcs(site, site.previous, 25, 4, "before"));
  return svg;
}

function line(site, member, edge) {
  const item = document.createElement("li");
  item.dataset.edge = edge?.name ?? String(member.id);
  item.className = edge ? colour(edge) : "bad";
  const says = member.weight
    ? `weight ${member.weight}, ${Math.round(member.percent)} %`
    : `takes none, hands on what others own${edge && edge.state !== "up" ? ` (${edge.state})` : ""}`;
  const swatch = Object.assign(document.createElement("span"), { className: `swatch ${member.weight ? hue(site, member.id) : ""}` });
  item.append(swatch, Object.assign(document.createElement("b"), { textContent: item.dataset.edge }), ` ${says}`);
  return item;
}

function before(site, byId) {
  const takers = shares(site.previous).filter((member) => member.weight);
  const owners = takers.map((member) => `${byId.get(member.id)?.name ?? member.id} ${Math.round(member.percent)} %`);
  return `Inner ring, before the last change: ${owners.join(", ")}.`;
}

function card(site, byId) {
  const box = document.createElement("article");
  box.dataset.site = site.name;
  const list = document.createElement("ul");
  list.append(...shares(site.current).map((member) => line(site, member, byId.get(member.id))));
  const text = document.createElement("div");
  text.append(Object.assign(document.createElement("h3"), { textContent: `Site ${site.name}` }), list);
  if (site.previous.length) text.append(Object.assign(document.createElement("p"), { className: "quiet", textContent: before(site, byId) }));
  box.append(drawing(site), text);
  return box;
}

// the edges of the first rings by name, whose names are shown
export function membersShown(rings) {
  const sites = [...rings.values()].sort((a, b) => a.name.localeCompare(b.name)).slice(0, SITES);
  return new Set(sites.flatMap((site) => [...site.current, ...site.previous].map((member) => member.id)));
}

// returns how many are shown, and how many match
export function showRings(box, rings, edges, wanted) {
  const byId = new Map(edges.map((edge) => [edge.id, edge]));
  const matches = (site) => site.name.includes(wanted) || site.current.some(({ id }) => byId.get(id)?.name.includes(wanted));
  const matching = [...rings.values()].filter(matches).sort((a, b) => a.name.localeCompare(b.name));
  const sites = matching.slice(0, SITES);
  const state = JSON.stringify(sites.map((site) => [site, site.current.map(({ id }) => byId.get(id)).map((edge) => edge && [edge.name, colour(edge), edge.state])]));
  if (state !== shown) box.replaceChildren(...sites.map((site) => card(site, byId)));
  shown = state;
  return [sites.length, matching.length];
}
