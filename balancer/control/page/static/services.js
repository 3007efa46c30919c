// The table of services: what is active, how far it has come at the edges, and how its rollout does.

import { Refused, ask } from "./api.js";
import { sparkline } from "./charts.js";
import { percent, seconds, short } from "./traffic.js";

const SERVICES_SHOWN = 100;
const ROLLOUTS_ASKED = 20;

export async function lookAtServices(wanted) {
  const asked = new URLSearchParams([["matching", wanted], ["limit", SERVICES_SHOWN]]);
  const [served, origins] = await Promise.all([ask("GET", `/v1/overview/services?${asked}`), ask("GET", "/v1/origins")]);
  const rolling = served.items.map((one) => one.service).filter((one) => one.candidate !== null).slice(0, ROLLOUTS_ASKED);
  const rollouts = new Map();
  await Promise.all(rolling.map(async (one) => {
    try {
      rollouts.set(one.name, await ask("GET", `/v1/services/${one.name}/rollout`));
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // it has just ended
    }
  }));
  return { ...served, rollouts, origins };
}

// as `sennit services top` has them
const REASONS = ["overloaded", "draining", "timeout", "connection lost", "client aborted", "mismatch", "certificate", "unsupported", "invalid"];

function describeFailures(failures) {
  const most = Math.max(...failures);
  return most ? `${failures.reduce((sum, one) => sum + one, 0)} ${REASONS[failures.indexOf(most)]}` : "–";
}

const share = (part, whole) => (whole ? percent(part / whole) : "–");

function addFigures(row, total, line) {
  const numbers = total ? [
    short(total.session_seconds / 60), describeFailures(total.handshake_failures),
    short(total.requests / 60), null, share(total.hits, total.requests), share(total.statuses[5], total.requests),
    total.origin_requests ? seconds(total.origin_seconds / total.origin_requests) : "–",
  ] : ["–", "–", "–", null, "–", "–", "–"];
  for (const text of numbers) {
    const cell = row.insertCell();
    if (text === null) {
      if (line.length) cell.append(sparkline(line));
      continue;
    }
    cell.className = "number";
    cell.textContent = text;
  }
  if (total?.statuses[5] > total?.requests / 100) row.cells[row.cells.length - 2].classList.add("bad");
}

function describeEdges(edges) {
  if (edges.refused.length) return [`${edges.refused.length} refuse`, "chip bad"];
  if (edges.applied < edges.live) return [`${edges.applied} of ${edges.live}`, "chip warn"];
  return [edges.live ? `all ${edges.live}` : "none live", edges.live ? "chip good" : "chip"];
}

function describeRollout(service, rollout) {
  if (service.candidate === null) return "";
  if (!rollout) return `brings revision ${service.candidate}`;
  const stage = rollout.stages[rollout.position];
  const of = stage.site === null ? `${Math.round(stage.share * 100)} % of edges` : `site ${stage.site}`;
  const why = rollout.why ? `: ${rollout.why}` : "";
  const dwell = `${Math.round(rollout.well_seconds)} of ${Math.round(rollout.dwell_seconds)} s`;
  return `revision ${rollout.candidate} ${rollout.state}, stage ${rollout.position + 1} of ${rollout.stages.length}, ${of}: ${rollout.health}${why}, ${dwell}`;
}

function rowOf({ service, total, requests }, rollouts, choose) {
  const rollout = rollouts.get(service.name);
  const row = document.createElement("tr");
  row.dataset.service = service.name;
  const names = service.hostnames.slice(0, 3).join(", ") + (service.hostnames.length > 3 ? `, and ${service.hostnames.length - 3} more` : "");
  const name = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: service.name, title: "Show its traffic" });
  name.addEventListener("click", () => choose(service.name));
  row.insertCell().append(name);
  for (const text of [service.kind ?? "–", String(service.active ?? "–"), String(service.newest ?? "–")]) {
    row.insertCell().textContent = text;
  }
  const [text, kind] = describeEdges(service.edges);
  const chip = Object.assign(document.createElement("span"), { className: kind, textContent: text });
  const reasons = Object.assign(document.createElement("ul"), { className: "reasons" });
  for (const refusal of service.edges.refused.slice(0, 3)) {
    const line = document.createElement("li");
    line.textContent = `edge ${refusal.edge_id}, revision ${refusal.revision}: ${refusal.reason}`;
    reasons.append(line);
  }
  row.insertCell().append(chip, reasons);
  addFigures(row, total, requests);
  row.insertCell().textContent = describeRollout(service, rollout);
  row.insertCell().textContent = names;
  return row;
}

export function showServices(body, served, choose) {
  body.replaceChildren(...served.items.map((one) => rowOf(one, served.rollouts, choose)));
}
