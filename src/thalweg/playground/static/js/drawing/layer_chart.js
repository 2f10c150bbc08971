// The chosen quantity by layer over the training, on a logarithmic scale, with the zones of vanishing and exploding.

import { brief, byId, calmly, make } from "../dom.js";
import { catalogue, get, on } from "../store.js";
import { drawChart, fromX, rowAt, thinned } from "./chart.js";
import { depthColour } from "./colours.js";
import { leftOut, withWeights } from "./network_layout.js";
import { QUANTITIES } from "../controls/view_switch.js";

/** @typedef {import("../types.js").Quantity} Quantity */

/** Where a quantity counts as vanishing and exploding, unless the server knows better. @type {Record<string, [number, number]>} */
const ZONES = { outputs: [1e-3, 1e2], delta: [1e-6, 1e1], gradients: [1e-6, 1e1] };
const TITLES = { weights: "Weights by layer", outputs: "Outputs by layer", delta: "Delta by layer: dE/dz", gradients: "Gradients by layer: dE/dW", updates: "Updates by layer: ΔW" };

/** @type {Map<string, number[][]>}  Rows [step, layer 1, layer 2, ...] of each quantity. */
const histories = new Map();
/** @type {import("./chart.js").Frame | null} */
let frame = null;
/** @type {number | null} */
let crosshair = null;

export function startLayerChart() {
  const drawCalmly = calmly(draw);
  on("state", (state) => {
    if (state.step === 0) histories.clear();
    draw();
  });
  on("frame", (received) => {
    for (const quantity of QUANTITIES) append(quantity, received);
    drawCalmly();
  });
  on("quantity", draw);
  on("theme", draw);
  const canvas = byId("layer-chart", HTMLCanvasElement);
  canvas.addEventListener("pointermove", (event) => {
    crosshair = frame && fromX(event.offsetX, frame);
    draw();
  });
  canvas.addEventListener("pointerleave", () => ((crosshair = null), draw()));
  new ResizeObserver(draw).observe(canvas);
}

/**
 * @param {Quantity} quantity
 * @param {import("../types.js").Frame} received
 */
function append(quantity, received) {
  const values = received.arrays.get(`layers.${quantity}`)?.values;
  if (!values) return;
  let rows = histories.get(quantity) ?? [];
  while (rows.length && /** @type {number[]} */ (rows.at(-1))[0] >= received.step) rows.pop();
  if (rows[0] && rows[0].length !== values.length + 1) rows = [];
  rows.push([received.step, ...values]);
  histories.set(quantity, thinned(rows, 1500));
}

/**
 * The layers that have a line each: place in the list of layers, and name. Outputs are those behind the activation.
 * @param {Quantity} quantity
 */
function shownLayers(quantity) {
  const layers = get("state")?.layers ?? [];
  const rows = withWeights(layers);
  const unnumbered = leftOut(layers);
  return rows.map((layer, k) => {
    const last = (rows[k + 1]?.index ?? layers.length) - 1;
    const name = k === rows.length - 1 ? "output" : unnumbered.includes(layer) ? layer.name : `layer ${k + 1}`;
    return { index: quantity === "outputs" ? last : layer.index, name };
  });
}

function draw() {
  const quantity = get("quantity") ?? "weights";
  const rows = histories.get(quantity) ?? [];
  const lines = shownLayers(quantity).map(({ index, name }, k, all) => ({ name, colour: depthColour(all.length > 1 ? k / (all.length - 1) : 0), points: rows, column: index + 1 }));
  const [low, high] = catalogue().zones?.[quantity] ?? ZONES[quantity] ?? [0, Infinity];
  const zones = [{ low: 0, high: low, words: "vanishing" }, { low: high, high: Infinity, words: "exploding" }];
  const canvas = byId("layer-chart", HTMLCanvasElement);
  frame = drawChart(canvas, { lines, zones, logarithmic: true, xName: "step", crosshair });
  byId("layer-chart-title").textContent = TITLES[quantity];
  const row = crosshair === null ? rows.at(-1) : rowAt(rows, crosshair);
  byId("layer-legend").replaceChildren(...lines.map((line) => entry(line.name, line.colour, row?.[line.column])));
  canvas.ariaLabel = `${TITLES[quantity]}: ${lines.map((line) => `${line.name} ${brief(row?.[line.column])}`).join(", ")}`;
}

/**
 * @param {string} name
 * @param {string} colour
 * @param {number | undefined} value
 */
function entry(name, colour, value) {
  const item = make("li", {}, make("span", { text: name }), make("strong", { text: brief(value) }));
  item.style.setProperty("--class-colour", colour);
  return item;
}
