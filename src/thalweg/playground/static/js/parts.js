// Parts of a spec as the page edits them: their written forms, and a network as a list of hidden layers.

import { catalogue } from "./store.js";

/** @typedef {import("./types.js").Table} Table */
/** @typedef {import("./types.js").PartKind} PartKind */

/** @param {string} family */
export const kindsOf = (family) => catalogue().families[family] ?? [];

/**
 * @param {string} family
 * @param {string} kind
 * @returns {PartKind | undefined}
 */
export const kindOf = (family, kind) => kindsOf(family).find((one) => one.kind === kind);

/**
 * A part as a table: "dense 4" -> {kind: "dense", width: 4}.
 * @param {string} family
 * @param {unknown} part
 * @returns {Table}
 */
export function asTable(family, part) {
  if (part && typeof part === "object") return { .../** @type {Table} */ (part) };
  const [kind, ...values] = String(part ?? "").split(/\s+/);
  const options = kindOf(family, kind)?.options ?? [];
  /** @type {Table} */
  const table = { kind };
  values.forEach((value, k) => {
    if (options[k]) table[options[k].name] = value !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
  });
  return table;
}

/**
 * The shortest written form of a part: its kind alone where nothing else is set.
 * @param {Table} table
 * @returns {Table | string}
 */
export function asShort(table) {
  const set = Object.entries(table).filter(([name, value]) => name !== "kind" && value !== null && value !== undefined);
  if (!set.length) return table.kind;
  return table.kind === "dense" && set.length === 1 && "width" in table ? `dense ${table.width}` : { kind: table.kind, ...Object.fromEntries(set) };
}

/**
 * One hidden layer: its dense layer and what follows it up to the next one.
 * @typedef {object} HiddenLayer
 * @property {Table} dense
 * @property {Table | null} normalization
 * @property {Table | null} activation
 * @property {Table | null} dropout
 * @property {boolean} residual
 * @property {(Table | string)[]} others  Further layers, kept as they are.
 */

/** @typedef {{head: (Table | string)[], hidden: HiddenLayer[], output: (Table | string)[]}} NetworkParts */

const NORMALIZATIONS = ["batch_norm", "layer_norm"];

/** Kinds of layers that can follow a dense layer as its activation. */
export const activationKinds = () => catalogue().activations;

/**
 * Take a list of layers apart. The last dense layer and what follows it is the output.
 * @param {(Table | string)[]} layers
 * @returns {NetworkParts}
 */
export function takeApart(layers) {
  const tables = layers.map((layer) => asTable("layers", layer));
  /** @type {NetworkParts} */
  const parts = { head: [], hidden: [], output: [] };
  const last = tables.findLastIndex((table) => table.kind === "dense");
  tables.forEach((table, k) => {
    if (k >= last && last >= 0) parts.output.push(layers[k]);
    else if (table.kind === "dense") parts.hidden.push(hiddenLayer([table], false));
    else if (table.kind === "residual") parts.hidden.push(hiddenLayer(table.layers.map((/** @type {unknown} */ one) => asTable("layers", one)), true));
    else if (parts.hidden.length) addTo(/** @type {HiddenLayer} */ (parts.hidden.at(-1)), table);
    else parts.head.push(layers[k]);
  });
  return parts;
}

/**
 * @param {Table[]} tables
 * @param {boolean} residual
 * @returns {HiddenLayer}
 */
function hiddenLayer(tables, residual) {
  /** @type {HiddenLayer} */
  const layer = { dense: tables[0], normalization: null, activation: null, dropout: null, residual, others: [] };
  for (const table of tables.slice(1)) addTo(layer, table);
  return layer;
}

/**
 * @param {HiddenLayer} layer
 * @param {Table} table
 */
function addTo(layer, table) {
  if (NORMALIZATIONS.includes(table.kind) && !layer.normalization) layer.normalization = table;
  else if (table.kind === "dropout" && !layer.dropout) layer.dropout = table;
  else if (activationKinds().includes(table.kind) && !layer.activation) layer.activation = table;
  else layer.others.push(table);
}

/**
 * The list of layers of these parts.
 * @param {NetworkParts} parts
 * @returns {(Table | string)[]}
 */
export function putTogether({ head, hidden, output }) {
  const between = hidden.flatMap((layer) => {
    const tables = [layer.dense, layer.normalization, layer.activation, layer.dropout].filter((table) => table !== null);
    const layers = [...tables.map(asShort), ...layer.others];
    return layer.residual ? [{ kind: "residual", layers }] : layers;
  });
  return [...head, ...between, ...output];
}

/**
 * The output layers that suit a task: one probability for two classes, one for each class, or numbers.
 * @param {string} task
 * @param {number} outputs
 */
export function outputFor(task, outputs) {
  if (task === "regression") return [`dense ${outputs}`];
  if (task === "multilabel") return [`dense ${outputs}`, "sigmoid"];
  return outputs <= 2 ? ["dense 1", "sigmoid"] : [`dense ${outputs}`, "softmax"];
}
