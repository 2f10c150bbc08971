// The numbers of a chosen unit or weight: fields to change them, and every number of the last step.

import { brief, byId, fillSelect, make } from "../dom.js";
import { labPath, request, send } from "../connection.js";
import { latest } from "../frames.js";
import { get, on, put } from "../store.js";
import { namesInto } from "../drawing/network_drawing.js";
import { numberField, setWeight } from "./hover_card.js";
import { openTab } from "./tabs.js";

const MOST_FIELDS = 16;
let asked = 0;

export function startUnitCard() {
  put("sample", null);
  put("batch", []);
  on("unit", (unit) => {
    if (!unit) return;
    put("weight", null);
    show();
    openTab("numbers");
  });
  on("weight", (weight) => {
    if (!weight) return;
    show();
    openTab("numbers");
  });
  on("sample", () => chosen() && show());
  const sample = byId("sample", HTMLSelectElement);
  sample.addEventListener("change", () => put("sample", sample.value === "" ? null : Number(sample.value)));
  byId("refresh-numbers").addEventListener("click", show);
  on("state", (state) => {
    const layers = state.layers.length;
    if ((get("unit")?.layer ?? get("weight")?.layer ?? 0) >= layers) clear();
  });
  clear();
}

const chosen = () => get("unit") ?? get("weight");

/** Choose nothing. */
export function clear() {
  put("unit", null);
  put("weight", null);
  byId("numbers-fields").replaceChildren();
  byId("numbers-title").textContent = "Choose a unit or a connection in the drawing";
  byId("numbers-body").replaceChildren(make("p", { class: "soft", text: "Every number of the last step then stands here: forward, the chain rule with its factors, the optimizer's moments and the update." }));
}

/** @param {number[]} rows */
function showSamples(rows) {
  /** @type {[string, string][]} */
  const entries = rows.map((row, k) => [String(k), `row ${row}`]);
  const sample = get("sample");
  fillSelect(byId("sample", HTMLSelectElement), [["", "all rows of the batch"], ...entries], sample === null ? "" : String(sample));
}

function show() {
  const sample = get("sample") ?? null;
  const query = sample === null ? "" : `&sample=${sample}`;
  const [unit, weight] = [get("unit"), get("weight")];
  if (unit) {
    showUnitFields(unit);
    load(`unit=${unit.layer}.${unit.unit}${query}`);
  } else if (weight) {
    showWeightField(weight);
    load(`weight=${weight.layer}.${weight.from}.${weight.to}${query}`);
  }
}

/** @param {import("../types.js").UnitPlace} place */
function showUnitFields(place) {
  const { into, own } = namesInto(place.layer);
  byId("numbers-title").textContent = `Unit ${own[place.unit] ?? place.unit + 1}`;
  const bias = latest(`b.${place.layer}`)?.values[place.unit];
  const fields = [labelled("bias", numberField("bias", bias, (value) => send({ do: "weight", layer: place.layer, name: "b", index: [place.unit], value })))];
  const array = latest(`W.${place.layer}`);
  const width = array?.shape[1] ?? 0;
  if (into.length <= MOST_FIELDS)
    into.forEach((name, from) => fields.push(labelled(`from ${name}`, numberField(`weight from ${name}`, array?.values[from * width + place.unit], (value) => setOne(place, from, value)))));
  byId("numbers-fields").replaceChildren(...fields);
}

/**
 * @param {import("../types.js").UnitPlace} place
 * @param {number} from
 * @param {number} value
 */
const setOne = (place, from, value) => send({ do: "weight", layer: place.layer, name: "W", index: [from, place.unit], value });

/** @param {import("../types.js").WeightPlace} place */
function showWeightField(place) {
  const { into, own } = namesInto(place.layer);
  const name = `${into[place.from] ?? place.from + 1} → ${own[place.to] ?? place.to + 1}`;
  byId("numbers-title").textContent = `Weight ${name}`;
  const array = latest(`W.${place.layer}`);
  const value = array?.values[place.from * array.shape[1] + place.to];
  byId("numbers-fields").replaceChildren(labelled("weight", numberField(`weight ${name}`, value, (typed) => setWeight(place, typed))));
}

/**
 * @param {string} text
 * @param {HTMLElement} field
 */
const labelled = (text, field) => make("label", { class: "field" }, make("span", { text }), field);

/** @param {string} query */
async function load(query) {
  const body = byId("numbers-body");
  asked += 1;
  const mine = asked;
  body.ariaBusy = "true";
  try {
    const { blocks, rows } = await request("GET", labPath(`/step?${query}`));
    if (mine !== asked) return;
    body.innerHTML = blocks;
    put("batch", rows);
    showSamples(rows);
  } catch (error) {
    if (mine === asked) body.replaceChildren(make("p", { class: "soft", text: error instanceof Error ? error.message : brief(null) }));
  }
  body.ariaBusy = "false";
}
