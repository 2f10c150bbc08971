// The settings of the training: rate, optimizer, loss, regularization, batch, seed, and a dialog with all the rest.

import { byId, fillSelect, make, refill, showValue, words } from "../dom.js";
import { change, changeAll, changeNetwork, complete, network, spec, valueAt } from "../draft.js";
import { activationKinds, asTable, kindsOf } from "../parts.js";
import { get, on } from "../store.js";
import { partForm, typedValue } from "./options.js";

/** @param {string} family @returns {[string, string][]} */
const entriesOf = (family) => kindsOf(family).map((one) => [one.kind, words(one.kind)]);

const PENALTIES = /** @type {const} */ (["l1", "l2"]);
const STRENGTH = 0.001;

export function startSettings() {
  follow("learning-rate", "change", (text) => change("optimizer.learning_rate", typedValue(text)));
  follow("optimizer", "change", changeOptimizer);
  follow("loss", "change", (kind) => changeAll({ loss: { kind } }));
  follow("activation", "change", (kind) => changeNetwork(({ hidden }) => hidden.forEach((layer) => (layer.activation = kind ? { kind } : null))));
  follow("batch-size", "change", (text) => change("training.batch_size", text.trim() === "full" ? "full" : typedValue(text)));
  follow("seed", "change", (text) => change("training.seed", typedValue(text)));
  follow("regularization", "change", (name) => changePenalty(name, strength() || STRENGTH));
  follow("strength", "change", (text) => changePenalty(penalty() || "l2", Number(text) || 0));
  byId("all-settings").addEventListener("click", () => {
    fillSettings();
    byId("settings-dialog", HTMLDialogElement).showModal();
  });
  on("state", show);
}

/**
 * @param {string} id
 * @param {string} event
 * @param {(value: string) => void} listener
 */
function follow(id, event, listener) {
  const field = /** @type {HTMLInputElement | HTMLSelectElement} */ (byId(id));
  field.addEventListener(event, () => listener(field.value));
  // What was refused or rounded while it was typed is shown as it is now.
  field.addEventListener("blur", () => get("state") && show());
}

/** The penalty of the spec: "l1", "l2" or none. */
const penalty = () => PENALTIES.find((name) => valueAt(`regularization.${name}`)) ?? "";
const strength = () => (penalty() ? Number(valueAt(`regularization.${penalty()}`)) : 0);

/**
 * @param {string} name
 * @param {number} value
 */
function changePenalty(name, value) {
  for (const other of PENALTIES) if (other !== name && spec().regularization?.[other]) change(`regularization.${other}`, null);
  if (name) change(`regularization.${name}`, value);
}

/** Another optimizer keeps the learning rate. @param {string} kind */
function changeOptimizer(kind) {
  const rate = valueAt("optimizer.learning_rate");
  changeAll({ optimizer: rate === undefined ? { kind } : { kind, learning_rate: rate } });
}

function show() {
  const rate = valueAt("optimizer.learning_rate");
  showValue(byId("learning-rate", HTMLInputElement), typeof rate === "object" ? (rate?.kind ?? "") : (rate ?? ""));
  fillSelect(byId("optimizer", HTMLSelectElement), entriesOf("optimizers"), asTable("optimizers", complete().optimizer).kind);
  fillSelect(byId("loss", HTMLSelectElement), entriesOf("losses"), asTable("losses", complete().loss).kind);
  const kinds = new Set(network().hidden.map((layer) => layer.activation?.kind ?? ""));
  /** @type {[string, string][]} */
  const activations = [["", "linear"], ...activationKinds().map((kind) => /** @type {[string, string]} */ ([kind, words(kind)]))];
  fillSelect(byId("activation", HTMLSelectElement), kinds.size > 1 ? [...activations, ["several", "several"]] : activations, kinds.size > 1 ? "several" : ([...kinds][0] ?? ""));
  showValue(byId("batch-size", HTMLInputElement), valueAt("training.batch_size") ?? "");
  showValue(byId("seed", HTMLInputElement), valueAt("training.seed") ?? 0);
  fillSelect(byId("regularization", HTMLSelectElement), [["", "none"], ["l1", "L1"], ["l2", "L2"]], penalty());
  const field = byId("strength", HTMLInputElement);
  field.disabled = !penalty();
  showValue(field, penalty() ? strength() : "");
}

/** Fill the dialog with every section of the spec that the bar at the top leaves out. */
function fillSettings() {
  const again = (/** @type {() => void} */ edit) => {
    edit();
    fillSettings();
  };
  const rate = valueAt("optimizer.learning_rate");
  const schedule = rate && typeof rate === "object" ? rate : null;
  const scheduled = (/** @type {import("../types.js").Table | null} */ part) => change("optimizer.learning_rate", part ? withStart(part, schedule) : (schedule?.initial ?? schedule?.peak ?? 0.03));
  refill(byId("settings-body"), 
    section("Optimizer", partForm("optimizers", complete().optimizer, (part) => again(() => changeAll({ optimizer: part })), { label: "Kind" })),
    section("Learning rate", partForm("schedules", schedule, (part) => again(() => scheduled(part)), { label: "Schedule", optional: "constant" })),
    section("Loss", partForm("losses", complete().loss, (part) => again(() => changeAll({ loss: part })), { label: "Kind" })),
    section("Clipping", partForm("clipping", valueAt("training.clip") ?? null, (part) => again(() => change("training.clip", part)), { label: "Gradients", optional: "not clipped" })),
    section("Weights", partForm("initializers", valueAt("network.init") ?? null, (part) => again(() => change("network.init", part)), { label: "Initialiser", optional: "suited to the activation" }),
      place("Weight decay", "regularization.weight_decay"), place("Largest norm", "regularization.max_norm")),
    section("Training", place("Epochs planned", "training.epochs"), place("Running average", "training.average")),
    section("Stop rules", place("Patience, in epochs", "stopping.patience"), place("Measure", "stopping.measure"), place("Target", "stopping.target"), place("Seconds", "stopping.seconds")));
}

/**
 * A schedule begins at the rate that was set before.
 * @param {import("../types.js").Table} part
 * @param {import("../types.js").Table | null} before
 */
function withStart(part, before) {
  if (before?.kind === part.kind) return part;
  const rate = Number(before?.initial ?? before?.peak ?? byId("learning-rate", HTMLInputElement).value) || 0.03;
  const options = kindsOf("schedules").find((one) => one.kind === part.kind)?.options ?? [];
  const start = options.find((option) => ["initial", "peak", "value"].includes(option.name));
  return start ? { ...part, [start.name]: rate } : part;
}

/**
 * @param {string} title
 * @param {...HTMLElement} content
 */
const section = (title, ...content) => make("fieldset", {}, make("legend", { text: title }), ...content);

/**
 * A field for one place of the spec.
 * @param {string} label
 * @param {string} path
 */
function place(label, path) {
  const field = make("input", { type: "text", value: valueAt(path) ?? "", placeholder: "none" });
  field.addEventListener("change", () => change(path, typedValue(field.value)));
  return make("label", { class: "field" }, make("span", { text: label }), field);
}
