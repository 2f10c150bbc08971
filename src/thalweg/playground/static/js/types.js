// The shapes of what the server sends; the Python modules of the playground write them.

/** @typedef {{name: string, type: string, also?: string[], default: unknown, choices?: unknown[] | null, least?: number | null, most?: number | null, doc?: string}} Option */
/** @typedef {{kind: string, doc: string, options: Option[]}} PartKind */
/** @typedef {Record<string, any>} Table  A part or section of a spec as a table. */
/** @typedef {{kind: string, task?: string, outputs?: number, classes?: number, title?: string, doc?: string, preview?: {x: number[][], y: number[]} | null, source?: Table | string}} DataKind */
/** @typedef {{families: Record<string, PartKind[]>, defaults: Table, activations: string[], data: DataKind[], zones?: Record<string, [number, number]>}} Catalogue */
/** @typedef {{place: string, message: string}} Problem */
/** @typedef {{index: number, kind: string, name: string, units: number, row?: number | null}} LayerInfo */
/**
 * The description of a lab: the completed spec, and where its training is.
 * @typedef {object} LabState
 * @property {Table} spec
 * @property {number} epoch
 * @property {number} step
 * @property {boolean} playing
 * @property {string} engine
 * @property {Problem[]} problems
 * @property {LayerInfo[]} layers
 * @property {string[]} inputs
 * @property {string[]} outputs
 * @property {string} task
 * @property {string[] | null} classes
 * @property {{train: number, test: number}} rows
 * @property {number} measured  The most rows of a set that losses and scores are measured on.
 * @property {number | null} on_disk  Training rows on the disk, where the page trains on a sample of them.
 * @property {string} loss
 * @property {Table} optimizer
 * @property {number[]} [trail]  Steps to which the slider can go back.
 */
/** @typedef {{x: number[][], y: number[]}} PointSet */
/** @typedef {{train: PointSet, test: PointSet, axes: string[] | null, line: boolean, sampled: number | null, extent: [[number, number], [number, number]] | null}} Points */
/** @typedef {{name: string, shape: number[], low: number, high: number, values: Float32Array | Uint8Array}} FrameArray */
/** @typedef {Record<string, number | null | undefined>} Metrics */
/** @typedef {{step: number, epoch: number, fresh: boolean, metrics: Metrics, confusion?: number[][], picture?: ShownPicture, arrays: Map<string, FrameArray>}} Frame */
/** @typedef {{row: number, rows: number, set: "training" | "test", target: number | number[], wrong: number[]}} ShownPicture  `wrong`: the first pictures with another answer than their class. */
/** @typedef {{words: string, set: Record<string, unknown>, spec: Table}} Remedy  `spec`: that of the training with the remedy. */
/** @typedef {{code: string, severity: string, place: string, layers: number[], message: string, evidence_html: string, remedies: Remedy[]}} Finding */
/** @typedef {{findings: Finding[], learned?: unknown, verdict?: string | null}} Diagnosis */
/** @typedef {{arm: "A" | "B", seed: number, curve: number[][], done: boolean, difference?: {mean: number, low: number | null, high: number | null, n: number} | null}} Trial */
/** @typedef {"weights" | "outputs" | "delta" | "gradients" | "updates"} Quantity */
/** @typedef {{layer: number, unit: number}} UnitPlace */
/** @typedef {{layer: number, from: number, to: number}} WeightPlace */

export {};
