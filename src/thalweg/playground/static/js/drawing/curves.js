// The curves of loss and score, of the training rows and the test rows.

import { brief, byId, calmly, grouped } from "../dom.js";
import { get, on } from "../store.js";
import { drawChart, fromX, rowAt, thinned } from "./chart.js";
import { styled } from "./colours.js";

/** @type {number[][]}  Rows [epoch, train loss, test loss, train score, test score]. */
let curve = [];
/** @type {import("./chart.js").Frame | null} */
let frame = null;
/** @type {number | null} */
let crosshair = null;

/** The curve so far. */
export const presentCurve = () => curve;

export function startCurves() {
  const drawCalmly = calmly(draw);
  on("state", (state) => {
    cutAfter(state.epoch);
    draw();
  });
  on("frame", (received) => {
    if (received.fresh) curve = [];
    append(received.arrays.get("curve"));
    drawCalmly();
  });
  on("theme", draw);
  for (const id of ["curve-score", "curve-log"]) byId(id).addEventListener("change", draw);
  const canvas = byId("curves", HTMLCanvasElement);
  canvas.addEventListener("pointermove", (event) => {
    crosshair = frame && fromX(event.offsetX, frame);
    draw();
  });
  canvas.addEventListener("pointerleave", () => ((crosshair = null), draw()));
  new ResizeObserver(draw).observe(canvas);
}

/** What lies after an epoch is gone when the training goes back to it. @param {number} epoch */
function cutAfter(epoch) {
  while (curve.length && /** @type {number[]} */ (curve.at(-1))[0] > epoch + 1e-6) curve.pop();
}

/** @param {import("../types.js").FrameArray | undefined} array */
function append(array) {
  if (!array) return;
  const [rows, columns] = array.shape;
  for (let k = 0; k < rows; k += 1) curve.push(Array.from(array.values.subarray(k * columns, (k + 1) * columns)));
  curve = thinned(curve);
}

function draw() {
  const score = byId("curve-score", HTMLInputElement).checked;
  const canvas = byId("curves", HTMLCanvasElement);
  const [train, test] = score ? [3, 4] : [1, 2];
  /** @type {import("./chart.js").Line[]} */
  const lines = [
    { name: "training", colour: styled("--train"), points: curve, column: train },
    { name: "test", colour: styled("--test"), points: curve, column: test },
  ];
  frame = drawChart(canvas, { lines, logarithmic: byId("curve-log", HTMLInputElement).checked && !score, xName: "epoch", crosshair });
  const row = crosshair === null ? curve.at(-1) : rowAt(curve, crosshair);
  byId("curve-reading").textContent = row ? `epoch ${brief(row[0], 4)}: training ${brief(row[train])}, test ${brief(row[test])}` : "";
  canvas.ariaLabel = `Curves of ${score ? "the score" : "the loss"}. ${byId("curve-reading").textContent}`;
}

export function startConfusion() {
  on("frame", calmly(() => showConfusion(get("frame")?.confusion)));
  on("state", (state) => (byId("confusion").hidden = state.task !== "classification"));
}

/** @param {number[][] | undefined} counts */
function showConfusion(counts) {
  if (!counts || counts.length > 12 || !byId("confusion", HTMLDetailsElement).open) return;
  const names = get("state")?.classes ?? counts.map((_, k) => String(k));
  const table = byId("confusion-table", HTMLTableElement);
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const name of ["", ...names]) head.append(Object.assign(document.createElement("th"), { textContent: name, scope: "col" }));
  const body = table.createTBody();
  counts.forEach((row, k) => {
    const line = body.insertRow();
    line.append(Object.assign(document.createElement("th"), { textContent: names[k], scope: "row" }));
    row.forEach((count, j) => line.insertCell().append(Object.assign(document.createElement("span"), { textContent: grouped(count), className: j === k ? "right" : count ? "wrong" : "" })));
  });
}
