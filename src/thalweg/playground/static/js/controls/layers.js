// The controls of the layers: number of layers, units and activation of each, and the rest in a dialog.

import { byId, make, makeSelect, refill, words } from "../dom.js";
import { changeNetwork, changeOutput, network } from "../draft.js";
import { activationKinds, asTable } from "../parts.js";
import { on } from "../store.js";
import { partForm } from "./options.js";

/** @typedef {import("../parts.js").HiddenLayer} HiddenLayer */
/** @typedef {import("../drawing/network_layout.js").Column} Column */

const MOST_LAYERS = 6;
const MOST_UNITS = 64;

/** @returns {HiddenLayer} A new last hidden layer, like the one before it. */
function nextLayer() {
  const before = network().hidden.at(-1);
  return { dense: { kind: "dense", width: Math.min(before?.dense.width ?? 4, 4) || 4 }, normalization: null, activation: before?.activation ?? { kind: "tanh" }, dropout: null, residual: false, others: [] };
}

export function startLayers() {
  const fewer = byId("fewer-layers", HTMLButtonElement);
  const more = byId("more-layers", HTMLButtonElement);
  fewer.addEventListener("click", () => changeNetwork((parts) => parts.hidden.pop()));
  more.addEventListener("click", () => changeNetwork((parts) => parts.hidden.push(nextLayer())));
  on("state", () => {
    const count = network().hidden.length;
    byId("layer-count").textContent = `${count} hidden layer${count === 1 ? "" : "s"}`;
    fewer.disabled = count === 0;
    more.disabled = count >= MOST_LAYERS;
  });
}

/**
 * @param {number} k
 * @param {number} step
 */
function changeUnits(k, step) {
  changeNetwork(({ hidden }) => {
    const { dense } = hidden[k];
    dense.width = Math.min(Math.max(dense.width + step, 1), MOST_UNITS);
  });
}

/**
 * What stands above a column of the drawing.
 * @param {Column} column
 * @param {number} at  Number of the column: hidden layers begin at 1.
 * @returns {HTMLElement}
 */
export function layerHead(column, at) {
  const k = at - 1;
  const head = make("div", { class: `layer-head ${column.role}`, "data-column": at });
  if (column.role === "inputs") {
    head.append(make("span", { class: "head-title", text: "Inputs" }));
    return head;
  }
  /** @type {[string, string][]} */
  const kinds = activationKinds().map((kind) => [kind, words(kind)]);
  if (column.role === "output") {
    const last = asTable("layers", network().output.at(-1) ?? "").kind;
    head.append(make("span", { class: "head-title", text: "Output" }),
      makeSelect([["", "linear"], ["softmax", "softmax"], ...kinds.filter(([kind]) => kind !== "identity")], last === "dense" ? "" : last, changeOutput, { "aria-label": "last layer", "data-key": "last layer" }));
    return head;
  }
  const layer = network().hidden[k];
  const name = `layer ${k + 1}`;
  const button = (/** @type {string} */ sign, /** @type {string} */ label, /** @type {number} */ step, /** @type {boolean} */ disabled) =>
    make("button", { type: "button", class: "round", text: sign, "aria-label": `${label} in ${name}`, disabled, "data-key": `${label} ${k}`, on: { click: () => changeUnits(k, step) } });
  head.append(make("div", { class: "stepper" },
    button("−", "fewer units", -1, column.units <= 1),
    make("span", { class: "unit-count", text: String(column.units), title: `${column.units} units` }),
    button("+", "more units", 1, column.units >= MOST_UNITS)));
  const choose = (/** @type {string} */ kind) => changeNetwork(({ hidden }) => void (hidden[k].activation = kind ? { kind } : null));
  head.append(make("div", { class: "head-line" },
    makeSelect([["", "linear"], ...kinds.filter(([kind]) => kind !== "identity")], layer?.activation?.kind ?? "", choose, { "aria-label": `activation of ${name}`, "data-key": `activation ${k}` }),
    make("button", { type: "button", class: "quiet", text: "⋯", "aria-label": `more options of ${name}`, title: "Initialiser, dropout, normalisation, residual", "data-key": `options ${k}`, on: { click: () => openLayer(k) } })));
  return head;
}

/** The dialog with all options of a hidden layer. @param {number} k */
function openLayer(k) {
  const dialog = byId("layer-dialog", HTMLDialogElement);
  fillDialog(k);
  if (!dialog.open) dialog.showModal();
}

/** @param {number} k */
function fillDialog(k) {
  const layer = network().hidden[k];
  const edit = (/** @type {(layer: HiddenLayer) => void} */ change) => {
    changeNetwork(({ hidden }) => change(hidden[k]));
    fillDialog(k);
  };
  const units = make("input", { type: "number", min: 1, max: MOST_UNITS, value: layer.dense.width });
  units.addEventListener("change", () => edit(({ dense }) => void (dense.width = Math.min(Math.max(Math.round(units.valueAsNumber) || 1, 1), MOST_UNITS))));
  const residual = make("input", { type: "checkbox" });
  residual.checked = layer.residual;
  residual.addEventListener("change", () => edit((one) => void (one.residual = residual.checked)));
  byId("layer-dialog-title").textContent = `Layer ${k + 1}`;
  refill(byId("layer-dialog-body"), 
    make("label", { class: "field" }, make("span", { text: "Units" }), units),
    partForm("layers", layer.activation, (part) => edit((one) => void (one.activation = part)), { label: "Activation", optional: "linear", kinds: activationKinds() }),
    partForm("initializers", layer.dense.init ?? null, (part) => edit((one) => void (one.dense.init = part)), { label: "Initialiser", optional: "suited to the activation" }),
    partForm("layers", layer.normalization, (part) => edit((one) => void (one.normalization = part)), { label: "Normalisation", optional: "none", kinds: ["batch_norm", "layer_norm"] }),
    partForm("layers", layer.dropout, (part) => edit((one) => void (one.dropout = part)), { label: "Dropout", optional: "none", kinds: ["dropout"] }),
    make("label", { class: "field check" }, residual, make("span", { text: "Residual: add the layer's input to its output" })));
}
