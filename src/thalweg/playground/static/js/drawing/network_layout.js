// Where the units of a network stand in its drawing.

/** @typedef {import("../types.js").LabState} LabState */
/** @typedef {import("../types.js").LayerInfo} LayerInfo */

/**
 * A column of units: the inputs, or a dense layer with the layers that follow it.
 * @typedef {object} Column
 * @property {"inputs" | "hidden" | "output"} role
 * @property {number} dense  Index of the layer with the weights; -1 for the inputs.
 * @property {number} last  Index of the last layer before the next weights; -1 for the plain inputs.
 * @property {number} units
 * @property {string[]} names  Names of the units.
 * @property {string} words  The kinds of its layers.
 * @property {number} x  Centre.
 * @property {number[]} y  Centre of each unit.
 * @property {number} size  Side of a unit.
 * @property {number} pitch  Distance of two units.
 * @property {boolean} strip  Whether the units are too many for pictures of their own.
 */

const TOP = 72;
const BOTTOM = 26;
const LARGEST = 52;
const LEAST = 14;
/** Largest distance of the middles of two units. */
const LARGEST_PITCH = 84;
/** Distance of two units that the drawing grows for, within these heights. */
const WANTED_PITCH = 54;
const HEIGHTS = [452, 540];
/** Least gap between two units: a number stands in it. */
const GAP = 16;
const MOST_PICTURES = 12;
/** Least distance of two columns; a narrower page scrolls. */
const LEAST_STEP = 84;
/** Distance of the middle of the outer columns from the edge. */
const MARGIN = 44;

/** @param {LayerInfo} layer */
const isDrawn = (layer) => layer.kind === "dense" || layer.kind === "residual";

/** The layers that begin a row of units: those with weights between units. @param {LayerInfo[]} layers */
const weighted = (layers) => layers.filter(isDrawn);

/** The layers with weights. @param {LayerInfo[]} layers */
export const withWeights = (layers) => layers.filter((layer, k) => (layer.row ?? 0) > (layers[k - 1]?.row ?? 0));

/** The layers with weights that have no units to draw, such as convolutions. @param {LayerInfo[]} layers */
export const leftOut = (layers) => withWeights(layers).filter((layer) => !isDrawn(layer));

/**
 * @param {LabState} state
 * @returns {Column[]}
 */
export function columnsOf(state) {
  const layers = state.layers;
  const dense = weighted(layers);
  const first = dense[0]?.index ?? layers.length;
  const features = layers.filter((layer) => layer.index < first).at(-1);
  /** @type {Column[]} */
  const columns = [column("inputs", -1, features?.index ?? -1, featureNames(state, features), "")];
  dense.forEach((layer, k) => {
    const until = dense[k + 1]?.index ?? Infinity;
    const group = layers.filter((one) => one.index >= layer.index && one.index < until);
    const role = k === dense.length - 1 ? "output" : "hidden";
    const last = /** @type {LayerInfo} */ (group.at(-1));
    const names = role === "output" ? outputNames(state, layer.units) : numbered(layer.units, `${k + 1}.`);
    columns.push(column(role, layer.index, last.index, names, group.slice(1).map((one) => one.kind).join(", ")));
  });
  return columns;
}

/**
 * The names of what the first weights receive: the inputs, or the functions of a features layer.
 * @param {LabState} state
 * @param {LayerInfo | undefined} features
 * @returns {string[]}
 */
function featureNames(state, features) {
  if (!features) return state.inputs;
  const written = (state.spec.network?.layers ?? []).find((/** @type {any} */ layer) => layer?.functions);
  if (written?.functions.length === features.units) return written.functions;
  return features.units === state.inputs.length ? state.inputs : numbered(features.units, "f");
}

/**
 * The names of the outputs; a single one for two classes is the probability of the second.
 * @param {LabState} state
 * @param {number} units
 */
function outputNames({ outputs, task }, units) {
  if (outputs.length === units) return outputs;
  return task === "classification" && units === 1 && outputs.length === 2 ? [`P(${outputs[1]})`] : numbered(units, "y");
}

/**
 * @param {number} count
 * @param {string} prefix
 */
const numbered = (count, prefix) => Array.from({ length: count }, (_, k) => `${prefix}${k + 1}`);

/**
 * @param {Column["role"]} role
 * @param {number} dense
 * @param {number} last
 * @param {string[]} names
 * @param {string} words
 * @returns {Column}
 */
function column(role, dense, last, names, words) {
  return { role, dense, last, units: names.length, names, words, x: 0, y: [], size: 0, pitch: 0, strip: names.length > MOST_PICTURES };
}

/** The largest number of units that have pictures of their own in one column. @param {Column[]} columns */
const mostUnits = (columns) => Math.max(...columns.filter((one) => !one.strip).map((one) => one.units), 1);

/** The height of the drawing. @param {Column[]} columns */
export const heightOf = (columns) => Math.min(Math.max(TOP + BOTTOM + WANTED_PITCH * mostUnits(columns), HEIGHTS[0]), HEIGHTS[1]);

/**
 * Place the columns in a box, evenly from left to right, and the units of each around its middle.
 * @param {Column[]} columns
 * @param {number} width
 * @param {number} height
 */
export function place(columns, width, height) {
  const room = height - TOP - BOTTOM;
  const pitch = Math.min(LARGEST_PITCH, room / mostUnits(columns));
  const size = Math.max(Math.min(LARGEST, pitch - GAP), LEAST);
  const step = columns.length > 1 ? (width - 2 * MARGIN) / (columns.length - 1) : 0;
  columns.forEach((one, k) => {
    one.x = MARGIN + k * step;
    const own = one.strip ? room / one.units : Math.min(LARGEST_PITCH, room / one.units);
    one.size = one.strip ? own : size;
    one.pitch = own;
    const start = TOP + (room - one.units * own) / 2;
    one.y = Array.from({ length: one.units }, (_, unit) => start + (unit + 0.5) * own);
  });
}

/** Width that the columns need. @param {number} count */
export const leastWidth = (count) => 2 * MARGIN + (count - 1) * LEAST_STEP;
