// Decoding of a frame: a length, a header in JSON, then the arrays one after another.

/**
 * @param {ArrayBuffer} buffer
 * @returns {import("./types.js").Frame}
 */
export function decodeFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = new Map();
  let start = 4 + length;
  for (const array of header.arrays) {
    const count = array.shape.reduce((/** @type {number} */ product, /** @type {number} */ n) => product * n, 1);
    const bytes = array.dtype === "u8" || array.dtype === "uint8" ? count : 4 * count;
    // A copy, since a view of 32-bit numbers must begin at a multiple of 4 bytes.
    const part = buffer.slice(start, start + bytes);
    arrays.set(array.name, { ...array, values: bytes === count ? new Uint8Array(part) : new Float32Array(part) });
    start += bytes;
  }
  return { ...header, arrays };
}

/** @type {Map<string, import("./types.js").FrameArray>} */
const arrays = new Map();

/** Keep the arrays of a frame: a frame may leave out what it does not need to send. @param {import("./types.js").Frame} frame */
export function keep(frame) {
  for (const [name, array] of frame.arrays) arrays.set(name, array);
}

/** Forget all arrays, since another network begins. */
export const forget = () => arrays.clear();

/** The last array of this name. @param {string} name */
export const latest = (name) => arrays.get(name);

/** The name of the array with the maps of a layer's units; -1 is the inputs. @param {number} layer */
export const mapName = (layer) => (layer < 0 ? "maps.inputs" : `maps.${layer}`);
