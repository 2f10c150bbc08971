// A line chart on a canvas: it draws thousands of points thirty times a second.

import { brief, grouped } from "../dom.js";
import { styled } from "./colours.js";

/** @typedef {{name: string, colour: string, dashed?: boolean, points: number[][], column: number}} Line  `points`: rows whose first number is x. */
/** @typedef {{low: number, high: number, words: string}} Zone */
/** @typedef {{lines: Line[], logarithmic?: boolean, zones?: Zone[], xName: string, crosshair?: number | null, bounds?: [number, number]}} Plot */
/** @typedef {{left: number, right: number, top: number, bottom: number, x: [number, number], y: [number, number], logarithmic: boolean}} Frame */

const MARGIN = { left: 46, right: 10, top: 8, bottom: 24 };
const LEAST_LOG = 1e-30;

/** @typedef {{width: number, height: number}} Size */

/** The sizes of the canvases that are shown. @type {WeakMap<Element, Size>} */
const sizes = new WeakMap();
/** @param {Element} element @returns {Size} */
const measured = ({ clientWidth: width, clientHeight: height }) => ({ width, height });
const observer = new ResizeObserver((entries) => entries.forEach(({ target }) => sizes.set(target, measured(target))));

/**
 * The size of a canvas. Asking the element each time would lay out the page for every frame.
 * @param {HTMLCanvasElement} canvas
 * @returns {Size}
 */
function sizeOf(canvas) {
  const known = sizes.get(canvas);
  if (known?.width) return known;
  observer.observe(canvas);
  return measured(canvas);
}

/**
 * Draw a plot on the whole canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {Plot} plot
 * @returns {Frame | null} Where it was drawn.
 */
export function drawChart(canvas, plot) {
  const { width, height } = sizeOf(canvas);
  if (!width || !height) return null;
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const frame = frameOf(plot, width, height);
  context.font = `11px ${styled("--font")}`;
  drawZones(context, plot.zones ?? [], frame);
  drawAxes(context, plot, frame);
  context.save();
  context.beginPath();
  context.rect(frame.left, frame.top - 2, frame.right - frame.left, frame.bottom - frame.top + 4);
  context.clip();
  for (const line of plot.lines) drawLine(context, line, frame);
  context.restore();
  if (plot.crosshair !== null && plot.crosshair !== undefined) drawCrosshair(context, plot.crosshair, frame);
  return frame;
}

/**
 * @param {Plot} plot
 * @param {number} width
 * @param {number} height
 * @returns {Frame}
 */
function frameOf(plot, width, height) {
  const logarithmic = plot.logarithmic ?? false;
  let [lowX, highX, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { points, column } of plot.lines) {
    if (points.length) [lowX, highX] = [Math.min(lowX, points[0][0]), Math.max(highX, /** @type {number[]} */ (points.at(-1))[0])];
    for (const row of points) {
      const value = row[column];
      if (!Number.isFinite(value) || (logarithmic && value < LEAST_LOG)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (!(lowX < highX)) [lowX, highX] = [Number.isFinite(lowX) ? lowX : 0, (Number.isFinite(lowX) ? lowX : 0) + 1];
  if (!(low <= high)) [low, high] = logarithmic ? [1e-3, 1] : [0, 1];
  if (plot.bounds) [low, high] = [Math.min(low, plot.bounds[0]), Math.max(high, plot.bounds[1])];
  if (logarithmic) [low, high] = [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.0001))];
  else [low, high] = [Math.min(low, 0), high + (high - Math.min(low, 0) || 1) * 0.05];
  return { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom, x: [lowX, highX], y: [low, high], logarithmic };
}

/**
 * @param {number} x
 * @param {Frame} frame
 */
const toX = (x, { left, right, x: [low, high] }) => left + ((x - low) / (high - low)) * (right - left);

/**
 * @param {number} y
 * @param {Frame} frame
 */
function toY(y, { top, bottom, y: [low, high], logarithmic }) {
  const share = logarithmic ? Math.log(Math.max(y, LEAST_LOG) / low) / Math.log(high / low) : (y - low) / (high - low);
  return bottom - share * (bottom - top);
}

/**
 * The x at a place of the canvas.
 * @param {number} place
 * @param {Frame} frame
 */
export const fromX = (place, { left, right, x: [low, high] }) =>
  low + (Math.min(Math.max(place, left), right) - left) / (right - left) * (high - low);

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Zone[]} zones
 * @param {Frame} frame
 */
