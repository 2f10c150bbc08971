// Play, pause, step, epoch, reset, and the slider back through the training.

import { brief, byId, grouped } from "../dom.js";
import { send } from "../connection.js";
import { change, valueAt } from "../draft.js";
import { get, on } from "../store.js";

/** The furthest step that this training has reached. */
let furthest = 0;
let dragging = false;
/** Where the slider wants to go, and where the training is on its way to. @type {{wanted: number | null, asked: number | null}} */
const seeking = { wanted: null, asked: null };

export function startTransport() {
  byId("play").addEventListener("click", togglePlay);
  byId("step").addEventListener("click", () => send({ do: "step" }));
  byId("epoch").addEventListener("click", () => send({ do: "epoch" }));
  byId("rewind").addEventListener("click", rewind);
  byId("reset").addEventListener("click", regenerate);
  const slider = byId("history", HTMLInputElement);
  slider.addEventListener("input", () => {
    dragging = true;
    seeking.wanted = slider.valueAsNumber;
    if (seeking.asked === null) seek();
  });
  slider.addEventListener("change", () => (dragging = false));
  on("state", (state) => {
    showPlaying(state.playing);
    furthest = Math.max(state.step, ...(state.trail ?? []));
    showTime(state.step, state.epoch);
    byId("engine").textContent = state.engine;
    byId("engine").dataset.engine = state.engine;
  });
  on("frame", (frame) => {
    seeking.asked = null;
    seek();
    showTime(frame.step, frame.epoch);
    showMetrics(frame.metrics);
  });
}

/** Ask for the wanted state; the next one is asked for when this one is drawn. */
function seek() {
  if (seeking.wanted === null) return;
  send({ do: "seek", step: seeking.wanted });
  [seeking.asked, seeking.wanted] = [seeking.wanted, null];
}

export function togglePlay() {
  const playing = !get("state")?.playing;
  send({ do: playing ? "play" : "pause" });
}

/** Go back to the same start: the same weights, rows and order. */
export function rewind() {
  send({ do: "reset" });
}

/** Begin from another start: new weights, rows and order. */
export function regenerate() {
  change("training.seed", (Number(valueAt("training.seed")) || 0) + 1);
}

/** @param {boolean} playing */
function showPlaying(playing) {
  const button = byId("play");
  button.classList.toggle("playing", playing);
  button.ariaLabel = playing ? "Pause" : "Play";
  button.title = playing ? "Pause (space)" : "Play (space)";
}

/**
 * @param {number} step
 * @param {number} epoch
 */
function showTime(step, epoch) {
  byId("epoch-count").textContent = grouped(Math.floor(epoch));
  byId("step-count").textContent = grouped(step);
  furthest = Math.max(furthest, step);
  const slider = byId("history", HTMLInputElement);
  slider.max = String(furthest);
  slider.disabled = furthest === 0;
  if (!dragging) slider.value = String(step);
  slider.setAttribute("aria-valuetext", `step ${step} of ${furthest}`);
}

/** @param {import("../types.js").Metrics} metrics */
function showMetrics(metrics) {
  byId("train-loss").textContent = brief(metrics.train_loss);
  byId("test-loss").textContent = brief(metrics.test_loss);
  const r2 = get("state")?.task === "regression";
  const score = (/** @type {"train" | "test"} */ set) =>
    metrics[`${set}_accuracy`] ?? metrics[`${set}_r2`] ?? (set === "test" ? metrics.r2 : undefined);
  const shown = (/** @type {number | null | undefined} */ value) => (value === null || value === undefined ? "–" : r2 ? brief(value) : `${(100 * value).toFixed(1)} %`);
  byId("score-name").textContent = r2 ? "R²" : "accuracy";
  byId("train-score").textContent = shown(score("train"));
  byId("test-score").textContent = shown(score("test"));
}
