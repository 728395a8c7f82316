"use strict";
// Everything that is shown comes from callers and configuration, so all of it is set as text,
// never as HTML. Rows are updated where they stand, so that focus and reading place are kept.

const EVERY = 2000;
const LONGEST_WAIT = 30000;
const PATIENCE = 15000;
const WINDOW = 10;
const $ = (id) => document.getElementById(id);

const histories = new Map();
let state = null;
let timer = null;
let asking = false;
let failures = 0;
let updated = 0;

// ---- words for numbers ----------------------------------------------------------------------

function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1e3).toPrecision(3)} ms`;
  if (value < 120) return `${value.toPrecision(3)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return value < 172800 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86400)} d`;
}

function rate(value) {
  if (value === null) return "";
  if (value === 0) return "0";
  return value < 10 ? value.toPrecision(2) : Math.round(value).toLocaleString("en");
}

const whole = (value) => value.toLocaleString("en");
const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
const words = (word) => word.replaceAll("_", " ");

// ---- rates: the difference of two documents of one run --------------------------------------

function remember(document_) {
  const counts = new Map();
  for (const each of all(document_)) {
    counts.set(each.key, { count: each.count, error: each.error, refused: each.refused,
      buckets: each.latency.buckets });
  }
  for (const each of document_.workers) counts.set(`worker ${each.pid}`, { count: each.calls, cpu: each.cpu });
  const history = histories.get(document_.run) || [];
  histories.delete(document_.run);
  histories.set(document_.run, history);
  if (histories.size > 8) histories.delete(histories.keys().next().value);
  if (!history.length || document_.at > history.at(-1).at) history.push({ at: document_.at, counts });
  while (history.length > 2 && history[1].at <= document_.at - WINDOW) history.shift();
}

function all(document_) {
  const found = [];
  const add = (each, of) => { each.key = `${of} ${each.method} ${each.path} ${each.name}`; found.push(each); };
  document_.endpoints.forEach((each) => add(each, ""));
  document_.services.forEach((service) => service.endpoints.forEach((each) => add(each, service.name)));
  return found;
}

function grown(key) {
  const history = histories.get(state.run);
  const then = history[0], now = history.at(-1);
  const before = then.counts.get(key), after = now.counts.get(key);
  const took = now.at - then.at;
  return before && after && took > 0 ? { before, after, took } : null;
}

const perSecond = (key, what) => {
  const span = grown(key);
  return span === null ? null : Math.max(0, span.after[what] - span.before[what]) / span.took;
};

function quantiles(each) {
  const span = grown(each.key);
  if (span === null) return [null, null, null];
  const before = new Map(span.before.buckets);
  const fresh = span.after.buckets.map(([edge, n]) => [edge, n - (before.get(edge) || 0)]).filter(([, n]) => n > 0);
  const count = fresh.reduce((sum, [, n]) => sum + n, 0);
  return [0.5, 0.9, 0.99].map((share) => {
    let passed = 0;
    for (const [edge, n] of fresh) {
      passed += n;
      if (passed >= share * count) return edge / 1.04; // the middle of a bucket 8 % wide
    }
    return null;
  });
}

// ---- the frames of the tables ---------------------------------------------------------------

const OF_CALLS = ["Calls/s", "Errors/s", "Refused/s", "In flight", "p50", "p90", "p99", "Calls in all",
  "Errors by kind", "Slow, traced"];

// Of each table: what it is about, and the headings of its columns.
const TABLES = {
  "endpoint-table": ["Rates and latency of the last 10 seconds, of all workers of this host",
    ["Endpoint", ...OF_CALLS]],
  "breaker-table": ["One state for all workers of this host",
    ["Breaker", "State", "For", "Failed of calls", "Opens at", "Last changes", "Force"]],
  "call-table": ["Calls to them in the last 10 seconds, of all workers of this host",
    ["Call", ...OF_CALLS]],
  "instance-table": ["Their instances, as the worker sees them that answered",
    ["Instance", "Service", "State", "In flight", "Latency", "Failures in a row", "Found by"]],
  "limiter-table": ["The fullest keys of each: of those that lately were over half of their burst",
    ["Limiter", "Key", "Used", "Left", "All back in"]],
  "error-table": ["The last 25 calls that failed, the latest first; refusals are not among them",
    ["When", "Endpoint", "Error", "Request id", "Path", "Took", "Trace", "Worker"]],
  "slow-table": ["The 25 slowest of the last 10 minutes",
    ["Took", "When", "Endpoint", "Request id", "Path", "Error", "Trace", "Worker"]],
  "worker-table": ["The worker processes of this host that have served",
    ["Process", "Since", "Calls", "Calls/s", "In flight", "Processor", "Memory", "Threads"]],
};

// On a phone they are not laid out as tables; to a screen reader they stay tables.
function frame(id, caption, headings) {
  const played = (tag, role, properties, ...children) => {
    const made = element(tag, properties, ...children);
    made.setAttribute("role", role);
    return made;
  };
  const cells = headings.map((textContent) => played("th", "columnheader", { scope: "col", textContent }));
  const table = $(id);
  table.setAttribute("role", "table");
  table.append(element("caption", { textContent: caption }),
    played("thead", "rowgroup", {}, played("tr", "row", {}, ...cells)), played("tbody", "rowgroup", {}));
  table.hidden = true;
}

// ---- the page, updated in place -------------------------------------------------------------

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Fill a table: `cells` of an item are texts, or functions that update their own cell.
function fill(id, items, keyOf, cells) {
  const table = $(id), body = table.tBodies[0];
  const labels = [...table.tHead.rows[0].cells].map((each) => each.textContent);
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const focused = body.contains(document.activeElement);
  table.hidden = items.length === 0;
  let place = body.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = old.get(key);
    old.delete(key);
    if (row === undefined) {
      row = element("tr", {});
      row.setAttribute("role", "row");
      row.dataset.key = key;
      labels.forEach((label, at) => {
        const cell = element(at ? "td" : "th", {});
        cell.setAttribute("role", at ? "cell" : "rowheader");
        if (at) cell.dataset.label = label; else cell.scope = "row";
        row.append(cell);
      });
      body.insertBefore(row, focused ? null : place);
    } else if (row === place) {
      place = row.nextElementSibling;
    } else if (!focused) { // a row that is moved loses the focus that is in it
      body.insertBefore(row, place);
    }
    cells(item).forEach((cell, at) => {
      if (typeof cell === "function") return cell(row.cells[at]);
      delete row.cells[at].dataset.shown;
      return put(row.cells[at], cell);
    });
  }
  // A column of numbers has its heading on the same side.
  [...(body.rows[0] || { cells: [] }).cells].forEach((cell, at) =>
    table.tHead.rows[0].cells[at].classList.toggle("number", cell.classList.contains("number")));
  for (const row of old.values()) {
    if (row.contains(document.activeElement)) table.closest("section").querySelector("h2").focus();
    row.remove();
  }
}

// A cell with a class, for numbers and for states.
const as = (kind, text) => (cell) => { if (cell.className !== kind) cell.className = kind; put(cell, text); };
const number = (text) => as("number", text);

// A cell that is built anew only when what it shows has changed.
const built = (key, make) => (cell) => {
  if (cell.dataset.shown === key) return;
  cell.dataset.shown = key;
  const held = cell.contains(document.activeElement);
  cell.replaceChildren(...make());
  if (held) cell.closest("section").querySelector("h2").focus();
};

function traceLink(id, text) {
  if (!id) return "";
  if (!state.traces) return as("id", text);
  return built(id + text, () => [element("a", { className: "id short", href: `/debug/traces#t-${id}`, textContent: text })]);
}