function drawZones(context, zones, frame) {
  for (const { low, high, words } of zones) {
    const top = Math.max(toY(Math.min(high, frame.y[1]), frame), frame.top);
    const bottom = Math.min(toY(Math.max(low, frame.y[0]), frame), frame.bottom);
    if (bottom - top < 1) continue;
    context.fillStyle = styled("--zone");
    context.fillRect(frame.left, top, frame.right - frame.left, bottom - top);
    if (bottom - top < 14) continue;
    context.fillStyle = styled("--zone-ink");
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(words, frame.right - 6, (top + bottom) / 2);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Plot} plot
 * @param {Frame} frame
 */
function drawAxes(context, plot, frame) {
  context.strokeStyle = styled("--line");
  context.fillStyle = styled("--soft");
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of frame.logarithmic ? decades(frame.y) : roundTicks(frame.y, 4)) {
    const y = Math.round(toY(tick, frame)) + 0.5;
    context.beginPath();
    context.moveTo(frame.left, y);
    context.lineTo(frame.right, y);
    context.stroke();
    context.fillText(frame.logarithmic ? powerOfTen(tick) : brief(tick), frame.left - 6, y);
  }
  context.textBaseline = "alphabetic";
  const ticks = roundTicks(frame.x, 5);
  ticks.forEach((tick, k) => {
    context.textAlign = k === 0 ? "left" : "center";
    if (toX(tick, frame) < frame.right - 60) context.fillText(grouped(tick), toX(tick, frame), frame.bottom + 16);
  });
  context.textAlign = "right";
  context.fillText(plot.xName, frame.right, frame.bottom + 16);
}

/** @param {number} value */
function powerOfTen(value) {
  const exponent = Math.round(Math.log10(value));
  if (exponent >= -2 && exponent <= 3) return String(Number(value.toPrecision(2)));
  return `10${[...String(exponent)].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)])).join("")}`;
}

/** @param {[number, number]} range */
function decades([low, high]) {
  const [first, last] = [Math.round(Math.log10(low)), Math.round(Math.log10(high))];
  const step = Math.max(1, Math.ceil((last - first) / 6));
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, k) => 10 ** (first + k * step));
}

/**
 * Round numbers within a range.
 * @param {[number, number]} range
 * @param {number} count  About so many.
 */
export function roundTicks([low, high], count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) ticks.push(Number(tick.toPrecision(12)));
  return ticks;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Line} line
 * @param {Frame} frame
 */
function drawLine(context, { points, column, colour, dashed }, frame) {
  context.strokeStyle = colour;
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.setLineDash(dashed ? [5, 4] : []);
  context.beginPath();
  let pen = false;
  for (const row of points) {
    const value = row[column];
    if (!Number.isFinite(value)) pen = false;
    else if (pen) context.lineTo(toX(row[0], frame), toY(value, frame));
    else {
      context.moveTo(toX(row[0], frame), toY(value, frame));
      pen = true;
    }
  }
  context.stroke();
  context.setLineDash([]);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {Frame} frame
 */
function drawCrosshair(context, x, frame) {
  context.strokeStyle = styled("--soft");
  context.beginPath();
  context.moveTo(toX(x, frame), frame.top);
  context.lineTo(toX(x, frame), frame.bottom);
  context.stroke();
}

/**
 * The row of a line that is nearest to x.
 * @param {number[][]} points
 * @param {number} x
 */
export function rowAt(points, x) {
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= x) low = middle;
    else high = middle;
  }
  return points[Math.abs((points[low]?.[0] ?? 0) - x) <= Math.abs((points[high]?.[0] ?? 0) - x) ? low : high];
}

/**
 * Every second row away once there are too many: the curve keeps its shape.
 * @param {number[][]} points
 * @param {number} [most]
 */
export const thinned = (points, most = 4000) => (points.length > most ? points.filter((_, k) => k % 2 === 0 || k === points.length - 1) : points);
