// The plane of the maps where there are more than two inputs: two of them, or the principal axes.

import { byId, fillSelect } from "../dom.js";
import { send } from "../connection.js";
import { get, on, put } from "../store.js";

const PRINCIPAL = "principal";

export function startAxes() {
  const across = byId("axis-across", HTMLSelectElement);
  const up = byId("axis-up", HTMLSelectElement);
  for (const select of [across, up]) select.addEventListener("change", () => choose(select === across));
  on("state", ({ inputs }) => {
    byId("axes").hidden = inputs.length < 3;
    /** @type {[string, string][]} */
    const entries = inputs.map((name, k) => [String(k), name]);
    fillSelect(across, [[PRINCIPAL, "principal axes"], ...entries], across.value || PRINCIPAL);
    fillSelect(up, entries, up.value || "1");
    up.disabled = across.value === PRINCIPAL;
  });
}

/** @param {boolean} isAcross  Whether the axis across was changed. */
function choose(isAcross) {
  const across = byId("axis-across", HTMLSelectElement);
  const up = byId("axis-up", HTMLSelectElement);
  up.disabled = across.value === PRINCIPAL;
  // The plane has two different axes: the other one makes room.
  if (across.value === up.value) (isAcross ? up : across).value = across.value === "0" ? "1" : "0";
  put("axes", across.value === PRINCIPAL ? PRINCIPAL : [Number(across.value), Number(up.value)]);
  send({ do: "view", axes: get("axes") });
}
