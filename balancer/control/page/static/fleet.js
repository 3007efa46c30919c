// The page's life: log in, then look at the fleet every other second and say when the view is old.

import { Refused, ask, every } from "./api.js";
import { draw } from "./drawing.js";
import { SHOWN, clock, count, showEdges } from "./edges.js";
import { learn, showRings } from "./rings.js";
import { SERVICES_SHOWN, lookAtServices, showServices } from "./services.js";

const LOOK = 1_000; // milliseconds between looks at a fleet of up to a thousand edges; more are looked at less often
const SERVICES_LOOK = 2_000; // milliseconds between looks at up to 500 services; more are looked at less often
const at = (id) => document.getElementById(id);
const state = { edges: [], generation: 0, served: { services: [], rollouts: new Map() }, servicesDue: 0, rings: new Map(), ringsAsOf: null, mayOperate: false, timer: null };

function show(loggedIn) {
  at("login").hidden = loggedIn;
  at("fleet").hidden = at("logout").hidden = !loggedIn;
}

function connection(kind, text) {
  at("connection").className = `chip ${kind}`;
  at("connection").textContent = text;
}

function paint() {
  const { edges, generation } = state;
  const tally = (test) => edges.filter(test).length;
  const parts = [`${edges.length} edges`, `${tally((e) => e.state === "up")} up`];
  for (const [name, number] of [
    ["degraded", tally((e) => e.state === "up" && e.health.state === "degraded")],
    ["draining", tally((e) => e.state === "draining")],
    ["down", tally((e) => e.state === "down")],
  ]) if (number) parts.push(`${number} ${name}`);
  at("summary").textContent = `${parts.join(", ")} · table generation ${count(generation)}`;
  const wanted = at("filter").value.trim().toLowerCase();
  const matching = showEdges(at("edges"), edges, wanted, generation, { change }, state.mayOperate);
  at("edges-note").textContent = matching > SHOWN ? `${SHOWN} of ${matching} shown: filter to see others` : "";
  const drawn = draw(at("drawing"), edges);
  at("drawing-note").textContent = drawn < edges.length ? `${drawn} of ${edges.length}: those not well, then the busiest` : "An arrow leads from an edge to another that it sends through the tunnel: subflows to their owner, replies to where they came in.";
  paintRings();
  paintServices();
}

function paintServices() {
  at("services-section").hidden = !state.served.services.length;
  const wanted = at("services-filter").value.trim().toLowerCase();
  const matching = showServices(at("services"), state.served, wanted);
  at("services-note").textContent = matching > SERVICES_SHOWN ? `${SERVICES_SHOWN} of ${matching} shown: filter to see others` : "";
}

function paintRings() {
  at("rings-section").hidden = !state.rings.size;
  const [shown, matching] = showRings(at("rings"), state.rings, state.edges, at("filter").value.trim().toLowerCase());
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
    const [health, edges, freeze, events] = await Promise.all([
      ask("GET", "/v1/health"), every("/v1/edges"), ask("GET", "/v1/freeze"),
      state.mayOperate ? ask("GET", "/v1/audit?limit=50") : { items: [] },
    ]);
    Object.assign(state, { generation: health.generation, edges });
    if (state.ringsAsOf !== health.generation) await lookAtRings();
    if (Date.now() >= state.servicesDue) {
      state.served = await lookAtServices();
      state.servicesDue = Date.now() + SERVICES_LOOK * Math.max(1, state.served.services.length / 500);
    }
    at("frozen").hidden = !freeze.frozen;
    paint();
    paintEvents(events.items);
    connection("good", "live");
    at("failure").textContent = "";
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return show(false);
    connection("bad", `no answer since ${clock(Date.now())}`);
    at("failure").textContent = `The control plane does not answer (${error.message}). What is shown is old; edges and forwarders go on without it.`;
  }
  state.timer = setTimeout(look, LOOK * Math.max(1, state.edges.length / 1000));
}

async function lookAtRings() {
  const table = await ask("GET", `/v1/table${state.ringsAsOf === null ? "" : `?since=${state.ringsAsOf}`}`);
  Object.assign(state, { rings: learn(state.rings, table), ringsAsOf: table.generation });
}

async function change(name, to, button) {
  const edge = state.edges.find((one) => one.name === name);
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
at("filter").addEventListener("input", paint);
at("services-filter").addEventListener("input", paintServices);

enter().catch((error) => {
  show(false);
  connection("", "logged out");
  if (!(error instanceof Refused)) at("failure").textContent = error.message;
});
