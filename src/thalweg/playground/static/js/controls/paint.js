// Points painted with the mouse on the output map: they become the data of the training.

import { byId } from "../dom.js";
import { send } from "../connection.js";
import { adopt } from "../draft.js";
import { get, on, put } from "../store.js";
import { limits, toPlane } from "../drawing/output_map.js";

/** Least distance of two painted points, as a share of the map. */
const STEP = 0.025;
/** Radius of the eraser, as a share of the map. */
const ERASER = 0.05;

/** @type {number[] | null} */
let last = null;

export function startPaint() {
  const tools = byId("paint-tools");
  const tool = () => /** @type {HTMLInputElement} */ (tools.querySelector("input:checked")).value;
  const canvas = byId("points");
  tools.addEventListener("change", () => {
    tools.dataset.painting = tool() === "choose" ? "false" : "true";
    canvas.classList.toggle("painting", tool() !== "choose");
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (tool() === "choose") return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    last = null;
    paint(event, tool());
  });
  canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && tool() !== "choose" && paint(event, tool()));
  canvas.addEventListener("pointerup", () => tool() !== "choose" && sendPoints());
  byId("clear-points").addEventListener("click", () => {
    const points = get("points");
    if (points) put("points", { ...points, train: { x: [], y: [] }, test: { x: [], y: [] } });
  });
  on("state", (state) => (tools.hidden = state.inputs.length !== 2 || state.task === "regression"));
}

/**
 * @param {PointerEvent} event
 * @param {string} tool
 */
function paint(event, tool) {
  const points = get("points");
  if (!points) return;
  const place = toPlane(event);
  const distance = (/** @type {number[]} */ row) => Math.hypot(...limits().map(([low, high], axis) => (row[axis] - place[axis]) / (high - low)));
  if (tool === "erase") {
    const keep = points.train.x.map((row) => distance(row) > ERASER);
    put("points", { ...points, train: { x: points.train.x.filter((_, k) => keep[k]), y: points.train.y.filter((_, k) => keep[k]) } });
  } else if (!last || distance(last) > STEP) {
    last = place;
    put("points", { ...points, train: { x: [...points.train.x, place], y: [...points.train.y, Number(tool)] } });
  }
}

function sendPoints() {
  const points = get("points");
  const rows = points?.train;
  if (!rows || new Set(rows.y).size < 2) return;
  // The server keeps the points as a file: the spec of the page then names it.
  adopt();
  send({ do: "points", x: rows.x, y: rows.y });
}