function endpointCells(each) {
  const [p50, p90, p99] = quantiles(each);
  const errors = perSecond(each.key, "error"), refused = perSecond(each.key, "refused");
  const name = each.path ? `${each.method} ${each.path}` : each.name;
  const kinds = Object.entries(each.kinds).sort((a, b) => b[1] - a[1]).slice(0, 5);
  const slow = each.exemplars[0];
  return [
    each.name === name || each.path.slice(1) === each.name ? name : `${name} (${each.name})`,
    number(each.measured ? rate(perSecond(each.key, "count")) : "not measured"),
    as(errors > 0 ? "number bad" : "number", rate(errors)),
    as(refused > 0 ? "number warn" : "number", rate(refused)),
    number(whole(each.in_flight)),
    number(seconds(p50)), number(seconds(p90)), number(seconds(p99)),
    number(whole(each.count)),
    kinds.map(([kind, count]) => `${words(kind)} ${whole(count)}`).join(", "),
    slow ? traceLink(slow.trace_id, seconds(slow.seconds)) : "",
  ];
}

function happened(each, took) {
  const what = each.kind ? `${words(each.kind)}${each.message ? `: ${each.message}` : ""}` : "";
  const cells = [as("time", clock(each.at)), each.endpoint, as("wrong", what), as("id", each.request_id),
    as("id", `${each.method} ${each.path}`), as("number", seconds(each.seconds)),
    traceLink(each.trace_id, each.trace_id.slice(0, 8)), number(String(each.worker))];
  return took ? [cells[5], cells[0], cells[1], cells[3], cells[4], cells[2], cells[6], cells[7]] : cells;
}

const happenedKey = (each) => `${each.at} ${each.request_id} ${each.worker}`;

