// Elements of the page: found by id, made, filled.

const GROUPED = new Intl.NumberFormat("en");

/** A number with commas between its thousands. @param {number} value */
export const grouped = (value) => GROUPED.format(value);

/**
 * The element with this id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {(new () => T)} [type]
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!found || (type && !(found instanceof type))) throw new Error(`the page lacks #${id}`);
  return /** @type {T} */ (found);
}

/**
 * A new element. `on` holds listeners, `text` its text; every other property becomes an attribute.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown> & {text?: string, on?: Record<string, (event: any) => void>}} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  const { text, on, ...attributes } = properties;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  for (const [name, listener] of Object.entries(on ?? {})) node.addEventListener(name, listener);
  if (text !== undefined) node.textContent = text;
  node.append(...children);
  return node;
}

const CONTROLS = "button, select, input";

/**
 * Replace what an element holds. The control that had the focus, or the one in its place, has it afterwards.
 * @param {HTMLElement} place
 * @param {...Node} content
 */
export function refill(place, ...content) {
  const focused = document.activeElement;
  const controls = () => [.../** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll(CONTROLS))];
  const at = focused instanceof HTMLElement ? controls().indexOf(focused) : -1;
  const key = focused instanceof HTMLElement ? focused.dataset.key : undefined;
  place.replaceChildren(...content);
  if (at < 0) return;
  const after = controls();
  (after.find((control) => key !== undefined && control.dataset.key === key) ?? after[at])?.focus({ preventScroll: true });
}

/**
 * A drop-down list.
 * @param {[value: string, text: string][]} entries
 * @param {string} chosen
 * @param {(value: string) => void} onChange
 * @param {Record<string, unknown>} [properties]
 */
export function makeSelect(entries, chosen, onChange, properties = {}) {
  const select = make("select", { ...properties, on: { change: () => onChange(select.value) } });
  fillSelect(select, entries, chosen);
  return select;
}

/**
 * Replace the entries of a drop-down list; it stays untouched where nothing changes, so that an open list stays open.
 * @param {HTMLSelectElement} select
 * @param {[value: string, text: string][]} entries
 * @param {string} chosen
 */
export function fillSelect(select, entries, chosen) {
  const all = entries.some(([value]) => value === chosen) || !chosen ? entries : [...entries, [chosen, chosen]];
  const wanted = all.map(([value, text]) => `${value}\n${text}`).join("\n\n");
  if (select.dataset.entries !== wanted) {
    select.dataset.entries = wanted;
    select.replaceChildren(...all.map(([value, text]) => make("option", { value, text: String(text) })));
  }
  if (select.value !== chosen) select.value = chosen;
}

/**
 * Show a value in an input field, unless somebody is typing in it.
 * @param {HTMLInputElement} input
 * @param {string | number} value
 */
export function showValue(input, value) {
  if (document.activeElement !== input || input.type === "range") input.value = String(value);
}

/** @param {string} kind  A name in a spec, as words: `binary_cross_entropy` -> `binary cross entropy`. */
export const words = (kind) => kind.replaceAll("_", " ");

/**
 * A number in at most `digits` significant digits.
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export function brief(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−").replace("e−", "e−").replace("e+", "e");
}

/** Shortest time between two drawings of what need not move as the maps do. */
const CALM = 100;

/** `draw`, at once where it has rested for 0.1 s, and else when it has. @param {() => void} draw */
export function calmly(draw) {
  let timer = 0;
  let drawn = -CALM;
  const now = () => {
    timer = 0;
    drawn = performance.now();
    draw();
  };
  return () => {
    timer ||= window.setTimeout(now, Math.max(0, drawn + CALM - performance.now()));
  };
}
