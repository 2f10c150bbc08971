// Where the doctor finds something: marks behind the columns of the drawing.

import { byId, make } from "../dom.js";
import { get, on } from "../store.js";

/** @typedef {import("./network_layout.js").Column} Column */
/** @typedef {import("../types.js").Finding} Finding */

/** Width of a mark beside a column. */
const WIDTH = 76;

/** @type {() => Column[]} */
let columnsNow = () => [];

/** @param {() => Column[]} columns  The columns of the drawing now. */
export function startMarks(columns) {
  columnsNow = columns;
  on("diagnosis", drawMarks);
  on("pointed", drawMarks);
}

/** Whether a finding is about a column. @param {Finding} finding @param {Column} column */
const isAbout = (finding, { dense, last }) => finding.layers.some((layer) => layer >= Math.min(dense, last) && layer <= last);

/** The findings about a column. @param {Column} column */
export const findingsOf = (column) => (get("diagnosis")?.findings ?? []).filter((finding) => isAbout(finding, column));

/** Draw the marks where the columns now stand. */
export function drawMarks() {
  const pointed = get("pointed");
  const marks = columnsNow().flatMap((column) => {
    const findings = findingsOf(column);
    if (!findings.length) return [];
    const shown = findings.find(({ code }) => code === pointed) ?? findings[0];
    const mark = make("div", { class: `finding-mark ${shown.severity}${shown.code === pointed ? " pointed" : ""}`, "data-codes": findings.map(({ code }) => code).join(" ") });
    mark.style.left = `${column.x - WIDTH / 2}px`;
    mark.style.width = `${WIDTH}px`;
    return [mark];
  });
  byId("network-marks").replaceChildren(...marks);
}
