// The outputs of a network over its only input: a curve for each output.

import { brief } from "../dom.js";
import { roundTicks } from "./chart.js";
import { classColour, css, styled } from "./colours.js";

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("../types.js").FrameArray} line  (places, outputs)
 * @param {{size: number, limits: [[number, number], [number, number]], classes: boolean}} how
 */
export function drawLine(canvas, { shape: [places, outputs], values }, { size, limits: [[left, right], [bottom, top]], classes }) {
  canvas.width = canvas.height = size * devicePixelRatio;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(devicePixelRatio, devicePixelRatio);
  const toY = (/** @type {number} */ value) => (size * (top - value)) / (top - bottom);
  context.font = `11px ${styled("--font")}`;
  context.fillStyle = styled("--soft");
  context.strokeStyle = styled("--line");
  for (const height of roundTicks([bottom, top], 5)) {
    context.beginPath();
    context.moveTo(0, toY(height));
    context.lineTo(size, toY(height));
    context.stroke();
    context.fillText(brief(height, 2), 4, toY(height) - 3);
  }
  context.textAlign = "center";
  for (const place of roundTicks([left, right], 5)) {
    const x = (size * (place - left)) / (right - left);
    if (x > 30 && x < size - 14) context.fillText(brief(place, 2), x, size - 4);
  }
  context.lineWidth = 2;
  for (let output = 0; output < outputs; output += 1) {
    context.strokeStyle = outputs > 1 && classes ? css(classColour(output)) : styled("--ink");
    context.beginPath();
    for (let k = 0; k < places; k += 1) context.lineTo((size * k) / (places - 1), toY(values[k * outputs + output]));
    context.stroke();
  }
}
