// The doctor: what hinders the training now, the evidence, and remedies to try side by side.

import { byId, make } from "../dom.js";
import { send } from "../connection.js";
import { get, on, put } from "../store.js";
import { beginTrial } from "./compare.js";

/** @typedef {import("../types.js").Finding} Finding */

let shown = "";

export function startDoctor() {
  on("diagnosis", (diagnosis) => {
    const text = JSON.stringify(diagnosis);
    if (text === shown) return;
    shown = text;
    byId("verdict").textContent = verdictOf(diagnosis);
    const open = new Set([...byId("findings").querySelectorAll("details[open]")].map((one) => /** @type {HTMLElement} */ (one).dataset.code));
    byId("findings").replaceChildren(...diagnosis.findings.map((finding) => card(finding, open.has(finding.code))));
  });
  on("state", (state) => {
    if (state.step > 0) return;
    put("diagnosis", { findings: [] });
    shown = "";
    byId("verdict").textContent = "The doctor has not looked at this training yet.";
  });
}

/** @param {import("../types.js").Diagnosis} diagnosis */
function verdictOf({ findings, verdict, learned }) {
  if (verdict) return String(verdict);
  if (findings.length) return `${findings.length} finding${findings.length === 1 ? "" : "s"}`;
  return learned ? "The network learns. Nothing to find." : "Nothing found so far.";
}

/**
 * @param {Finding} finding
 * @param {boolean} open
 */
function card(finding, open) {
  const evidence = make("div", { class: "evidence" });
  evidence.innerHTML = finding.evidence_html;
  const remedies = finding.remedies.map((remedy, k) =>
    make("li", {}, make("span", { text: remedy.words }),
      Object.keys(remedy.set).length
        ? make("button", { type: "button", class: "try", text: "Try it", "aria-label": `Try it: ${remedy.words}`, on: { click: () => tryIt(finding, k) } })
        : ""));
  const point = () => put("pointed", finding.code);
  const away = () => get("pointed") === finding.code && put("pointed", null);
  return make("li", { class: `finding ${finding.severity}`, on: { pointerenter: point, pointerleave: away, focusin: point, focusout: away } },
    make("h3", {}, make("span", { class: "severity", text: finding.severity }), make("code", { text: finding.code }), make("span", { class: "place", text: finding.place ?? "" })),
    make("p", { text: finding.message }),
    make("details", { "data-code": finding.code, open }, make("summary", { text: "Evidence" }), evidence),
    make("ul", { class: "remedies" }, ...remedies));
}

/**
 * Train the remedy beside the present training.
 * @param {Finding} finding
 * @param {number} k
 */
function tryIt(finding, k) {
  beginTrial(finding.remedies[k], `${finding.code}: ${finding.remedies[k].words}`);
  send({ do: "try", finding: finding.code, remedy: k, seeds: 5 });
}
