// The spec that the page edits. It holds only what differs from nothing: the server completes it.

import { request, send } from "./connection.js";
import { SECTIONS, readAddress, writeAddress } from "./address.js";
import { asShort, asTable, outputFor, putTogether, takeApart } from "./parts.js";
import { catalogue, get, on, put } from "./store.js";

/** @typedef {import("./types.js").Table} Table */
/** @typedef {import("./types.js").LabState} LabState */
/** @typedef {import("./parts.js").NetworkParts} NetworkParts */

/** @type {Table} */
let draft = {};

/** The spec as it is edited. */
export const spec = () => draft;

/** The spec as the server understood it, with the loss and the optimizer that it chose. @returns {Table} */
export function complete() {
  const state = get("state");
  return state ? { ...state.spec, loss: state.spec.loss ?? state.loss, optimizer: state.optimizer ?? state.spec.optimizer } : draft;
}

/** What the page edits of a spec; it leaves out what only runs on a disk have. @param {Table} described */
const edited = (described) => structuredClone(Object.fromEntries(Object.entries(described).filter(([section]) => SECTIONS.includes(section))));

/** Begin with the spec of the address, or with the defaults. */
export function begin() {
  on("state", follow);
  const { places } = readAddress();
  draft = structuredClone(catalogue().defaults);
  // A network is written by its layers or as a perceptron: parts of both do not go together.
  if (Object.keys(places).some((place) => place.startsWith("network."))) draft.network = {};
  for (const [place, value] of Object.entries(places)) assign(place, value);
}

/**
 * The value at a place of the completed spec: `optimizer.learning_rate`.
 * @param {string} place
 * @returns {any}
 */
export function valueAt(place) {
  const pick = (/** @type {Table} */ table) => place.split(".").reduce((/** @type {any} */ part, name) => part?.[name], table);
  return pick(complete()) ?? pick(draft);
}

/**
 * @param {string} place
 * @param {unknown} value  null removes it.
 */
function assign(place, value) {
  const names = place.split(".");
  const last = /** @type {string} */ (names.pop());
  let table = draft;
  for (const name of names) {
    const inner = table[name];
    // A part that is written as its name becomes a table as soon as one of its options is set.
    if (typeof inner === "string") table[name] = { kind: inner };
    else if (!inner || typeof inner !== "object") table[name] = {};
    table = table[name];
  }
  if (value === null || value === undefined) delete table[last];
  else table[last] = value;
}

/**
 * Change one value; the training goes on with it where it can.
 * @param {string} place
 * @param {unknown} value
 */
export function change(place, value) {
  assign(place, value);
  writeAddress(draft);
  send({ do: "set", place, value: value ?? null });
}

/**
 * Change several values at once and begin a new training.
 * @param {Record<string, unknown>} places
 */
export function changeAll(places) {
  for (const [place, value] of Object.entries(places)) assign(place, value);
  sendSpec();
}

/** Replace the whole spec. @param {Table} replacement */
export function replaceSpec(replacement) {
  draft = edited(replacement);
  sendSpec();
}

function sendSpec() {
  writeAddress(draft);
  send({ do: "spec", spec: draft });
}

/** The layers of the network, taken apart. @returns {NetworkParts} */
export function network() {
  const written = draft.network?.layers ?? complete().network?.layers;
  if (written) return takeApart(written);
  const mlp = { hidden: [], activation: "relu", ...complete().network, ...draft.network };
  const between = mlp.hidden.flatMap((/** @type {number} */ width) =>
    [`dense ${width}`, mlp.normalization, mlp.activation, mlp.dropout && `dropout ${mlp.dropout}`].filter(Boolean));
  const shown = get("state")?.layers ?? [];
  const last = shown.findLastIndex((layer) => layer.kind === "dense");
  const output = shown.slice(last).map((layer, k) => (k === 0 ? `dense ${layer.units}` : layer.kind));
  return takeApart([...between, ...output]);
}

/** The initializer that a network has set for all its layers. @param {Table | undefined} written */
const initOf = (written) => (written?.init ? { init: written.init } : {});

/**
 * Change the network and begin a new training.
 * @param {(parts: NetworkParts) => void} edit
 */
export function changeNetwork(edit) {
  const parts = network();
  edit(parts);
  draft.network = { layers: putTogether(parts), ...initOf(draft.network) };
  sendSpec();
}

/**
 * Another last layer; the loss that suits it is chosen by the server.
 * @param {string} kind  Empty: none, the outputs are the net inputs.
 */
export function changeOutput(kind) {
  const state = get("state");
  const classes = state?.classes?.length ?? 0;
  delete draft.loss;
  changeNetwork((parts) => {
    const dense = asTable("layers", parts.output[0]);
    // One probability is enough for two classes, but their softmax needs both.
    if (state?.task === "classification") dense.width = classes === 2 && kind !== "softmax" ? 1 : classes;
    parts.output = [asShort(dense), ...(kind ? [kind] : [])];
  });
}

/**
 * Train on other data. The output of the network and the loss follow its task.
 * @param {Table | string} source
 * @param {{task?: string, outputs?: number, inputs?: number, target?: string}} shape  What is known of its rows.
 */
export function changeData(source, { task, outputs, inputs, target }) {
  draft.data = { ...draft.data, source };
  delete draft.data.target;
  delete draft.data.task;
  if (target) draft.data.target = target;
  delete draft.loss;
  const parts = network();
  // Features are written for inputs by their number: other inputs begin without.
  if (inputs !== undefined && inputs !== 2) parts.head = [];
  if (task && outputs) draft.network = { layers: putTogether({ ...parts, output: outputFor(task, outputs) }), ...initOf(draft.network) };
  else draft.network = { kind: "mlp", hidden: parts.hidden.map((layer) => layer.dense.width), activation: parts.hidden[0]?.activation?.kind ?? "relu" };
  sendSpec();
}

let adopts = false;

/** Take the spec of the next state that the server describes: it sets what the page does not know. */
export function adopt() {
  adopts = true;
}

/** @param {LabState} state */
function follow(state) {
  if (!adopts) return;
  adopts = false;
  draft = edited(state.spec);
  writeAddress(draft);
}

/** After the server refused a change: the spec is what it was before. */
export function takeBack() {
  const state = get("state");
  adopts = false;
  if (!state) return;
  draft = edited(state.spec);
  writeAddress(draft);
  put("state", state);
}

const REMEMBERED = "thalweg-lab";

/**
 * The lab of this tab: the one that it had before a reload, else a new one.
 * @returns {Promise<string>}
 */
export async function openLab() {
  const known = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? "null");
  const address = location.hash;
  if (known?.address === address) {
    try {
      await request("GET", `/api/labs/${encodeURIComponent(known.lab)}`);
      return known.lab;
    } catch {
      // The server was started anew or has closed the lab: the address holds all that is needed to begin again.
    }
  }
  return newLab();
}

export async function newLab() {
  const made = await request("POST", "/api/labs", { spec: draft });
  put("problems", made.problems ?? []);
  // What could not be kept of the spec is gone from the page too.
  if (made.problems?.length) draft = edited(made.spec);
  remember(made.lab);
  return made.lab;
}

/** @param {string} lab */
function remember(lab) {
  const save = () => sessionStorage.setItem(REMEMBERED, JSON.stringify({ lab, address: location.hash }));
  save();
  window.addEventListener("pagehide", save);
}
