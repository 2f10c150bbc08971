// The drawing of the network: units as buttons with their maps, connections on a canvas behind them.

import { brief, byId, make, refill, words } from "../dom.js";
import { forget, latest, mapName } from "../frames.js";
import { get, on, put } from "../store.js";
import { layerHead } from "../controls/layers.js";
import { hideCard, pinWeight, showHover } from "../panels/hover_card.js";
import { unsigned } from "./colours.js";
import { paintMap } from "./heat.js";
import { drawMarks, findingsOf, startMarks } from "./finding_marks.js";
import { drawLinks, linkAt, linksOf } from "./links.js";
import { columnsOf, heightOf, leastWidth, leftOut, place } from "./network_layout.js";

/** @typedef {import("./network_layout.js").Column} Column */
/** @typedef {import("./links.js").Link} Link */
/** @typedef {{button: HTMLButtonElement, canvas: HTMLCanvasElement, value: HTMLSpanElement, column: Column, unit: number}} Tile */

/** Arrays of the numbers of connections, by what the drawing shows. */
const LINK_ARRAYS = { weights: "W", gradients: "G", updates: "U", outputs: "W", delta: "W" };
/** Decades between the palest and the fullest colour of a unit. */
const DECADES = 6;
/** Least gap between two units that have their names between them. */
const ROOM_FOR_NAME = 28;

/** @type {Column[]} */
let columns = [];
/** @type {Tile[]} */
let tiles = [];
/** @type {Link[]} */
let links = [];
let drawn = "";

export function startNetwork() {
  const stage = byId("network-stage");
  on("state", (state) => {
    const signature = JSON.stringify([state.layers, state.inputs, state.outputs, state.spec.network]);
    if (signature === drawn) return;
    drawn = signature;
    forget();
    build(state);
  });
  startMarks(() => columns);
  on("frame", update);
  on("quantity", () => columns.length && update());
  on("theme", () => columns.length && update());
  on("unit", markChosen);
  on("weight", () => columns.length && update());
  new ResizeObserver(() => columns.length && arrange()).observe(byId("network"));
  stage.addEventListener("pointermove", (event) => hoverLink(stage, event));
  stage.addEventListener("pointerleave", hideCard);
  stage.addEventListener("click", (event) => clickLink(stage, event));
  stage.addEventListener("keydown", moveFocus);
}

/** @param {import("../types.js").LabState} state */
function build(state) {
  columns = columnsOf(state);
  const hidden = leftOut(state.layers);
  const ofPictures = hidden.some((layer) => layer.kind === "conv2d");
  const instead = ofPictures ? "what they make of a picture stands below" : "their sizes stand in the chart by layer";
  const names = hidden.map((layer) => layer.name).join(", ");
  byId("left-out").textContent = names && `Not drawn: ${names}. Their weights are no single matrix between two columns of units; ${instead}.`;
  const units = byId("network-units");
  tiles = columns.flatMap((column) => Array.from({ length: column.units }, (_, unit) => tile(column, unit)));
  refill(units, ...columns.map(layerHead), ...tiles.map((one) => one.button));
  if (tiles[0]) tiles[0].button.tabIndex = 0;
  arrange();
  put("hovered", null);
}

/**
 * @param {Column} column
 * @param {number} unit
 * @returns {Tile}
 */
function tile(column, unit) {
  const canvas = make("canvas", { width: 1, height: 1 });
  const value = make("span", { class: "unit-value" });
  const button = make("button", { type: "button", class: `unit ${column.role}${column.strip ? " strip" : ""}`, tabindex: -1, title: column.names[unit], "data-key": `unit ${column.dense} ${unit}` }, canvas, value);
  if (!column.strip && column.role !== "hidden") button.append(make("span", { class: "unit-name", text: column.names[unit] }));
  const place = { layer: column.last, unit };
  button.addEventListener("pointerenter", () => put("hovered", place));
  button.addEventListener("pointerleave", () => put("hovered", null));
  button.addEventListener("focus", () => {
    for (const one of tiles) one.button.tabIndex = one.button === button ? 0 : -1;
    put("hovered", place);
  });
  button.addEventListener("blur", () => put("hovered", null));
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    if (column.dense >= 0) put("unit", { layer: column.dense, unit });
  });
  return { button, canvas, value, column, unit };
}

