// Lessons beside the live network: a list, and a guided mode that goes through the text of one.

import { byId, make } from "../dom.js";
import { getJson } from "../connection.js";
import { replaceSpec } from "../draft.js";
import { readAddress } from "../address.js";
import { drawFigures } from "./figures.js";
import { openTab, whenOpened } from "./tabs.js";

/** @typedef {{name: string, title: string, subject: string, chapter: string, opens: boolean}} LessonEntry */
/** @typedef {{title: string, html: string, figures: import("./figures.js").Figure[]}} Step */
/** @typedef {LessonEntry & {spec: import("../types.js").Table | null, steps: Step[], command: string}} Lesson */

/** @type {Step[]} */
let steps = [];
let at = 0;
let loaded = false;

export function startLessons() {
  whenOpened("lessons", () => loaded || list());
  byId("lesson-back").addEventListener("click", () => showStep(at - 1));
  byId("lesson-next").addEventListener("click", () => showStep(at + 1));
  byId("lesson-list-again").addEventListener("click", () => showList(true));
  const { lesson } = readAddress().own;
  if (lesson) open(lesson, false);
}

/** @param {boolean} visible */
function showList(visible) {
  byId("lesson-list").hidden = !visible;
  byId("lesson").hidden = visible;
}

async function list() {
  loaded = true;
  const place = byId("lesson-list");
  try {
    /** @type {LessonEntry[]} */
    const lessons = await getJson("/api/lessons");
    const entry = (/** @type {LessonEntry} */ lesson) =>
      make("li", {}, make("button", { type: "button", class: "lesson-link", on: { click: () => open(lesson.name, true) } },
        make("strong", { text: lesson.title }), make("span", { text: lesson.subject }), lesson.opens ? make("em", { text: "with its network" }) : ""));
    place.replaceChildren(...lessons.map(entry));
  } catch (error) {
    loaded = false;
    place.replaceChildren(make("li", { class: "soft", text: error instanceof Error ? error.message : String(error) }));
  }
}

/**
 * @param {string} name
 * @param {boolean} begin  Whether the playground opens in the lesson's state.
 */
async function open(name, begin) {
  openTab("lessons");
  showList(false);
  byId("lesson-title").textContent = "";
  byId("lesson-body").replaceChildren(make("p", { class: "soft", text: "The lesson is computed …" }));
  try {
    /** @type {Lesson} */
    const lesson = await getJson(`/api/lessons/${encodeURIComponent(name)}`);
    byId("lesson-title").textContent = lesson.title;
    byId("lesson-state").textContent = lesson.spec ? "The network above is the one of this lesson." : "This lesson has no training to show above; read it here.";
    if (lesson.spec && begin) replaceSpec(lesson.spec);
    steps = lesson.steps;
    showStep(0);
  } catch (error) {
    byId("lesson-body").replaceChildren(make("p", { text: error instanceof Error ? error.message : String(error) }));
  }
}

/** @param {number} k */
function showStep(k) {
  at = Math.min(Math.max(k, 0), steps.length - 1);
  const { title, html, figures } = steps[at];
  byId("lesson-body").innerHTML = html;
  if (title) byId("lesson-body").prepend(make("h4", { text: title }));
  drawFigures(byId("lesson-figures"), figures);
  byId("lesson-place").textContent = `${at + 1} of ${steps.length}`;
  byId("lesson-back", HTMLButtonElement).disabled = at === 0;
  byId("lesson-next", HTMLButtonElement).disabled = at >= steps.length - 1;
}
