// A | B: the present training and a remedy, from the same start, rows and order, over several seeds.

import { brief, byId } from "../dom.js";
import { replaceSpec } from "../draft.js";
import { drawChart } from "../drawing/chart.js";
import { styled } from "../drawing/colours.js";
import { on } from "../store.js";
import { openTab, whenOpened } from "./tabs.js";

/** @type {Map<string, import("../types.js").Trial>} */
const trials = new Map();
/** @type {import("../types.js").Remedy | null} */
let remedy = null;

export function startCompare() {
  on("trial", (trial) => {
    trials.set(`${trial.arm} ${trial.seed}`, trial);
    draw();
    if (trial.difference) showDifference(trial.difference);
  });
  on("theme", draw);
  whenOpened("compare", draw);
  new ResizeObserver(draw).observe(byId("compare-chart"));
  const use = byId("use-remedy", HTMLButtonElement);
  use.addEventListener("click", () => remedy && replaceSpec(remedy.spec));
}

/**
 * @param {import("../types.js").Remedy} tried
 * @param {string} title
 */
export function beginTrial(tried, title) {
  trials.clear();
  remedy = tried;
  byId("compare-title").textContent = title;
  byId("compare-result").textContent = "Both train from the same start, with the same rows in the same order …";
  byId("use-remedy", HTMLButtonElement).disabled = false;
  openTab("compare");
}

function draw() {
  const lines = [...trials.values()].map(({ arm, curve }) => ({ name: arm, colour: styled(arm === "A" ? "--arm-a" : "--arm-b"), points: curve, column: 1 }));
  drawChart(byId("compare-chart", HTMLCanvasElement), { lines, xName: "epoch" });
  const seeds = new Set([...trials.values()].filter((trial) => trial.done).map((trial) => trial.seed)).size;
  byId("compare-chart").ariaLabel = `Loss of A and B over the epochs, ${seeds} seeds done`;
}

/** @param {NonNullable<import("../types.js").Trial["difference"]>} difference  Of the scores: B - A. */
function showDifference({ mean, low, high, n }) {
  const result = byId("compare-result");
  if (low === null || high === null) result.textContent = `Score of B − A: ${brief(mean)} after ${n} seed${n === 1 ? "" : "s"}.`;
  else {
    const sure = low > 0 ? "B is better" : high < 0 ? "A is better" : "no clear difference";
    result.textContent = `Score of B − A: ${brief(mean)}, 95 % interval ${brief(low)} to ${brief(high)} over ${n} seeds: ${sure}.`;
  }
}
