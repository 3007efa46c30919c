// The table of services: what is active, how far it has come at the edges, and how its rollout does.

import { Refused, ask, every } from "./api.js";

export const SERVICES_SHOWN = 200;
const ROLLOUTS_ASKED = 20;

export async function lookAtServices() {
  const services = await every("/v1/services", "");
  const rolling = services.filter((one) => one.candidate !== null).slice(0, ROLLOUTS_ASKED);
  const rollouts = new Map();
  await Promise.all(rolling.map(async (one) => {
    try {
      rollouts.set(one.name, await ask("GET", `/v1/services/${one.name}/rollout`));
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // it has just ended
    }
  }));
  return { services, rollouts };
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

function rowOf(service, rollout) {
  const row = document.createElement("tr");
  row.dataset.service = service.name;
  const names = service.hostnames.slice(0, 3).join(", ") + (service.hostnames.length > 3 ? `, and ${service.hostnames.length - 3} more` : "");
  for (const text of [service.name, service.kind ?? "–", String(service.active ?? "–"), String(service.newest ?? "–")]) {
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
  row.insertCell().textContent = describeRollout(service, rollout);
  row.insertCell().textContent = names;
  return row;
}

// services with something to look at come first
function urgency(service) {
  return service.edges.refused.length ? 0 : service.candidate !== null ? 1 : 2;
}

export function showServices(body, { services, rollouts }, wanted) {
  const matching = services.filter((one) => `${one.name} ${one.hostnames.join(" ")}`.includes(wanted));
  matching.sort((one, other) => urgency(one) - urgency(other));
  body.replaceChildren(...matching.slice(0, SERVICES_SHOWN).map((one) => rowOf(one, rollouts.get(one.name))));
  return matching.length;
}