const STATES = { closed: "good", "forced-closed": "warn", "half-open": "warn", open: "bad",
  "forced-open": "bad", up: "good", ejected: "bad", unhealthy: "bad" };

function breakerCells(each) {
  const wait = each.retry_after > 0 ? `, tries again in ${seconds(each.retry_after)}` : "";
  return [
    `${each.name}${each.shared ? "" : " (of each worker)"}`,
    as(`short ${STATES[each.state] || ""}`, words(each.state.replace("-", " "))),
    `${seconds(each.seconds)}${wait}`,
    number(`${whole(each.failures)} of ${whole(each.calls)}`),
    each.rules,
    built(JSON.stringify(each.changes), () => [element("ul", {}, ...each.changes.slice(0, 3).map((change) =>
      element("li", { textContent: `${clock(change.at)} ${words(change.new.replace("-", " "))}: ${change.why}` })))]),
    (cell) => buttons(cell, each),
  ];
}

function buttons(cell, each) {
  if (!cell.firstChild) {
    cell.append(element("span", { className: "buttons" }, ...["force-open", "force-closed", "reset"].map((action) => {
      const word = action.replace("-", " ");
      const button = element("button", { type: "button", textContent: word[0].toUpperCase() + word.slice(1) });
      button.setAttribute("aria-label", `${button.textContent}: ${each.name}`);
      button.dataset.action = action;
      button.addEventListener("click", () => act(each.id, each.name, action));
      return button;
    })));
  }
  for (const button of cell.querySelectorAll("button")) {
    const off = !state.may_act || !each.shared;
    if (button.disabled !== off) button.disabled = off;
  }
}

function limiterCells(each) {
  return [
    each.name, each.key,
    (cell) => {
      let meter = cell.querySelector("meter");
      if (!meter) {
        meter = element("meter", { min: 0, max: 1, low: 0.5, high: 0.99, optimum: 0 });
        cell.append(element("span", {}, meter, " ", element("span", {})));
        meter.setAttribute("aria-label", `Used by ${each.key}`);
      }
      if (meter.value !== each.level) meter.value = each.level;
      put(cell.querySelector("span > span"), `${Math.round(each.level * 100)} %`);
    },
    number(whole(each.remaining)), number(seconds(each.reset_after)),
  ];
}

function workerCells(each) {
  const key = `worker ${each.pid}`;
  const span = each.cpu === null ? null : grown(key);
  const busy = span === null || span.before.cpu === null ? "" :
    `${Math.round(100 * Math.max(0, span.after.cpu - span.before.cpu) / span.took)} %`;
  return [String(each.pid), seconds(each.seconds), number(whole(each.calls)), number(rate(perSecond(key, "count"))),
    number(whole(each.in_flight)), number(busy),
    number(each.memory === null ? "" : `${Math.round(each.memory / 1e6)} MB`),
    number(each.threads === null ? "" : String(each.threads))];
}

function chains() {
  const list = $("chain-list");
  const wanted = all(state).filter((each) => each.chain.length);
  const shown = JSON.stringify(wanted.map((each) => [each.key, each.chain]));
  if (list.dataset.shown === shown) return;
  const open = new Set([...list.querySelectorAll("details[open]")].map((each) => each.dataset.key));
  const held = list.contains(document.activeElement) ? document.activeElement.parentElement.dataset.key : null;
  list.dataset.shown = shown;
  list.replaceChildren(...wanted.map((each) => {
    const order = each.chain.map((layer) => layer.name).join(" → ");
    const made = element("details", { open: open.has(each.key) },
      element("summary", {}, element("b", { textContent: each.name }), ` ${order}`),
      element("ol", {}, ...each.chain.map((layer) => element("li", {},
        element("b", { textContent: layer.name }), layer.observes ? " (observes) " : " ",
        Object.entries(layer.config).map(([name, value]) => `${name}=${value}`).join(", ")))));
    made.dataset.key = each.key;
    return made;
  }));
  if (held !== null) {
    const again = [...list.children].find((each) => each.dataset.key === held);
    (again ? again.firstElementChild : $("chains")).focus();
  }
}

