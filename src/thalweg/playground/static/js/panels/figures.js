// Figures that the lab computes on demand: the loss landscape and the race of optimizers.

import { byId, fillSelect, make, words } from "../dom.js";
import { labPath, request } from "../connection.js";
import { kindsOf } from "../parts.js";
import { on } from "../store.js";

/** @typedef {{newPlot: (place: HTMLElement, data: unknown[], layout: object, options: object) => Promise<void>, purge: (place: HTMLElement) => void}} Plotly */

/** @typedef {{data: unknown[], layout: Record<string, any>}} Figure  A figure as plotly writes it. */

/** @type {Promise<Plotly> | null} */
let library = null;

/** The library for charts, loaded when the first figure is drawn. */
function plotly() {
  library ??= new Promise((resolve, reject) => {
    const script = make("script", { src: "/static/plotly.min.js" });
    script.addEventListener("load", () => resolve(/** @type {any} */ (window).Plotly));
    script.addEventListener("error", () => reject(new Error("the library for charts could not be loaded")));
    document.head.append(script);
  });
  return library;
}

const FUNCTIONS = ["rosenbrock", "quadratic", "saddle", "plateau", "cliff", "beale", "himmelblau", "branin", "rastrigin"];
const FIRST_RACERS = ["sgd", "momentum", "rmsprop", "adam"];

export function startFigures() {
  on("progress", ({ what, message, share }) => (byId(`${what}-note`).textContent = share === null ? message : `${message} (${Math.round(100 * share)} %)`));
  byId("compute-landscape").addEventListener("click", () => compute("landscape", ""));
  byId("compute-race").addEventListener("click", () => compute("race", `?landscape=${byId("race-function", HTMLSelectElement).value}&optimizers=${racers().join(",")}`));
  fillSelect(byId("race-function", HTMLSelectElement), FUNCTIONS.map((name) => [name, words(name)]), FUNCTIONS[0]);
  byId("race-optimizers").replaceChildren(...kindsOf("optimizers").map(({ kind }) =>
    make("label", {}, make("input", { type: "checkbox", value: kind, checked: FIRST_RACERS.includes(kind) }), words(kind))));
}

const racers = () => [...byId("race-optimizers").querySelectorAll("input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);

/**
 * @param {"landscape" | "race"} name
 * @param {string} query
 */
async function compute(name, query) {
  const note = byId(`${name}-note`);
  const button = byId(`compute-${name}`, HTMLButtonElement);
  button.disabled = true;
  note.textContent = "Computing …";
  try {
    /** @type {{summary: string, blocks: string, figures: Figure[]}} */
    const { summary, blocks, figures } = await request("GET", labPath(`/${name}${query}`));
    note.textContent = summary;
    byId(`${name}-text`).innerHTML = blocks;
    await drawFigures(byId(`${name}-figures`), figures);
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
  button.disabled = false;
}

/** @type {Promise<void>} */
let drawn = Promise.resolve();

/**
 * Draw figures at a place, after those that are being drawn: plotly fails where a chart goes before it is finished.
 * @param {HTMLElement} place
 * @param {Figure[]} figures
 */
export function drawFigures(place, figures) {
  drawn = drawn.catch(() => {}).then(() => draw(place, figures));
  return drawn;
}

/**
 * @param {HTMLElement} place
 * @param {Figure[]} figures
 */
async function draw(place, figures) {
  if (!figures.length) return place.replaceChildren();
  const { newPlot, purge } = await plotly();
  for (const old of place.children) purge(/** @type {HTMLElement} */ (old));
  place.replaceChildren();
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  for (const { data, layout } of figures) {
    const box = make("div", { class: "figure" });
    place.append(box);
    const styled = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { ...layout?.font, color: ink }, autosize: true };
    await newPlot(box, data, styled, { displaylogo: false, responsive: true });
  }
  return undefined;
}
