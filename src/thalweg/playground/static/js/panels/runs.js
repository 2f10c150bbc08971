// Runs and experiments of the folder: lists, reports, curves over each other, and experiments from the page.

import { brief, byId, make, refill } from "../dom.js";
import { getJson, request } from "../connection.js";
import { spec } from "../draft.js";
import { drawChart } from "../drawing/chart.js";
import { classColour, css } from "../drawing/colours.js";
import { whenOpened } from "./tabs.js";

/** @typedef {{name: string, kind: string, report: boolean, status: string} & Record<string, unknown>} RunEntry */
/** @typedef {RunEntry & {trials: {done: number, total: number} | null, outcome: string, message?: string}} ExperimentEntry */

/** @type {RunEntry[]} */
let runs = [];
let order = { column: "name", descending: false };
const COLUMNS = [["name", "Name"], ["kind", "Kind"], ["data", "Data"], ["network", "Network"], ["epochs", "Epochs"], ["score", "Score"], ["measure", "Measure"], ["status", "Status"], ["finished", "Finished"]];
const WATCH_MILLISECONDS = 1000;
/** The experiment whose progress is shown; a reload finds one that runs. */
let watched = "";

export function startRuns() {
  whenOpened("runs", load);
  byId("run-filter").addEventListener("input", show);
  byId("refresh-runs").addEventListener("click", load);
  byId("compare-runs").addEventListener("click", compare);
  byId("start-experiment").addEventListener("click", startExperiment);
}

async function load() {
  const note = byId("runs-note");
  try {
    const answer = await getJson("/api/runs");
    runs = answer.entries;
    note.textContent = runs.length ? "" : `There are no runs in ${answer.folder} yet.`;
    show();
    const running = runs.find((run) => run.kind === "experiment" && run.status === "running");
    if (running && !watched) watchExperiment(running.name);
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
}

function show() {
  const wanted = byId("run-filter", HTMLInputElement).value.toLowerCase();
  const rows = runs.filter((run) => JSON.stringify(run).toLowerCase().includes(wanted)).sort(compareRuns);
  const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "sr-only", text: "compare" })), ...COLUMNS.map(([column, title]) =>
    make("th", { scope: "col", "aria-sort": order.column === column ? (order.descending ? "descending" : "ascending") : "none" },
      make("button", { type: "button", class: "quiet", text: title, on: { click: () => sortBy(column) } }))));
  const body = rows.map((run) => make("tr", {},
    make("td", {}, run.kind === "run" ? make("input", { type: "checkbox", value: run.name, "aria-label": `compare ${run.name}` }) : ""),
    make("th", { scope: "row" }, run.report || run.kind === "run" ? make("a", { href: `/runs/${encodeURIComponent(run.name)}/report`, target: "_blank", rel: "noopener", text: run.name }) : run.name),
    ...COLUMNS.slice(1).map(([column]) => make("td", {}, shown(run[column]), column === "status" ? resumeButton(run) : ""))));
  refill(byId("runs-table"), make("thead", {}, head), make("tbody", {}, ...body));
}

/** A button that runs the missing trials of an experiment. @param {RunEntry} run */
function resumeButton(run) {
  if (run.kind !== "experiment" || !["interrupted", "failed"].includes(run.status)) return "";
  const resume = async () => {
    try {
      await request("POST", experimentPath(run.name));
      watchExperiment(run.name);
    } catch (error) {
      byId("experiment-note").textContent = error instanceof Error ? error.message : String(error);
    }
  };
  return make("button", { type: "button", class: "quiet", text: "Resume", "aria-label": `resume ${run.name}`, on: { click: resume } });
}

/** @param {string} name */
const experimentPath = (name) => `/api/experiments/${encodeURIComponent(name)}`;

/** @param {unknown} value */
const shown = (value) => (typeof value === "number" ? brief(value) : String(value ?? "–"));

/**
 * @param {RunEntry} a
 * @param {RunEntry} b
 */
function compareRuns(a, b) {
  const [one, other] = [a[order.column], b[order.column]];
  const sign = order.descending ? -1 : 1;
  if (typeof one === "number" && typeof other === "number") return sign * (one - other);
  return sign * String(one ?? "").localeCompare(String(other ?? ""), "en", { numeric: true });
}

/** @param {string} column */
function sortBy(column) {
  order = { column, descending: order.column === column && !order.descending };
  show();
}

async function compare() {
  const names = [...byId("runs-table").querySelectorAll("input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);
  const note = byId("runs-note");
  if (!names.length) return void (note.textContent = "Choose runs to compare.");
  try {
    const answer = await getJson(`/api/runs/compare?names=${names.map(encodeURIComponent).join(",")}`);
    /** @type {{name: string, curves: Record<string, number[]>}[]} */
    const compared = answer.runs;
    const lines = compared.map(({ name, curves }, k) => ({ name, colour: css(classColour(k)), column: 1, points: (curves.loss ?? []).map((loss, at) => [curves.epoch?.[at] ?? at + 1, loss ?? NaN]) }));
    byId("runs-chart-box").hidden = false;
    drawChart(byId("runs-chart", HTMLCanvasElement), { lines, logarithmic: true, xName: "epoch" });
    byId("runs-legend").replaceChildren(...lines.map(({ name, colour }) => {
      const item = make("li", { text: name });
      item.style.setProperty("--class-colour", colour);
      return item;
    }));
    note.textContent = "";
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
  return undefined;
}

/** Vary one place of the present spec over several seeds. */
async function startExperiment() {
  const place = byId("vary-place", HTMLInputElement).value.trim();
  const values = byId("vary-values", HTMLInputElement).value.split(",").map((text) => text.trim()).filter(Boolean);
  const seeds = byId("vary-seeds", HTMLInputElement).valueAsNumber || 3;
  const note = byId("experiment-note");
  try {
    const vary = { [place]: values.map((text) => (Number.isFinite(Number(text)) ? Number(text) : text)) };
    const started = await request("POST", "/api/experiments", { spec: spec(), vary, seeds });
    watchExperiment(started.name);
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
}

/** @param {string} name */
async function watchExperiment(name) {
  const note = byId("experiment-note");
  const path = experimentPath(name);
  watched = name;
  const stop = make("button", { type: "button", text: "Stop", on: { click: () => request("DELETE", path) } });
  try {
    /** @type {ExperimentEntry} */
    const state = await getJson(path);
    const running = state.status === "running";
    note.replaceChildren(make("span", { text: `${name}: ${state.message || state.outcome}` }), running ? stop : "");
    if (running) window.setTimeout(() => watched === name && watchExperiment(name), WATCH_MILLISECONDS);
    else {
      watched = "";
      load();
    }
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
}
