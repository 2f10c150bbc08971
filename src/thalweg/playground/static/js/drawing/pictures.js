// What the network makes of one picture: its kernels, the maps of every layer, its answer, and what the loss depends on.

import { brief, byId, calmly, make } from "../dom.js";
import { send } from "../connection.js";
import { latest } from "../frames.js";
import { get, on } from "../store.js";
import { paintPicture, paintSigned, paintSizes } from "./heat.js";
import { withWeights } from "./network_layout.js";

/** @typedef {import("../types.js").LayerInfo} LayerInfo */
/** @typedef {import("../types.js").FrameArray} FrameArray */
/** @typedef {import("../types.js").ShownPicture} ShownPicture */

/** What the strips show. @type {Record<import("../types.js").Quantity, {kernels: string, maps: string}>} */
const SHOWN = {
  weights: { kernels: "kernels", maps: "outputs for the picture" },
  outputs: { kernels: "kernels", maps: "outputs for the picture" },
  delta: { kernels: "kernels", maps: "delta = dL/dz of the picture's own loss" },
  gradients: { kernels: "gradients of the kernels in the last step", maps: "outputs for the picture" },
  updates: { kernels: "updates of the kernels in the last step", maps: "outputs for the picture" },
};
/** More outputs than these are not listed. */
const MOST_OUTPUTS = 12;

/** @type {ShownPicture | undefined} */
let shown;

export function startPictures() {
  const drawCalmly = calmly(draw);
  on("frame", (frame) => {
    shown = frame.picture;
    byId("pictures").hidden = !shown;
    drawCalmly();
  });
  on("theme", draw);
  byId("picture-before").addEventListener("click", () => choose((shown?.row ?? 0) - 1));
  byId("picture-after").addEventListener("click", () => choose((shown?.row ?? 0) + 1));
  const row = byId("picture-row", HTMLInputElement);
  row.addEventListener("change", () => Number.isInteger(row.valueAsNumber) && choose(row.valueAsNumber - 1));
  byId("picture-wrong").addEventListener("click", () => {
    const { row: now = 0, wrong = [] } = shown ?? {};
    choose(wrong.find((place) => place > now) ?? wrong[0] ?? now);
  });
}

/** Show another picture; behind the last one comes the first. @param {number} row */
function choose(row) {
  if (shown) send({ do: "view", picture: ((row % shown.rows) + shown.rows) % shown.rows });
}

function draw() {
  if (!shown) return;
  byId("picture-set").textContent = `${shown.set} picture`;
  const row = byId("picture-row", HTMLInputElement);
  if (document.activeElement !== row) row.value = String(shown.row + 1);
  row.max = String(shown.rows);
  byId("picture-rows").textContent = `of ${shown.rows}`;
  byId("picture-wrong", HTMLButtonElement).disabled = !shown.wrong.length;
  const [input, saliency] = [latest("picture.input"), latest("picture.saliency")];
  if (input) paintPicture(byId("picture-input", HTMLCanvasElement), input);
  if (saliency) paintSizes(byId("picture-saliency", HTMLCanvasElement), saliency);
  showOutputs(shown);
  showLayers();
}

/** The answer, and the bar of each output. @param {ShownPicture} picture */
function showOutputs({ target }) {
  const state = get("state");
  const values = Array.from(latest("picture.output")?.values ?? []);
  const names = state?.outputs ?? [];
  const line = byId("picture-answer");
  const bars = byId("picture-outputs");
  if (state?.task !== "classification" || typeof target !== "number") {
    line.className = "";
    line.textContent = `output ${values.map((value) => brief(value)).join(", ")}; target ${[target].flat().map((value) => brief(value)).join(", ")}`;
    bars.replaceChildren();
    return;
  }
  // A single output is the probability of the second class.
  const shares = values.length === 1 ? [1 - values[0], values[0]] : values;
  const best = shares.indexOf(Math.max(...shares));
  const right = best === target;
  line.className = right ? "right" : "wrong";
  line.textContent = `class ${names[target]}, answer ${names[best]} (${percent(shares[best])})`;
  byId("picture-input").ariaLabel = `The picture: ${line.textContent}`;
  const listed = shares.map((_, k) => k).sort((a, b) => shares[b] - shares[a]).slice(0, MOST_OUTPUTS).sort((a, b) => a - b);
  bars.replaceChildren(...listed.map((k) => make("li", k === target ? { class: "target" } : {},
    make("span", { text: String(names[k]) }),
    make("meter", { min: 0, max: 1, value: shares[k], "aria-label": `probability of ${names[k]}` }),
    make("span", { text: percent(shares[k]) }))));
}

/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** The strips: the kernels of the first layer, and the maps of every layer that has them. */
function showLayers() {
  const layers = get("state")?.layers ?? [];
  const words = SHOWN[get("quantity") ?? "weights"];
  const strips = withWeights(layers).flatMap((layer) => {
    const [kernels, maps] = [latest(`picture.kernels.${layer.index}`), latest(`picture.maps.${layer.index}`)];
    return [...(kernels ? [strip(layer, kernels, words.kernels, "kernels")] : []), ...(maps ? [strip(layer, maps, words.maps, "maps")] : [])];
  });
  const place = byId("picture-layers");
  const old = [...place.children];
  if (old.length !== strips.length || old.some((one, k) => one !== strips[k])) place.replaceChildren(...strips);
  byId("picture-meaning").textContent = strips.length
    ? "Blue is positive and orange negative, on a scale of each strip. A cross (†) marks a channel that is dead for all rows."
    : "";
}

/** @type {Map<string, HTMLElement>} */
const made = new Map();

/**
 * A line of small pictures, one a unit or channel.
 * @param {LayerInfo} layer
 * @param {FrameArray} array
 * @param {string} words
 * @param {"kernels" | "maps"} kind
 */
function strip(layer, array, words, kind) {
  const key = `${layer.index} ${kind} ${array.shape[0]} ${layer.name}`;
  let section = made.get(key);
  if (!section) {
    const tiles = Array.from({ length: array.shape[0] }, () => make("div", { class: "picture-tile" }, make("canvas", { width: 1, height: 1, role: "img" })));
    section = make("div", { class: "picture-layer" }, make("h3", {}, `${layer.name} `, make("span")), make("div", { class: "picture-tiles" }, ...tiles));
    made.set(key, section);
  }
  /** @type {HTMLElement} */ (section.querySelector("h3 span")).textContent = words;
  const flags = kind === "maps" ? flagsOf(layer) : undefined;
  section.querySelectorAll("canvas").forEach((canvas, k) => {
    paintSigned(canvas, array, k);
    const dead = Boolean(flags?.[k]);
    canvas.parentElement?.classList.toggle("dead", dead);
    canvas.ariaLabel = `${layer.name}, ${kind === "maps" ? "channel" : "kernel"} ${k + 1}${dead ? ", dead" : ""}`;
  });
  return section;
}

/** Which channels of a row's activation are dead. @param {LayerInfo} layer */
function flagsOf(layer) {
  const row = (get("state")?.layers ?? []).filter((one) => one.row === layer.row);
  return row.map((one) => latest(`dead.${one.index}`)?.values).find(Boolean);
}
