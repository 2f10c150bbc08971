// The output of the network over the plane of two inputs, with the points on it; or the map of one unit, large.

import { brief, byId, grouped, words } from "../dom.js";
import { latest, mapName } from "../frames.js";
import { get, on, put } from "../store.js";
import { classColour, css, pointColour, styled } from "./colours.js";
import { paintClasses, paintLegend, paintMap } from "./heat.js";
import { drawLine } from "./line_map.js";

/** @typedef {import("../types.js").Points} Points */

export const SIZE = 280;

export function startOutputMap() {
  on("frame", drawMap);
  on("points", () => (drawPoints(), drawMap()));
  on("hovered", drawMap);
  on("output", () => (drawMap(), drawPoints()));
  on("theme", () => (drawMap(), drawPoints()));
  for (const topic of /** @type {const} */ (["sample", "batch", "unit", "weight"])) on(topic, drawPoints);
  const test = byId("show-test", HTMLInputElement);
  const discrete = byId("discretise", HTMLInputElement);
  const report = () => put("output", { test: test.checked, discrete: discrete.checked });
  test.addEventListener("change", report);
  discrete.addEventListener("change", report);
  on("output", (output) => {
    test.checked = output.test;
    discrete.checked = output.discrete;
  });
  byId("points", HTMLCanvasElement).addEventListener("click", chooseSample);
}

/** The limits of the plane: [low, high] of each axis. @returns {[[number, number], [number, number]]} */
export const limits = () => get("points")?.extent ?? [[-1, 1], [-1, 1]];

function drawMap() {
  const canvas = byId("output-map", HTMLCanvasElement);
  const hovered = get("hovered");
  const discrete = get("output")?.discrete ?? false;
  const maps = hovered && latest(mapName(hovered.layer));
  byId("output-title").textContent = maps ? `Output of one unit` : "Output";
  if (maps) {
    const [, rows, columns] = maps.shape;
    paintMap(canvas, maps.values, { rows, columns, start: hovered.unit * rows * columns });
    return showLegend(-1, 1);
  }
  const line = get("points")?.line && latest("line");
  if (line) {
    const several = line.shape[1] > 1 && get("state")?.task !== "regression";
    drawLine(canvas, line, { size: SIZE, limits: limits(), classes: several });
    byId("output-scale").hidden = true;
    if (several) return showClasses();
    byId("class-legend").hidden = true;
    return undefined;
  }
  const map = latest("map");
  if (!map) return undefined;
  const [rows, columns, outputs] = map.shape;
  if (outputs > 1 && get("state")?.task !== "regression") {
    paintClasses(canvas, map.values, { rows, columns, classes: outputs, discrete });
    return showClasses();
  }
  const [low, high] = rangeOf(map);
  paintMap(canvas, map.values, { rows, columns, stride: outputs, low, high, discrete, palette: "map" });
  return showLegend(low, high);
}

/**
 * From what to what the colours reach: 0 to 1 for a probability, symmetric around 0 else.
 * @param {import("../types.js").FrameArray} map
 * @returns {[number, number]}
 */
function rangeOf(map) {
  const { low: least, high: most } = map;
  if (get("state")?.task !== "regression" && least >= 0 && most <= 1) return [0, 1];
  const size = Math.max(Math.abs(least), Math.abs(most), get("state")?.task === "regression" ? greatestTarget() : 0) || 1;
  return [-size, size];
}

/**
 * @param {number} low
 * @param {number} high
 */
function showLegend(low, high) {
  paintLegend(byId("output-legend", HTMLCanvasElement), "map");
  byId("output-low").textContent = brief(low, 2);
  byId("output-high").textContent = brief(high, 2);
  byId("output-scale").hidden = false;
  byId("class-legend").hidden = true;
}

function showClasses() {
  const names = get("state")?.classes ?? [];
  byId("output-scale").hidden = true;
  const legend = byId("class-legend");
  legend.hidden = false;
  if (legend.dataset.names === JSON.stringify([names, get("theme")])) return;
  legend.dataset.names = JSON.stringify([names, get("theme")]);
  legend.replaceChildren(...names.map((name, k) => {
    const item = document.createElement("li");
    item.style.setProperty("--class-colour", css(classColour(k)));
    item.textContent = words(String(name));
    return item;
  }));
}

function greatestTarget() {
  const points = get("points");
  return [...(points?.train.y ?? []), ...(points?.test.y ?? [])].reduce((most, y) => Math.max(most, Math.abs(y)), 0);
}

function drawPoints() {
  const points = get("points");
  const canvas = byId("points", HTMLCanvasElement);
  if (!points) return;
  canvas.width = canvas.height = SIZE * devicePixelRatio;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(devicePixelRatio, devicePixelRatio);
  const greatest = greatestTarget();
  const task = get("state")?.task ?? "";
  const shown = get("output")?.test ? [points.train, points.test] : [points.train];
  const edges = [styled("--point-edge"), styled("--ink")];
  shown.forEach((set, k) => {
    context.strokeStyle = edges[k];
    set.x.forEach((row, at) => {
      const [x, y] = toCanvas(row);
      // Over one input the height says the value.
      context.fillStyle = points.line && task === "regression" ? styled(k ? "--test" : "--train") : pointColour(task, set.y[at], greatest);
      context.beginPath();
      context.arc(x, y, 3, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    });
  });
  markBatch(context, points);
  byId("x-axis").textContent = points.axes?.[0] ?? "";
  byId("y-axis").textContent = points.axes?.[1] ?? "";
  byId("discretise").closest("label")?.toggleAttribute("hidden", points.line);
  byId("no-plane").hidden = points.axes !== null;
  byId("sampled").textContent = points.sampled ? `${grouped(points.sampled)} of the rows are shown` : "";
}

/**
 * A ring around each row of the batch whose numbers are shown, and a thicker one around the chosen row.
 * @param {CanvasRenderingContext2D} context
 * @param {Points} points
 */
function markBatch(context, points) {
  if (points.sampled || !(get("unit") || get("weight"))) return;
  context.strokeStyle = styled("--ink");
  (get("batch") ?? []).forEach((row, k) => {
    const place = points.train.x[row];
    if (!place) return;
    const [x, y] = toCanvas(place);
    context.lineWidth = get("sample") === k ? 3 : 1;
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    context.stroke();
  });
}

/** @param {number[]} row */
function toCanvas(row) {
  const [[left, right], [bottom, top]] = limits();
  return [(SIZE * (row[0] - left)) / (right - left), (SIZE * (top - row[1])) / (top - bottom)];
}

/**
 * The place on the plane under the pointer.
 * @param {MouseEvent} event
 */
export function toPlane(event) {
  const box = byId("points").getBoundingClientRect();
  const [[left, right], [bottom, top]] = limits();
  return [left + ((event.clientX - box.left) / box.width) * (right - left), top - ((event.clientY - box.top) / box.height) * (top - bottom)];
}

/** A click on the map chooses the nearest row of the batch. @param {MouseEvent} event */
function chooseSample(event) {
  const points = get("points");
  const batch = get("batch") ?? [];
  if (byId("paint-tools").dataset.painting === "true" || !points || points.sampled || !batch.length) return;
  const [x, y] = toPlane(event);
  const [[left, right], [bottom, top]] = limits();
  const distance = (/** @type {number[] | undefined} */ row) => (row ? ((row[0] - x) / (right - left)) ** 2 + ((row[1] - y) / (top - bottom)) ** 2 : Infinity);
  const distances = batch.map((row) => distance(points.train.x[row]));
  put("sample", distances.indexOf(Math.min(...distances)));
}
