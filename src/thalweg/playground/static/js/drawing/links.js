// The connections of a network: curves whose width and colour are a number of the weight.

import { signed, styled } from "./colours.js";

/** @typedef {import("./network_layout.js").Column} Column */
/** @typedef {{from: Column, to: Column, i: number, j: number, value: number}} Link */

const MOST_LINKS = 400;

/**
 * All connections that are drawn: between two wide layers only those of the largest weights.
 * @param {Column[]} columns
 * @param {(layer: number) => import("../types.js").FrameArray | undefined} valuesOf
 * @returns {Link[]}
 */
export function linksOf(columns, valuesOf) {
  /** @type {Link[]} */
  const links = [];
  columns.slice(1).forEach((to, k) => {
    const from = columns[k];
    const array = valuesOf(to.dense);
    const values = array && array.values.length === from.units * to.units ? array.values : null;
    /** @type {Link[]} */
    const between = [];
    for (let i = 0; i < from.units; i += 1)
      for (let j = 0; j < to.units; j += 1) between.push({ from, to, i, j, value: values ? values[i * to.units + j] : 0 });
    if (between.length > MOST_LINKS) {
      between.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
      between.length = MOST_LINKS;
    }
    links.push(...between);
  });
  return links;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Link[]} links
 * @param {{scale: number, neutral: boolean, chosen: Link | null}} how  `scale`: the value of the widest connection.
 */
export function drawLinks(context, links, { scale, neutral, chosen }) {
  const dim = styled("--link");
  for (const link of links) {
    const share = neutral || !scale ? 0 : Math.min(Math.max(link.value / scale, -1), 1);
    const strength = Number.isFinite(share) ? Math.sqrt(Math.abs(share)) : 1;
    context.strokeStyle = neutral ? dim : signed(Math.sign(share) * (0.25 + 0.75 * strength));
    context.globalAlpha = neutral ? 0.7 : 0.3 + 0.7 * strength;
    context.lineWidth = neutral ? 1 : 0.6 + 6.4 * Math.abs(share);
    trace(context, link);
    context.stroke();
  }
  context.globalAlpha = 1;
  if (chosen) {
    context.strokeStyle = styled("--accent");
    context.lineWidth = 2.5;
    context.setLineDash([6, 4]);
    trace(context, chosen);
    context.stroke();
    context.setLineDash([]);
  }
}

/** @param {Link} link */
function ends({ from, to, i, j }) {
  return { x0: from.x + from.size / 2, y0: from.y[i], x1: to.x - to.size / 2, y1: to.y[j] };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Link} link
 */
function trace(context, link) {
  const { x0, y0, x1, y1 } = ends(link);
  const middle = (x0 + x1) / 2;
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo(middle, y0, middle, y1, x1, y1);
}

/**
 * The connection under a point, if there is one.
 * @param {Link[]} links
 * @param {number} x
 * @param {number} y
 * @returns {Link | null}
 */
export function linkAt(links, x, y) {
  let best = null;
  let nearest = 6;
  for (const link of links) {
    const { x0, y0, x1, y1 } = ends(link);
    if (x < x0 || x > x1) continue;
    const distance = Math.abs(y - heightAt((x - x0) / (x1 - x0), y0, y1));
    if (distance < nearest) [nearest, best] = [distance, link];
  }
  return best;
}

/**
 * The height of the curve where it has gone `share` of its way to the right, by bisection on the curve's parameter.
 * @param {number} share
 * @param {number} y0
 * @param {number} y1
 */
function heightAt(share, y0, y1) {
  let [low, high] = [0, 1];
  for (let k = 0; k < 12; k += 1) {
    const t = (low + high) / 2;
    const x = 1.5 * t * (1 - t) ** 2 + 1.5 * t ** 2 * (1 - t) + t ** 3;
    if (x < share) low = t;
    else high = t;
  }
  const t = (low + high) / 2;
  return y0 + (y1 - y0) * t * t * (3 - 2 * t);
}
