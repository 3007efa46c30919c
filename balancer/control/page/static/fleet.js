// The page's life: log in, then look at the fleet every other second and say when the view is old.

import { Refused, ask } from "./api.js";
import { draw } from "./drawing.js";
import { SHOWN, clock, count, showEdges } from "./edges.js";
import { learn, membersShown, showRings } from "./rings.js";
import { ORIGINS_SHOWN, showOrigins } from "./origins.js";
import { lookAtServices, showServices } from "./services.js";
import { lookAtTraffic, scope, showTraffic } from "./traffic.js";

const LOOK = 1_000; // milliseconds between looks at a fleet of up to a thousand edges, of more two seconds
const SERVICES_LOOK = 2_000; // milliseconds between looks at services; at more than a thousand five seconds
const NO_FLEET = { edges: 0, up: 0, degraded: 0, draining: 0, down: 0, generation: 0, matching: 0, items: [], drawn: [], named: [] };
const at = (id) => document.getElementById(id);
const state = { fleet: NO_FLEET, firstEdge: 0, served: { services: 0, matching: 0, items: [], rollouts: new Map(), origins: { edges: 0, unhealthy: 0, items: [] } }, trafficDue: 0, transitions: [], servicesDue: 0, rings: new Map(), ringsAsOf: null, mayOperate: false, timer: null };

function show(loggedIn) {
  at("login").hidden = loggedIn;
  at("fleet").hidden = at("logout").hidden = !loggedIn;
}

function connection(kind, text) {
  at("connection").className = `chip ${kind}`;
  at("connection").textContent = text;
}

function paint() {
  const { fleet } = state;
  const parts = [`${fleet.edges.toLocaleString()} edges`, `${fleet.up.toLocaleString()} up`];
  for (const name of ["degraded", "draining", "down"]) if (fleet[name]) parts.push(`${fleet[name].toLocaleString()} ${name}`);
  at("summary").textContent = `${parts.join(", ")} · table generation ${count(fleet.generation)}`;
  showEdges(at("edges"), fleet.items, fleet.generation, { change, decide, choose: chooseEdge }, state.mayOperate);
  paintPages(fleet.matching);
  draw(at("drawing"), fleet.drawn);
  const drawn = fleet.drawn.length;
  at("drawing-note").textContent = drawn < fleet.edges ? `${drawn} of ${fleet.edges.toLocaleString()}: those not well, then the busiest` : "An arrow leads from an edge to another that it sends through the tunnel: subflows to their owner, replies to where they came in.";
  paintRings();
  paintServices();
}

// which edges of so many are shown, and buttons to the others
function paintPages(matching) {
  const last = Math.min(state.firstEdge + SHOWN, matching);
  at("edges-range").textContent = matching > SHOWN ? `${state.firstEdge + 1} to ${last} of ${matching.toLocaleString()}, those not well first` : "";
  at("edges-pager").hidden = matching <= SHOWN;
  at("edges-before").disabled = state.firstEdge === 0;
  at("edges-after").disabled = last >= matching;
}

function turnPage(by) {
  state.firstEdge = Math.max(0, state.firstEdge + by);
  return look();
}

function choose(service, edge) {
  Object.assign(scope, { service, edge });
  paintScope();
  at("traffic-title").scrollIntoView({ block: "nearest" });
  refreshTraffic();
}

function chooseEdge(name) {
  choose(null, state.fleet.items.find((one) => one.name === name));
}

function paintScope() {
  at("traffic-title").textContent = scope.edge ? `Traffic of edge ${scope.edge.name}` : scope.service ? `Traffic of service ${scope.service}` : "Traffic of the fleet";
  at("whole-fleet").hidden = !scope.edge && !scope.service;
  at("steps").hidden = scope.edge !== null;
  at("traffic-note").textContent = scope.edge ? "The last hour, minute by minute." : "";
  for (const button of at("steps").children) button.setAttribute("aria-pressed", String(Number(button.dataset.step) === scope.step));
}

async function refreshTraffic() {
  state.trafficDue = Date.now() + (scope.edge ? 10_000 : Math.min(scope.step, 30) * 500);
  const asked = JSON.stringify(scope);
  const history = await lookAtTraffic();
  if (asked === JSON.stringify(scope)) showTraffic(at("traffic"), history);
}

// those that the last answer had
function knownEdges() {
  return [...state.fleet.items, ...state.fleet.drawn, ...state.fleet.named];
}

function paintTransitions() {
  const names = new Map(knownEdges().map((edge) => [edge.id, edge.name]));
  at("transitions").replaceChildren(...state.transitions.map((one) => {
    const line = document.createElement("li");
    const when = Object.assign(document.createElement("time"), { dateTime: one.at, textContent: clock(one.at) });
    const what = Object.assign(document.createElement("b"), { className: one.what === "down" ? "bad" : "good", textContent: one.what });
    line.append(when, `${names.get(one.edge_id) ?? `edge ${one.edge_id}`} `, what, one.detail ? `: ${one.detail}` : "");
    return line;
  }));
}

function paintServices() {
  const { served } = state;
  at("services-section").hidden = !served.services;
  const wanted = wantedServices();
  showServices(at("services"), served, (name) => choose(name, null));
  const origins = state.served.origins;
  at("origins-section").hidden = !origins.items.length;
  const listed = showOrigins(at("origins"), origins, wanted);
  at("origins-note").textContent = listed > ORIGINS_SHOWN ? `${ORIGINS_SHOWN} of ${listed} shown: filter services to see others` : "";
  at("services-note").textContent = served.matching > served.items.length ? `${served.items.length} of ${served.matching.toLocaleString()} shown: filter to see others` : "";
}

