// The switch of the network drawing: weights, outputs, delta, gradients or updates.

import { brief, byId } from "../dom.js";
import { send } from "../connection.js";
import { get, on, put } from "../store.js";
import { paintLegend } from "../drawing/heat.js";

/** @typedef {import("../types.js").Quantity} Quantity */

/** @type {Record<Quantity, string>} */
const MEANINGS = {
  weights: "Width and colour of a connection: its weight. Pictures: what each unit answers to each point of the plane.",
  outputs: "Number of a unit: the root mean square of its outputs over the last batch. Colours are logarithmic.",
  delta: "Number of a unit: the root mean square of delta = dE/dz, the local sensitivity of the loss, over the last batch. Colours are logarithmic.",
  gradients: "Width and colour of a connection: the gradient dE/dW of the last step.",
  updates: "Width and colour of a connection: what the optimizer added to the weight in the last step.",
};

/** @type {Quantity[]} */
export const QUANTITIES = ["weights", "outputs", "delta", "gradients", "updates"];

export function startViewSwitch() {
  for (const button of byId("quantity").querySelectorAll("input"))
    button.addEventListener("change", () => button.checked && put("quantity", /** @type {Quantity} */ (button.value)));
  on("quantity", (quantity) => {
    for (const button of byId("quantity").querySelectorAll("input")) button.checked = button.value === quantity;
    byId("quantity-meaning").textContent = MEANINGS[quantity];
    ask();
  });
  on("connection", (connection) => connection === "connected" && ask());
  on("scale", showScale);
  on("theme", () => showScale(get("scale") ?? 0));
}

function ask() {
  send({ do: "view", quantity: get("quantity"), maps: true, size: 48 });
}

/** @param {number} scale */
function showScale(scale) {
  const byUnit = ["outputs", "delta"].includes(get("quantity") ?? "");
  paintLegend(byId("network-legend", HTMLCanvasElement), byUnit ? "sequential" : "diverging");
  byId("network-low").textContent = byUnit ? brief(scale / 1e6, 1) : brief(-scale, 2);
  byId("network-high").textContent = brief(scale, 2);
}