/** Place all units for the present width. */
function arrange() {
  const box = byId("network");
  const stage = byId("network-stage");
  const width = Math.max(box.clientWidth, leastWidth(columns.length));
  const height = heightOf(columns);
  stage.style.width = `${width}px`;
  stage.style.height = `${height}px`;
  place(columns, width, height);
  for (const { button, column, unit } of tiles) {
    const wide = column.strip ? 34 : column.size;
    button.style.left = `${column.x - wide / 2}px`;
    button.style.top = `${column.y[unit] - column.size / 2}px`;
    button.style.width = `${wide}px`;
    button.style.height = `${column.size}px`;
    button.classList.toggle("crowded", column.pitch < column.size + ROOM_FOR_NAME);
  }
  for (const head of stage.querySelectorAll(".layer-head")) {
    const column = columns[Number(/** @type {HTMLElement} */ (head).dataset.column)];
    if (column) /** @type {HTMLElement} */ (head).style.left = `${column.x}px`;
  }
  const canvas = byId("network-links", HTMLCanvasElement);
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  drawMarks();
  update();
}

function update() {
  if (!columns.length) return;
  const quantity = get("quantity") ?? "weights";
  const name = LINK_ARRAYS[quantity];
  links = linksOf(columns, (layer) => latest(`${name}.${layer}`));
  const scale = Math.max(...links.map(({ value }) => Math.abs(value)).filter(Number.isFinite), quantity === "weights" ? 1 : 0);
  const neutral = quantity === "outputs" || quantity === "delta";
  const canvas = byId("network-links", HTMLCanvasElement);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const chosen = get("weight");
  const link = links.find(({ to, i, j }) => to.dense === chosen?.layer && i === chosen.from && j === chosen.to) ?? null;
  drawLinks(context, links, { scale, neutral, chosen: link });
  const greatest = updateUnits(quantity);
  put("scale", neutral ? greatest : scale);
}

/**
 * @param {import("../types.js").Quantity} quantity
 * @returns {number} The greatest number of a unit.
 */
function updateUnits(quantity) {
  const byUnit = quantity === "delta" || quantity === "outputs";
  let greatest = 0;
  for (const { column } of byUnit ? tiles : []) greatest = Math.max(greatest, ...finite(numbersOf(column)));
  for (const one of tiles) updateTile(one, quantity, greatest);
  return greatest;
}

/** @param {ArrayLike<number> | undefined} values */
const finite = (values) => Array.from(values ?? []).filter(Number.isFinite);

/** The numbers of a column's units: outputs of its last layer, or delta of the net inputs. @param {Column} column */
const numbersOf = (column) => latest(`unit.${get("quantity") === "outputs" ? column.last : column.dense}`)?.values;

/**
 * @param {Tile} tile
 * @param {import("../types.js").Quantity} quantity
 * @param {number} greatest
 */
function updateTile({ button, canvas, value, column, unit }, quantity, greatest) {
  const byUnit = (quantity === "delta" || quantity === "outputs") && column.dense >= 0;
  const number = byUnit ? numbersOf(column)?.[unit] : undefined;
  const share = number && greatest ? 1 + Math.log10(Math.abs(number) / greatest) / DECADES : 0;
  const maps = latest(mapName(column.last));
  if (column.strip || (quantity === "delta" && byUnit)) {
    canvas.width = canvas.height = 1;
    button.style.background = byUnit ? unsigned(share) : strengthOf(column, unit);
  } else if (maps) {
    const [, rows, columns] = maps.shape;
    paintMap(canvas, maps.values, { rows, columns, start: unit * rows * columns });
    button.style.background = "";
  }
  value.textContent = byUnit && !column.strip ? brief(number, 2) : "";
  const dead = latest(`dead.${column.dense}`)?.values[unit] ?? latest(`dead.${column.last}`)?.values[unit];
  const saturated = latest(`saturated.${column.dense}`)?.values[unit] ?? latest(`saturated.${column.last}`)?.values[unit];
  button.classList.toggle("dead", Boolean(dead));
  button.classList.toggle("saturated", Boolean(saturated));
  button.ariaLabel = describe(column, unit, number, Boolean(dead), Boolean(saturated));
}