function draw() {
  put($("service"), state.service);
  document.title = `${state.service} - debug`;
  put($("facts"), `${state.host}, up ${seconds(state.uptime)}, falconkit ${state.falconkit}${state.draining ? ", draining" : ""}`);
  put($("when"), `updated ${new Date().toLocaleTimeString("en-GB")}`);
  const notes = state.notes;
  if ($("notes").dataset.shown !== JSON.stringify(notes)) {
    $("notes").dataset.shown = JSON.stringify(notes);
    $("notes").replaceChildren(...notes.map((note) => element("li", { textContent: note })));
    $("notes").hidden = notes.length === 0;
  }
  const wanted = $("filter").value.toLowerCase();
  const matching = (each) => !wanted || each.key.toLowerCase().includes(wanted);
  fill("endpoint-table", state.endpoints.filter(matching), (each) => each.key, endpointCells);
  fill("error-table", state.errors.slice(0, 25), happenedKey, (each) => happened(each, false));
  fill("slow-table", state.slow.slice(0, 25), happenedKey, (each) => happened(each, true));
  fill("breaker-table", state.breakers, (each) => each.id, breakerCells);
  const keys = state.limiters.flatMap((limiter, at) => limiter.keys.map((key) => ({ ...key, at, name: limiter.rate })));
  fill("limiter-table", keys, (each) => `${each.at} ${each.key}`, limiterCells);
  const calls = state.services.flatMap((service) => service.endpoints);
  fill("call-table", calls, (each) => each.key, endpointCells);
  const instances = state.services.flatMap((service) => service.instances.map((each) => ({ ...each, of: service })));
  fill("instance-table", instances, (each) => `${each.of.name} ${each.address}`, (each) => [
    each.address, each.of.name,
    as(STATES[each.state] || "", each.state === "ejected" ? `ejected for ${seconds(each.ejected_for)}` : each.state),
    number(whole(each.in_flight)), number(seconds(each.latency)), number(whole(each.failures_in_a_row)),
    each.of.failure ? `${each.of.where}, failing: ${each.of.failure}` : each.of.where]);
  fill("worker-table", state.workers, (each) => String(each.pid), workerCells);
  chains();
  for (const section of document.querySelectorAll("main section")) {
    const tables = [...section.querySelectorAll("table")];
    let none = section.querySelector(".none");
    const empty = tables.length > 0 && tables.every((table) => table.hidden);
    if (empty && !none) section.append(element("p", { className: "none dim", textContent: "None." }));
    if (!empty && none) none.remove();
  }
  $("traces").hidden = !state.traces;
  $("login").hidden = state.may_act || !state.has_token;
  put($("login-note"), state.has_token ? "To force a breaker, log in below." : "To force breakers, set DEBUG_TOKEN and log in.");
  $("login-note").hidden = state.may_act || !state.breakers.length;
}

// ---- asking ---------------------------------------------------------------------------------

function say(kind, text) {
  document.body.className = kind;
  put($("status"), text); // said aloud only when it is another than before
}

const paused = () => $("pause").getAttribute("aria-pressed") === "true";

async function poll() {
  clearTimeout(timer);
  if (asking || document.hidden || paused()) return;
  asking = true;
  const stop = new AbortController();
  const patience = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const answer = await fetch("/debug/state", { credentials: "same-origin", cache: "no-store", signal: stop.signal });
    if (answer.status === 401 || answer.status === 403) throw new Error("not let in: load this page anew to log in");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    state = await answer.json();
    remember(state);
    draw();
    failures = 0;
    updated = Date.now();
    if (!paused()) say("is-live", "Live");
    performance.mark("filled");
  } catch (error) {
    failures += 1;
    const since = updated ? `what is shown is of ${new Date(updated).toLocaleTimeString("en-GB")}` : "nothing is known yet";
    const why = error.name === "AbortError" ? "no answer in time" : error.message;
    say("is-stale", `Stale: ${since} (${why})`);
  } finally {
    clearTimeout(patience);
    asking = false;
    again(failures ? Math.min(LONGEST_WAIT, EVERY * 2 ** failures) : EVERY);
  }
}

function again(wait) {
  clearTimeout(timer);
  if (!document.hidden && !paused()) timer = setTimeout(poll, wait);
}

async function act(id, name, action) {
  const word = action.replace("-", " ");
  const effects = { "force-open": "All its calls are then refused, in all workers.",
    "force-closed": "It then lets all calls in, whatever happens.", reset: "It closes, and forgets what it counted." };
  if (!window.confirm(`${word[0].toUpperCase()}${word.slice(1)} ${name}? ${effects[action]}`)) return;
  try {
    const answer = await fetch(`/debug/breakers/${encodeURIComponent(id)}/${action}`, { method: "POST", credentials: "same-origin" });
    if (!answer.ok) throw new Error((await answer.text()).trim() || `the server answered ${answer.status}`);
    put($("status"), `${name}: ${word} is done`);
  } catch (error) {
    put($("status"), `${name}: ${word} was not done (${error.message})`);
  }
  again(300);
}

$("pause").addEventListener("click", () => {
  const now = !paused();
  $("pause").setAttribute("aria-pressed", String(now));
  if (now) { clearTimeout(timer); say("", "Paused"); } else poll();
});
$("filter").addEventListener("input", () => { if (state) draw(); });
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else poll(); });
for (const [id, [caption, headings]] of Object.entries(TABLES)) frame(id, caption, headings);
poll();
