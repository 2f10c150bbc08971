// The state of the page in the fragment of its address: `#optimizer.learning_rate=0.03&view=delta&hide=seed`.

import { get, on, put } from "./store.js";

/** @typedef {import("./types.js").Table} Table */

/** Settings of the page itself; every other name of the fragment is a place of the spec. */
const OWN = ["view", "test", "discrete", "hide", "lesson", "theme"];
/** Sections whose members are written one by one; anything deeper is written as JSON. */
export const SECTIONS = ["data", "network", "loss", "optimizer", "training", "regularization", "stopping"];

/** @param {unknown} value */
function written(value) {
  const text = typeof value === "string" && !looksLikeJson(value) ? value : JSON.stringify(value);
  return encodeURIComponent(text).replace(/%(22|2C|3A|5B|5D|7B|7D|2F)/g, decodeURIComponent).replaceAll("%20", "+");
}

/** @param {string} text */
function looksLikeJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} text */
function parsed(text) {
  return looksLikeJson(text) ? JSON.parse(text) : text;
}

/**
 * What the address says: values of the page, and places of the spec.
 * @returns {{own: Record<string, string>, places: Record<string, unknown>}}
 */
export function readAddress() {
  /** @type {Record<string, string>} */
  const own = {};
  /** @type {Record<string, unknown>} */
  const places = {};
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    if (OWN.includes(name)) own[name] = text;
    else if (/^[a-z_]+(\.[a-z_0-9]+)*$/.test(name)) places[name] = parsed(text);
  }
  return { own, places };
}

/** @type {Table} */
let lastSpec = {};

/** @param {Table} [spec] */
export function writeAddress(spec = lastSpec) {
  lastSpec = spec;
  const entries = [];
  for (const [section, content] of Object.entries(spec)) {
    if (SECTIONS.includes(section) && content && typeof content === "object" && !Array.isArray(content)) {
      for (const [name, value] of Object.entries(content)) entries.push(`${section}.${name}=${written(value)}`);
    } else entries.push(`${section}=${written(content)}`);
  }
  const output = get("output");
  if (get("quantity") !== "weights") entries.push(`view=${get("quantity")}`);
  if (output?.test) entries.push("test=1");
  if (output?.discrete) entries.push("discrete=1");
  const hidden = get("hidden") ?? [];
  if (hidden.length) entries.push(`hide=${hidden.join(",")}`);
  history.replaceState(null, "", `#${entries.join("&")}`);
}

/** Take the page's own settings from the address, and write them there from now on. */
export function followAddress() {
  const { own } = readAddress();
  const quantities = ["weights", "outputs", "delta", "gradients", "updates"];
  put("quantity", /** @type {import("./types.js").Quantity} */ (quantities.includes(own.view) ? own.view : "weights"));
  put("output", { test: own.test === "1", discrete: own.discrete === "1" });
  put("hidden", (own.hide ?? "").split(",").filter(Boolean));
  let first = true;
  const write = () => first || writeAddress();
  on("quantity", write);
  on("output", write);
  on("hidden", write);
  first = false;
}
