// The data: problem type, source, its options, share of training rows, and other files.

import { byId, fillSelect, grouped, make, refill, showValue, words } from "../dom.js";
import { request } from "../connection.js";
import { change, changeData, spec, valueAt } from "../draft.js";
import { asTable, kindOf } from "../parts.js";
import { catalogue, get, on } from "../store.js";
import { pointColour } from "../drawing/colours.js";
import { partForm } from "./options.js";

/** @typedef {import("../types.js").DataKind} DataKind */
/** @typedef {import("../types.js").Table} Table */

/** What the files of the server were called. @type {Map<string, string>} */
const fileNames = new Map();

/** Extent of the points in the picture of a source, in pixels of its canvas. */
const PICTURE = 84;
const LARGEST_FILE = 64 * 2 ** 20;

export function startData() {
  byId("problem").addEventListener("change", () => chooseProblem(byId("problem", HTMLSelectElement).value));
  const noise = byId("noise", HTMLInputElement);
  noise.addEventListener("change", () => change("data.source", { ...asTable("sources", valueAt("data.source")), noise: noise.valueAsNumber }));
  noise.addEventListener("input", () => showNoise(noise.valueAsNumber));
  const share = byId("train-share", HTMLInputElement);
  share.addEventListener("change", () => change("data.test", (100 - share.valueAsNumber) / 100));
  share.addEventListener("input", () => (byId("train-share-value").textContent = `${share.value} %`));
  byId("data-options").addEventListener("click", () => {
    fillOptions();
    byId("data-dialog", HTMLDialogElement).showModal();
  });
  byId("train-on-all").addEventListener("click", () => change("data.memory", null));
  startUpload();
  on("state", show);
  on("theme", () => get("state") && show());
  on("catalogue", () => get("state") && show());
}

/** @param {DataKind} kind */
const taskOf = (kind) => kind.task ?? "classification";

/** @param {DataKind} kind */
const outputsOf = (kind) => kind.outputs ?? kind.classes;

/** @param {DataKind} kind */
const choose = (kind) => changeData(kind.source ?? { kind: kind.kind, ...startOptions(kind) }, { task: taskOf(kind), outputs: outputsOf(kind), inputs: 2 });

/** As many rows as the present source draws, so that another shape is as fast. @param {DataKind} kind */
function startOptions(kind) {
  const samples = asTable("sources", spec().data?.source).samples;
  const known = kindOf("sources", kind.kind)?.options.some((option) => option.name === "samples");
  return known && samples ? { samples } : {};
}

/** @param {string} task */
function chooseProblem(task) {
  const first = catalogue().data.find((kind) => taskOf(kind) === task);
  if (first && get("state")?.task !== task) choose(first);
}

function show() {
  const state = get("state");
  const source = asTable("sources", valueAt("data.source"));
  const task = state?.task ?? "classification";
  fillSelect(byId("problem", HTMLSelectElement), [...new Set(catalogue().data.map(taskOf))].map((name) => [name, name]), task);
  const kinds = catalogue().data.filter((kind) => taskOf(kind) === task);
  refill(byId("data-kinds"), ...kinds.map((kind) => kindButton(kind, kind.kind === source.kind)));
  byId("own-data-name").textContent = kinds.some((kind) => kind.kind === source.kind) ? "" : nameOf(source);
  const noisy = kindOf("sources", source.kind)?.options.find((option) => option.name === "noise");
  byId("noise-field").hidden = !noisy;
  const noise = Number(source.noise ?? noisy?.default ?? 0);
  showValue(byId("noise", HTMLInputElement), noise);
  showNoise(noise);
  const rows = state?.rows;
  if (rows) {
    const share = Math.round((100 * rows.train) / Math.max(rows.train + rows.test, 1));
    showValue(byId("train-share", HTMLInputElement), share);
    byId("train-share-value").textContent = `${share} %`;
    const sampled = Math.max(rows.train, rows.test) > state.measured ? `; losses and scores are those of ${grouped(state.measured)} of a set at most` : "";
    byId("row-count").textContent = `${grouped(rows.train)} training rows, ${grouped(rows.test)} test rows${sampled}`;
    byId("disk-note").hidden = !state.on_disk;
    /** @type {HTMLElement} */ (byId("disk-note").firstElementChild).textContent = `A seeded sample of the ${grouped(state.on_disk ?? 0)} training rows on the disk.`;
  }
}

/** What data of one's own are called. @param {Table} source */
function nameOf(source) {
  const name = fileNames.get(source.file) ?? String(source.file ?? words(source.kind ?? "own data")).split("/").at(-1) ?? "";
  return /^painted-[0-9a-f]+\.csv$/.test(name) ? "painted points" : name;
}

