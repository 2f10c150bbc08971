// What the page knows, in one place. Modules change it through `put` and are called when a topic changes.

/** @typedef {import("./types.js").LabState} LabState */
/** @typedef {import("./types.js").Catalogue} Catalogue */

/**
 * @typedef {object} Topics
 * @property {Catalogue} catalogue
 * @property {LabState} state  The lab as the server describes it.
 * @property {import("./types.js").Frame} frame  The last frame.
 * @property {import("./types.js").Points} points
 * @property {import("./types.js").Diagnosis} diagnosis
 * @property {string | null} pointed  The code of the finding under the pointer.
 * @property {import("./types.js").Trial} trial
 * @property {import("./types.js").Quantity} quantity  What the network drawing shows.
 * @property {number} scale  The number that the strongest colour of the network drawing stands for.
 * @property {import("./types.js").UnitPlace | null} hovered  The unit whose map is shown large.
 * @property {import("./types.js").UnitPlace | null} unit  The chosen unit.
 * @property {import("./types.js").WeightPlace | null} weight  The chosen weight.
 * @property {number | null} sample  The row of the last batch whose numbers are shown; null: all of them.
 * @property {number[]} batch  The training rows of the batch whose numbers are shown.
 * @property {{what: "landscape" | "race", message: string, share: number | null}} progress  How far an analysis is.
 * @property {{test: boolean, discrete: boolean}} output  How the output map is drawn.
 * @property {"principal" | [number, number]} axes  The plane of the maps.
 * @property {"light" | "dark"} theme
 * @property {"connected" | "waiting" | "refused"} connection
 * @property {import("./types.js").Problem[]} problems
 * @property {import("./types.js").Problem} refused  The last change that the server refused.
 * @property {string[]} hidden  Names of the controls that are hidden.
 */

/** @type {Partial<Topics>} */
const values = {};
/** @type {Map<string, Set<(value: any) => void>>} */
const listeners = new Map();

/**
 * Call `listener` whenever the topic changes, and at once where it is known already.
 * @template {keyof Topics} K
 * @param {K} topic
 * @param {(value: Topics[K]) => void} listener
 */
export function on(topic, listener) {
  let known = listeners.get(topic);
  if (!known) listeners.set(topic, (known = new Set()));
  known.add(listener);
  if (topic in values) listener(/** @type {Topics[K]} */ (values[topic]));
}

/**
 * @template {keyof Topics} K
 * @param {K} topic
 * @param {Topics[K]} value
 */
export function put(topic, value) {
  values[topic] = value;
  for (const listener of listeners.get(topic) ?? []) listener(value);
}

/**
 * @template {keyof Topics} K
 * @param {K} topic
 * @returns {Topics[K] | undefined}
 */
export const get = (topic) => values[topic];

/** @returns {Catalogue} */
export function catalogue() {
  const known = values.catalogue;
  if (!known) throw new Error("the catalogue is not loaded");
  return known;
}