const wantedServices = () => at("services-filter").value.trim().toLowerCase();

function paintRings() {
  at("rings-section").hidden = !state.rings.size;
  const [shown, matching] = showRings(at("rings"), state.rings, knownEdges(), at("filter").value.trim().toLowerCase());
  at("rings-note").textContent = shown < matching ? `${shown} of ${matching} shown: filter to see others` : "";
}

function paintEvents(events) {
  at("events").replaceChildren(...events.map((event) => {
    const line = document.createElement("li");
    const when = Object.assign(document.createElement("time"), { dateTime: event.at, textContent: clock(event.at) });
    const why = event.why ? `, because: ${event.why}` : "";
    line.append(when, `${event.who}: ${event.what} ${event.target} ${event.detail}${why}`);
    return line;
  }));
}

async function look() {
  clearTimeout(state.timer);
  try {
    const wanted = at("filter").value.trim().toLowerCase();
    const named = new Set([...state.transitions.map((one) => one.edge_id), ...membersShown(state.rings)]);
    const asked = new URLSearchParams([
      ["matching", wanted], ["first", state.firstEdge], ["limit", SHOWN], ...[...named].slice(0, 400).map((id) => ["edge", id]),
    ]);
    const [fleet, freeze, transitions, events] = await Promise.all([
      ask("GET", `/v1/overview/edges?${asked}`), ask("GET", "/v1/freeze"), ask("GET", "/v1/transitions?limit=50"),
      state.mayOperate ? ask("GET", "/v1/audit?limit=50") : { items: [] },
    ]);
    Object.assign(state, { fleet, transitions: transitions.items });
    if (state.ringsAsOf !== fleet.generation) await lookAtRings();
    if (Date.now() >= state.servicesDue) await refreshServices();
    if (Date.now() >= state.trafficDue) await refreshTraffic();
    at("frozen").hidden = !freeze.frozen;
    paint();
    paintTransitions();
    paintEvents(events.items);
    connection("good", "live");
    at("failure").textContent = "";
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return show(false);
    connection("bad", `no answer since ${clock(Date.now())}`);
    at("failure").textContent = `The control plane does not answer (${error.message}). What is shown is old; edges and forwarders go on without it.`;
  }
  clearTimeout(state.timer); // another look may have begun meanwhile, for a filter
  state.timer = setTimeout(look, state.fleet.edges > 1000 ? 2 * LOOK : LOOK);
}

async function refreshServices() {
  const wanted = wantedServices();
  const served = await lookAtServices(wanted);
  if (wanted !== wantedServices()) return; // the filter has changed, and asks itself
  state.served = served;
  state.servicesDue = Date.now() + (served.services > 1000 ? 5_000 : SERVICES_LOOK);
}

async function lookAtRings() {
  const table = await ask("GET", `/v1/table${state.ringsAsOf === null ? "" : `?since=${state.ringsAsOf}`}`);
  Object.assign(state, { rings: learn(state.rings, table), ringsAsOf: table.generation });
}

async function change(name, to, button) {
  const edge = state.fleet.items.find((one) => one.name === name);
  if (to === "draining" && !confirm(`Drain ${name}? New downloads go to the next edge; running ones end here.`)) return;
  button.disabled = true;
  try {
    await ask("PATCH", `/v1/edges/${edge.id}`, { admin_state: to }, { "Sennit-Reason": "fleet page" });
    await look();
  } catch (error) {
    at("failure").textContent = `${name}: ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

// `seen`: the report that the operator has read, as JSON; another one is not accepted
async function decide(name, accepted, seen, button) {
  const edge = state.fleet.items.find((one) => one.name === name);
  if (accepted && !confirm(`Send the traffic for ${name} where it says that it is now?`)) return;
  button.disabled = true;
  try {
    await ask(accepted ? "POST" : "DELETE", `/v1/edges/${edge.id}/pending`, accepted ? JSON.parse(seen) : undefined, { "Sennit-Reason": "fleet page" });
    await look();
  } catch (error) {
    at("failure").textContent = `${name}: ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

async function enter() {
  const who = await ask("GET", "/v1/whoami");
  state.mayOperate = ["operate", "admin"].includes(who.role);
  at("events-section").hidden = !state.mayOperate; // the audit log is for operators
  show(true);
  await look();
}

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("refused").textContent = "";
  try {
    await ask("POST", "/v1/login", { token: at("token").value.trim() });
    at("token").value = "";
    await enter();
  } catch (error) {
    at("refused").textContent = error.message;
  }
});
at("logout").addEventListener("click", async () => {
  clearTimeout(state.timer);
  await ask("POST", "/v1/logout");
  show(false);
  connection("", "logged out");
});
at("filter").addEventListener("input", () => turnPage(-state.firstEdge));
at("edges-before").addEventListener("click", () => turnPage(-SHOWN));
at("edges-after").addEventListener("click", () => turnPage(SHOWN));
at("whole-fleet").addEventListener("click", () => choose(null, null));
for (const button of at("steps").children) {
  button.addEventListener("click", () => {
    scope.step = Number(button.dataset.step);
    paintScope();
    refreshTraffic();
  });
}
at("services-filter").addEventListener("input", async () => {
  await refreshServices();
  paintServices();
});

enter().catch((error) => {
  show(false);
  connection("", "logged out");
  if (!(error instanceof Refused)) at("failure").textContent = error.message;
});