/** @param {number} noise */
const showNoise = (noise) => (byId("noise-value").textContent = noise.toFixed(2));

/**
 * @param {DataKind} kind
 * @param {boolean} chosen
 */
function kindButton(kind, chosen) {
  const title = kind.title ?? words(kind.kind);
  const picture = make("canvas", { width: 96, height: 96 });
  drawPreview(picture, kind);
  return make("button", { type: "button", class: "data-kind", "aria-pressed": chosen ? "true" : "false", title: kind.doc ?? title, "data-key": `data ${kind.kind}`, on: { click: () => choose(kind) } }, picture, make("span", { text: title }));
}

/**
 * A small picture of a source: its points.
 * @param {HTMLCanvasElement} canvas
 * @param {DataKind} kind
 */
function drawPreview(canvas, kind) {
  const preview = kind.preview;
  if (!preview?.x.length) return;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const greatest = Math.max(...preview.y.map(Math.abs)) || 1;
  const range = (/** @type {number} */ axis) => {
    const values = preview.x.map((row) => row[axis]);
    return { middle: (Math.max(...values) + Math.min(...values)) / 2, half: (Math.max(...values) - Math.min(...values)) / 2 || 1 };
  };
  const [across, up] = [range(0), range(1)];
  const scale = PICTURE / 2 / Math.max(across.half, up.half);
  context.clearRect(0, 0, canvas.width, canvas.height);
  preview.x.forEach(([x, y], k) => {
    context.fillStyle = pointColour(taskOf(kind), preview.y[k], greatest);
    context.beginPath();
    context.arc(canvas.width / 2 + scale * (x - across.middle), canvas.height / 2 - scale * (y - up.middle), 2.6, 0, 2 * Math.PI);
    context.fill();
  });
}

/** The dialog with all options of the source. */
function fillOptions() {
  const edit = (/** @type {Table | null} */ part) => {
    if (part) change("data.source", part);
    fillOptions();
  };
  const source = asTable("sources", valueAt("data.source"));
  refill(byId("data-dialog-body"), partForm("sources", source, edit, { label: "Source", kinds: [source.kind] }));
}

function startUpload() {
  const input = byId("file", HTMLInputElement);
  input.addEventListener("change", () => input.files?.[0] && upload(input.files[0]));
  const zone = document.body;
  zone.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.add("dropping");
  });
  zone.addEventListener("dragleave", (event) => event.relatedTarget === null && zone.classList.remove("dropping"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (file) upload(file);
  });
}

/** @param {File} file */
async function upload(file) {
  const note = byId("upload-note");
  if (file.size > LARGEST_FILE) {
    note.textContent = `${file.name} has ${Math.round(file.size / 2 ** 20)} MB; the playground reads up to 64 MB. Open it from the shell with thalweg playground --data.`;
    return;
  }
  note.textContent = `Reading ${file.name} …`;
  try {
    const read = await request("POST", "/api/uploads", file, { "X-Name": encodeURIComponent(file.name) });
    note.replaceChildren(...targetChoice(read));
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
}

/**
 * What the server read of a file. `source`: its rows, or a sample of a large table; `all`: all rows.
 * @typedef {{upload: string, name: string, columns: {name: string}[], rows: number, sampled: number | null, source: Table, all: Table, notes: string[]}} Upload
 */

/**
 * After an upload: which column is predicted.
 * @param {Upload} read
 */
function targetChoice(read) {
  const names = read.columns.map((column) => column.name);
  const select = make("select", { "aria-label": "column to predict" }, ...names.map((name) => make("option", { value: name, text: name })));
  select.value = names.at(-1) ?? "";
  const use = (/** @type {string} */ text, /** @type {Table} */ source) =>
    make("button", { type: "button", text, on: { click: () => useUpload(read.name, source, select.value) } });
  const buttons = read.sampled
    ? [use(`Train on ${grouped(read.sampled)} rows`, read.source), use("Train on all rows", read.all)]
    : [use("Train on it", read.source)];
  return [
    make("span", { text: `${read.name}: ${grouped(read.rows)} rows, ${names.length} columns.` }),
    ...read.notes.map((note) => make("span", { class: "note", text: note })),
    make("label", { class: "field" }, make("span", { text: "Predict" }), select),
    ...buttons,
  ];
}

/**
 * @param {string} name
 * @param {Table} source
 * @param {string} target
 */
function useUpload(name, source, target) {
  fileNames.set(String(source.file), name);
  changeData(source, { target });
}
