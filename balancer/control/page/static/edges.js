// The table of edges: one row each, changed in place so that a button does not move under the pointer.

export const SHOWN = 100;
const EPOCH = 2 ** 27; // generations of an epoch; a new one begins when the database went back

export function bits(perSecond) {
  const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
  let unit = 0;
  while (perSecond >= 1000 && unit < units.length - 1) {
    perSecond /= 1000;
    unit += 1;
  }
  return `${perSecond < 10 && unit > 0 ? perSecond.toFixed(1) : Math.round(perSecond)} ${units[unit]}`;
}

export function clock(time) {
  return new Date(time).toLocaleTimeString([], { hourCycle: "h23" });
}

export function colour(edge) {
  if (edge.state === "down") return "bad";
  return edge.state === "draining" || edge.health.state === "degraded" ? "warn" : "good";
}

export function forwards(edge) {
  return (edge.lease?.forwards ?? []).reduce((sum, to) => sum + to.bits_per_second, 0);
}

function cell(row, name, text, kind = "") {
  const found = row.querySelector(`[data-cell="${name}"]`);
  if (found.textContent !== text) found.textContent = text;
  found.className = kind;
}

const REPORTED = ["tunnel_v4", "tunnel_v6", "outside", "peer_key"]; // fields of EdgeReport

// what the edge reports and no operator has accepted, with a button for either decision
function newPending(row, actions) {
  const made = Object.assign(document.createElement("div"), { className: "pending", hidden: true });
  made.append(document.createElement("span"));
  for (const [name, accepted] of [["Accept", true], ["Refuse", false]]) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", () => actions.decide(row.dataset.edge, accepted, made.dataset.seen, button));
    made.append(button);
  }
  return made;
}

function fillPending(row, edge, mayOperate) {
  const made = row.querySelector(".pending");
  made.hidden = !edge.pending;
  if (made.hidden) return;
  const changed = REPORTED.filter((name) => edge.pending[name] !== edge[name]);
  const text = changed.map((name) => `${name} ${edge[name] ?? "none"} → ${edge.pending[name] ?? "none"}`).join(", ");
  made.firstElementChild.textContent = `reports, not accepted: ${text}`;
  made.dataset.seen = JSON.stringify(Object.fromEntries(REPORTED.map((name) => [name, edge.pending[name]])));
  for (const button of made.querySelectorAll("button")) button.hidden = !mayOperate;
}

function newRow(edge, actions) {
  const row = document.createElement("tr");
  row.dataset.edge = edge.name;
  for (const name of ["id", "name", "site", "health", "setting", "sessions", "forwards", "applied", "act"]) {
    const made = row.insertCell();
    if (["sessions", "forwards", "applied"].includes(name)) made.className = "number";
    if (name === "health") {
      const chip = Object.assign(document.createElement("span"), { className: "chip" });
      const reasons = Object.assign(document.createElement("ul"), { className: "reasons" });
      chip.dataset.cell = "health";
      reasons.dataset.cell = "reasons";
      made.append(chip, reasons, newPending(row, actions));
    } else if (name === "act") {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.addEventListener("click", () => actions.change(row.dataset.edge, button.dataset.to, button));
      made.append(button);
    } else if (name === "name") {
      const link = Object.assign(document.createElement("button"), { type: "button", className: "link", title: "Show its traffic" });
      link.dataset.cell = name;
      link.addEventListener("click", () => actions.choose(row.dataset.edge));
      made.append(link);
    } else {
      const text = document.createElement("span");
      text.dataset.cell = name;
      made.append(text);
    }
  }
  return row;
}

export function count(generation) {
  return String(generation % EPOCH);
}

// the generation that a forwarder has applied, compared with the newest
function describeApplied(applied, generation) {
  if (applied === null) return "–";
  if (applied > generation) return `${count(applied)}, unknown here: the database went back`;
  if (generation - applied >= EPOCH) return "from before the database went back";
  return applied < generation ? `${count(applied)}, ${generation - applied} behind` : count(applied);
}

function fillRow(row, edge, generation, mayOperate) {
  cell(row, "id", String(edge.id));
  cell(row, "name", edge.name, "link");
  cell(row, "site", edge.site);
  cell(row, "health", edge.health.state, `chip ${colour(edge)}`);
  cell(row, "setting", edge.admin_state, edge.admin_state === "active" ? "" : "chip warn");
  cell(row, "sessions", edge.lease?.sessions?.toLocaleString() ?? "–");
  cell(row, "forwards", edge.lease ? bits(forwards(edge)) : "–");
  const applied = edge.lease?.applied_generation ?? null;
  cell(row, "applied", describeApplied(applied, generation), applied !== null && applied !== generation ? "warn" : "");
  const reasons = row.querySelector(".reasons");
  reasons.replaceChildren(...edge.health.reasons.map(({ reason, since }) => Object.assign(document.createElement("li"), {
    textContent: `${reason}, since ${clock(since)}`,
  })));
  fillPending(row, edge, mayOperate);
  const button = row.lastElementChild.querySelector("button");
  const to = edge.admin_state === "active" ? "draining" : "active";
  button.dataset.to = to;
  button.textContent = to === "active" ? "Undrain" : "Drain";
  button.hidden = !mayOperate;
}

export function showEdges(body, edges, generation, actions, mayOperate) {
  const rows = new Map([...body.rows].map((row) => [row.dataset.edge, row]));
  const shown = edges.map((edge) => {
    const row = rows.get(edge.name) ?? newRow(edge, actions);
    fillRow(row, edge, generation, mayOperate);
    return row;
  });
  if (shown.length !== body.rows.length || shown.some((row, at) => body.rows[at] !== row)) body.replaceChildren(...shown);
}