/**
 * The colour of a unit in a strip: the size of its largest incoming weight.
 * @param {Column} column
 * @param {number} unit
 */
function strengthOf(column, unit) {
  const array = latest(`W.${column.dense}`);
  if (!array) return unsigned(0);
  let most = 0;
  for (let i = 0; i < array.shape[0]; i += 1) most = Math.max(most, Math.abs(array.values[i * array.shape[1] + unit]));
  return unsigned(most / (most + 1));
}

/**
 * @param {Column} column
 * @param {number} unit
 * @param {number | undefined} number
 * @param {boolean} dead
 * @param {boolean} saturated
 */
function describe(column, unit, number, dead, saturated) {
  const bias = latest(`b.${column.dense}`)?.values[unit];
  const facts = [`${column.role === "inputs" ? "Input" : column.role === "output" ? "Output" : "Unit"} ${column.names[unit]}`];
  if (column.words) facts.push(words(column.words));
  if (bias !== undefined) facts.push(`bias ${brief(bias)}`);
  if (number !== undefined) facts.push(`${get("quantity")} ${brief(number)}`);
  if (dead) facts.push("dead");
  if (saturated) facts.push("saturated");
  facts.push(...findingsOf(column).map(({ code }) => `finding ${code}`));
  return facts.join(", ");
}

/** @param {import("../types.js").UnitPlace | null} chosen */
function markChosen(chosen) {
  for (const { button, column, unit } of tiles)
    button.classList.toggle("chosen", column.dense === chosen?.layer && unit === chosen.unit);
}

/**
 * @param {HTMLElement} stage
 * @param {PointerEvent | MouseEvent} event
 */
function linkUnder(stage, event) {
  if (event.target instanceof Element && event.target.closest("button, select, input")) return null;
  const box = stage.getBoundingClientRect();
  return linkAt(links, event.clientX - box.left, event.clientY - box.top);
}

/** @param {Link} link */
export const linkName = ({ from, to, i, j }) => `${from.names[i]} → ${to.names[j]}`;

/**
 * @param {HTMLElement} stage
 * @param {PointerEvent} event
 */
function hoverLink(stage, event) {
  const link = linkUnder(stage, event);
  stage.classList.toggle("on-link", link !== null);
  if (!link) return hideCard();
  const quantity = get("quantity") ?? "weights";
  const what = LINK_ARRAYS[quantity] === "W" ? "weight" : quantity.slice(0, -1);
  return showHover(event.clientX, event.clientY, `${what} ${linkName(link)}`, brief(link.value, 4));
}

/**
 * @param {HTMLElement} stage
 * @param {MouseEvent} event
 */
function clickLink(stage, event) {
  const link = linkUnder(stage, event);
  if (!link) return;
  const chosen = { layer: link.to.dense, from: link.i, to: link.j };
  put("unit", null);
  put("weight", chosen);
  pinWeight(event.clientX, event.clientY, linkName(link), chosen);
}

/** Arrow keys walk from unit to unit. @param {KeyboardEvent} event */
function moveFocus(event) {
  const current = tiles.find(({ button }) => button === document.activeElement);
  if (!current) return;
  const at = columns.indexOf(current.column);
  const steps = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  const step = steps[/** @type {keyof typeof steps} */ (event.key)];
  if (!step) return;
  event.preventDefault();
  const column = columns[at + step[0]];
  if (!column) return;
  const unit = Math.min(Math.max(current.unit + step[1], 0), column.units - 1);
  tiles.find((one) => one.column === column && one.unit === unit)?.button.focus();
}

/** The names of the units that lead into a layer. @param {number} layer */
export function namesInto(layer) {
  const at = columns.findIndex((column) => column.dense === layer);
  return { into: columns[at - 1]?.names ?? [], own: columns[at]?.names ?? [] };
}

/** Move the focus to the drawing. */
export const focusNetwork = () => tiles.find(({ button }) => button.tabIndex === 0)?.button.focus();
