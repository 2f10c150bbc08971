// Forms for parts: the kind of a part and its options, as the catalogue lists them.

import { make, makeSelect, words } from "../dom.js";
import { asTable, kindOf, kindsOf } from "../parts.js";

/** @typedef {import("../types.js").Table} Table */
/** @typedef {import("../types.js").Option} Option */

/**
 * A form for one part of a family.
 * @param {string} family
 * @param {unknown} value  The part; null where it is left out.
 * @param {(part: Table | null) => void} onChange
 * @param {{label: string, optional?: string, kinds?: string[]}} how  `optional`: the words for leaving it out.
 * @returns {HTMLElement}
 */
export function partForm(family, value, onChange, { label, optional, kinds }) {
  const table = value ? asTable(family, value) : null;
  const names = kinds ?? kindsOf(family).map((one) => one.kind);
  /** @type {[string, string][]} */
  const entries = names.map((name) => [name, words(name)]);
  if (optional) entries.unshift(["", optional]);
  const select = makeSelect(entries, table?.kind ?? "", (kind) => onChange(kind ? { kind } : null), {});
  const form = make("div", { class: "part-form" }, make("label", { class: "field" }, make("span", { text: label }), select));
  const kind = table && kindOf(family, table.kind);
  if (!kind || !table) return form;
  if (kind.doc) form.append(make("p", { class: "doc", text: kind.doc }));
  for (const option of kind.options) {
    const field = optionField(option, table[option.name], (typed) => onChange({ ...table, [option.name]: typed }));
    if (field) form.append(make("label", { class: "field", title: option.doc ?? "" }, make("span", { text: words(option.name) }), field));
  }
  return form;
}

/**
 * A field for one option; null for an option that holds other parts.
 * @param {Option} option
 * @param {unknown} value
 * @param {(value: unknown) => void} onChange
 */
function optionField(option, value, onChange) {
  const present = value ?? option.default;
  if (option.choices?.length) {
    /** @type {[string, string][]} */
    const entries = option.choices.map((choice) => [String(choice), words(String(choice))]);
    return makeSelect([["", "default"], ...entries], String(present ?? ""), (typed) => onChange(typed || null));
  }
  if (option.type === "flag") {
    const box = make("input", { type: "checkbox" });
    box.checked = Boolean(present);
    box.addEventListener("change", () => onChange(box.checked));
    return box;
  }
  if (present && typeof present === "object") return null;
  const textual = option.also?.some((type) => type === "text" || type === "choice");
  const numeric = ["count", "number"].includes(option.type) && !textual;
  const field = make("input", { type: numeric ? "number" : "text", step: "any", placeholder: "default", value: present ?? "" });
  if (numeric && typeof option.least === "number") field.min = String(option.least);
  if (numeric && typeof option.most === "number") field.max = String(option.most);
  field.addEventListener("change", () => onChange(typedValue(field.value)));
  return field;
}

/** What somebody typed: nothing, a number, or words. @param {string} text */
export function typedValue(text) {
  if (text.trim() === "") return null;
  return Number.isFinite(Number(text)) ? Number(text) : text.trim();
}
