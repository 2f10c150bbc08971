// A small card beside the pointer: what a connection weighs, and a field to change it.

import { brief, byId, make } from "../dom.js";
import { latest } from "../frames.js";
import { send } from "../connection.js";
import { put } from "../store.js";

let pinned = false;

/**
 * @param {number} x
 * @param {number} y
 * @param {Node[]} content
 */
function show(x, y, content) {
  const card = byId("hover-card");
  card.replaceChildren(...content);
  card.hidden = false;
  card.classList.toggle("pinned", pinned);
  const room = { x: innerWidth - card.offsetWidth - 8, y: innerHeight - card.offsetHeight - 8 };
  card.style.left = `${Math.max(8, Math.min(x + 14, room.x))}px`;
  card.style.top = `${Math.max(8, Math.min(y + 14, room.y))}px`;
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} title
 * @param {string} value
 */
export function showHover(x, y, title, value) {
  if (!pinned) show(x, y, [make("span", { text: title }), make("strong", { text: value })]);
}

export function hideCard() {
  if (!pinned) byId("hover-card").hidden = true;
}

/** Close the card, also where it is held open. */
export function closeCard() {
  pinned = false;
  hideCard();
}

/**
 * Hold the card open with a field for the weight.
 * @param {number} x
 * @param {number} y
 * @param {string} name
 * @param {import("../types.js").WeightPlace} place
 */
export function pinWeight(x, y, name, place) {
  const array = latest(`W.${place.layer}`);
  const value = array?.values[place.from * array.shape[1] + place.to];
  pinned = true;
  const field = numberField(`weight ${name}`, value, (typed) => setWeight(place, typed));
  show(x, y, [make("label", { class: "inline" }, `weight ${name}`, field), make("button", { type: "button", class: "quiet", text: "Close", on: { click: closeCard } })]);
  field.focus();
  field.select();
}

/**
 * @param {import("../types.js").WeightPlace} place
 * @param {number} value
 */
export function setWeight(place, value) {
  send({ do: "weight", layer: place.layer, name: "W", index: [place.from, place.to], value });
  put("weight", place);
}

/**
 * A field for one number of the network, which is set as soon as it is typed.
 * @param {string} label
 * @param {number | undefined} value
 * @param {(value: number) => void} set
 */
export function numberField(label, value, set) {
  const field = make("input", { type: "number", step: "any", "aria-label": label, value: value === undefined ? "" : Number(value.toPrecision(5)), title: brief(value, 6) });
  field.addEventListener("change", () => field.value !== "" && Number.isFinite(field.valueAsNumber) && set(field.valueAsNumber));
  field.addEventListener("keydown", (event) => event.key === "Escape" && closeCard());
  return field;
}

export function startCard() {
  document.addEventListener("pointerdown", (event) => {
    if (pinned && event.target instanceof Node && !byId("hover-card").contains(event.target)) closeCard();
  });
}
