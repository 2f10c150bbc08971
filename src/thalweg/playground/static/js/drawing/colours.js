// Colours of numbers. Negative is orange and positive blue, which colour-blind eyes tell apart.

import { get } from "../store.js";

/** @typedef {[red: number, green: number, blue: number]} Colour */
/** @typedef {"diverging" | "sequential" | "map"} Scale */

/** @type {Record<"light" | "dark", Colour[]>}  From -1 over 0 to 1. */
const DIVERGING = {
  light: [[190, 84, 12], [232, 140, 62], [250, 208, 164], [246, 246, 243], [168, 205, 235], [74, 144, 200], [14, 86, 148]],
  dark: [[255, 170, 92], [214, 118, 44], [128, 74, 36], [38, 42, 48], [32, 78, 116], [50, 128, 186], [122, 192, 244]],
};
/** @type {Record<"light" | "dark", Colour[]>}  From 0 to 1. */
const SEQUENTIAL = {
  light: [[243, 241, 247], [203, 196, 226], [146, 131, 196], [92, 68, 160], [52, 24, 110]],
  dark: [[38, 38, 48], [70, 56, 112], [116, 92, 180], [168, 146, 228], [224, 212, 255]],
};
/** One colour for each class (Okabe and Ito): the first two are those of the diverging scale. */
/** @type {Record<"light" | "dark", Colour[]>} */
const CLASSES = {
  light: [[214, 106, 20], [22, 104, 168], [0, 140, 104], [176, 84, 148], [150, 120, 0], [64, 160, 210], [110, 110, 110], [120, 60, 30], [90, 90, 190], [30, 90, 60]],
  dark: [[244, 152, 72], [92, 172, 232], [48, 196, 152], [224, 140, 196], [228, 200, 60], [140, 210, 246], [170, 170, 170], [190, 130, 100], [150, 150, 240], [120, 190, 150]],
};
const SIZE = 256;

/**
 * @param {Colour[]} stops
 * @param {number} share  From 0 to 1.
 * @returns {Colour}
 */
function between(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const k = Math.min(Math.floor(place), stops.length - 2);
  const part = place - k;
  const [from, to] = [stops[k], stops[k + 1]];
  const mixed = (/** @type {0 | 1 | 2} */ c) => Math.round(from[c] + (to[c] - from[c]) * part);
  return [mixed(0), mixed(1), mixed(2)];
}

/** @param {Colour[]} stops */
const table = (stops) => Array.from({ length: SIZE }, (_, k) => between(stops, k / (SIZE - 1)));

/** Maps with points on them stay paler than the points. */
const PALE = 0.64;
/** @param {Colour[]} stops */
const pale = (stops) => Array.from({ length: SIZE }, (_, k) => between(stops, 0.5 + PALE * (k / (SIZE - 1) - 0.5)));

const TABLES = {
  map: { light: pale(DIVERGING.light), dark: pale(DIVERGING.dark) },
  diverging: { light: table(DIVERGING.light), dark: table(DIVERGING.dark) },
  sequential: { light: table(SEQUENTIAL.light), dark: table(SEQUENTIAL.dark) },
};

const theme = () => get("theme") ?? "light";

/** The 256 colours from the least to the greatest value. @param {Scale} scale */
export const colours = (scale) => TABLES[scale][theme()];

/** The colour of a value between -1 and 1. @param {number} value */
export const signed = (value) => css(colours("diverging")[index((value + 1) / 2)]);

/** The colour of a value between 0 and 1. @param {number} value */
export const unsigned = (value) => css(colours("sequential")[index(value)]);

/** @param {number} share */
export const index = (share) => Math.min(Math.max(Math.round(share * (SIZE - 1)), 0), SIZE - 1) || 0;

/** The colour of a class. @param {number} k @returns {Colour} */
export const classColour = (k) => CLASSES[theme()][k % CLASSES.light.length];

/** @param {Colour} colour */
export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/**
 * The colour of a point: of its class, or of its number as a part of the greatest one.
 * @param {string} task
 * @param {number} y
 * @param {number} greatest
 */
export const pointColour = (task, y, greatest) => (task === "regression" ? signed(y / (greatest || 1)) : css(classColour(y)));

/** The colour of a layer's line: from light at the input to dark at the output. @param {number} share */
export const depthColour = (share) => css(between(theme() === "dark"
  ? [[88, 120, 190], [78, 184, 170], [236, 208, 96]]
  : [[56, 40, 120], [24, 130, 128], [206, 142, 20]], share));

/** A colour of the style sheet. @param {string} name */
export const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
