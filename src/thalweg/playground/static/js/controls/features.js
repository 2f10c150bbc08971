// The features of two inputs: fixed functions of them that the first layer receives.

import { byId, make, refill } from "../dom.js";
import { changeNetwork, network } from "../draft.js";
import { asTable } from "../parts.js";
import { get, on } from "../store.js";

/** What the page offers; a spec may name any other product or function of the inputs. */
const FEATURES = [["x1", "x₁"], ["x2", "x₂"], ["x1^2", "x₁²"], ["x2^2", "x₂²"], ["x1*x2", "x₁x₂"], ["sin x1", "sin x₁"], ["sin x2", "sin x₂"]];
const PLAIN = ["x1", "x2"];

export function startFeatures() {
  on("state", show);
}

/** The chosen features: those of the features layer, else the plain inputs. */
function chosen() {
  const layer = network().head.map((one) => asTable("layers", one)).find((table) => table.kind === "features");
  return layer ? layer.functions.map(String) : PLAIN;
}

function show() {
  byId("features").hidden = get("state")?.inputs.length !== 2;
  const names = chosen();
  refill(byId("feature-list"), ...FEATURES.map(([name, title]) => toggle(name, title, names.includes(name))));
}

/**
 * @param {string} name
 * @param {string} title
 * @param {boolean} isOn
 */
function toggle(name, title, isOn) {
  return make("button", { type: "button", class: "feature", "aria-pressed": isOn ? "true" : "false", text: title, "data-key": `feature ${name}`, on: { click: () => choose(name, !isOn) } });
}

/**
 * @param {string} name
 * @param {boolean} isOn
 */
function choose(name, isOn) {
  const before = chosen();
  const names = FEATURES.map(([one]) => one).filter((one) => (one === name ? isOn : before.includes(one)));
  if (!names.length) return;
  const isPlain = names.join() === PLAIN.join();
  changeNetwork((parts) => {
    const others = parts.head.filter((one) => asTable("layers", one).kind !== "features");
    parts.head = isPlain ? others : [{ kind: "features", functions: names }, ...others];
  });
}
