// Maps of numbers on a canvas, one pixel a number; the browser scales the picture.

import { classColour, colours, index } from "./colours.js";

/** @typedef {import("./colours.js").Colour} Colour */

/**
 * Paint rows of colours; the first row of numbers is at the bottom, as on the axis of a plot, or at the top.
 * @param {HTMLCanvasElement} canvas
 * @param {number} rows
 * @param {number} columns
 * @param {(place: number) => Colour} colourAt
 * @param {boolean} [fromTop]
 */
function paint(canvas, rows, columns, colourAt, fromTop = false) {
  if (canvas.width !== columns) canvas.width = columns;
  if (canvas.height !== rows) canvas.height = rows;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(columns, rows);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const [red, green, blue] = colourAt(row * columns + column);
      const at = 4 * ((fromTop ? row : rows - 1 - row) * columns + column);
      image.data[at] = red;
      image.data[at + 1] = green;
      image.data[at + 2] = blue;
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

/**
 * One map of numbers between `low` and `high`, or of bytes that are scaled already.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} values
 * @param {{rows: number, columns: number, start?: number, stride?: number, low?: number, high?: number, discrete?: boolean, palette?: import("./colours.js").Scale}} shape
 */
export function paintMap(canvas, values, { rows, columns, start = 0, stride = 1, low = 0, high = 255, discrete = false, palette = "diverging" }) {
  const scale = colours(palette);
  const range = high - low || 1;
  paint(canvas, rows, columns, (place) => {
    const share = (values[start + place * stride] - low) / range;
    return scale[discrete ? (share >= 0.5 ? 224 : 31) : index(share)];
  });
}

/**
 * One of several pictures of signed numbers, as pictures are looked at: the first row at the top.
 * @param {HTMLCanvasElement} canvas
 * @param {import("../types.js").FrameArray} array  (pictures, rows, columns)
 * @param {number} picture
 */
export function paintSigned(canvas, { shape: [, rows, columns], values, low, high }, picture) {
  const scale = colours("diverging");
  const isBytes = values instanceof Uint8Array;
  const limit = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const start = picture * rows * columns;
  paint(canvas, rows, columns, (place) => scale[isBytes ? values[start + place] : index((values[start + place] / limit + 1) / 2)], true);
}

/**
 * A picture in its own colours, or in greys, from its least number to its greatest.
 * @param {HTMLCanvasElement} canvas
 * @param {import("../types.js").FrameArray} array  (rows, columns, channels)
 */
export function paintPicture(canvas, { shape: [rows, columns, channels], values, low, high }) {
  const byte = (/** @type {number} */ value) => (255 * (value - low)) / (high - low || 1);
  const at = channels === 3 ? [0, 1, 2] : [0, 0, 0];
  paint(canvas, rows, columns, (place) => [byte(values[place * channels + at[0]]), byte(values[place * channels + at[1]]), byte(values[place * channels + at[2]])], true);
}

/**
 * A picture of sizes from 0 on.
 * @param {HTMLCanvasElement} canvas
 * @param {import("../types.js").FrameArray} array  (rows, columns)
 */
export function paintSizes(canvas, { shape: [rows, columns], values, high }) {
  const scale = colours("sequential");
  paint(canvas, rows, columns, (place) => scale[index(values[place] / (high || 1))], true);
}

/**
 * The map of several classes: the colour of the most likely one, paler where the network is less sure.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} values  (rows, columns, classes)
 * @param {{rows: number, columns: number, classes: number, discrete?: boolean}} shape
 */
export function paintClasses(canvas, values, { rows, columns, classes, discrete = false }) {
  const neutral = colours("diverging")[128];
  paint(canvas, rows, columns, (place) => {
    let best = 0;
    for (let k = 1; k < classes; k += 1) if (values[place * classes + k] > values[place * classes + best]) best = k;
    const colour = classColour(best);
    const least = 1 / classes;
    const sure = discrete ? 0.6 : 0.6 * Math.min(Math.max((values[place * classes + best] - least) / (1 - least), 0.08), 1);
    const mixed = (/** @type {0 | 1 | 2} */ c) => neutral[c] + (colour[c] - neutral[c]) * sure;
    return [mixed(0), mixed(1), mixed(2)];
  });
}

/**
 * The colours of a legend, from the least value at the left to the greatest at the right.
 * @param {HTMLCanvasElement} canvas
 * @param {import("./colours.js").Scale} scale
 */
export function paintLegend(canvas, scale) {
  const all = colours(scale);
  paint(canvas, 1, all.length, (place) => all[place]);
}
