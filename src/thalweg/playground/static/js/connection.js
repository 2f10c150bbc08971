// The link to the server: requests, and the socket of a lab, which is opened again when it breaks.

import { decodeFrame, keep } from "./frames.js";
import { put } from "./store.js";

/** An error that the server describes in one sentence. */
export class ServerError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 */
export async function request(method, path, body, headers = {}) {
  const raw = body instanceof Blob;
  const type = raw ? "application/octet-stream" : "application/json";
  const content = body === undefined ? {} : { body: raw ? body : JSON.stringify(body), headers: { "Content-Type": type, ...headers } };
  const response = await fetch(path, { method, credentials: "same-origin", ...content });
  const text = await response.text();
  const isJson = response.headers.get("Content-Type")?.includes("json");
  const answer = isJson && text ? JSON.parse(text) : text;
  if (!response.ok) throw new ServerError(response.status, answer?.message ?? `the server answered ${response.status}`);
  return answer;
}

/** @param {string} path */
export const getJson = (path) => request("GET", path);

/** @type {string} */
let lab = "";
/** @type {WebSocket | null} */
let socket = null;
let attempts = 0;
let timer = 0;
/** @type {() => Promise<void>} */
let whenLost = async () => {};

/** The address of something of the present lab. @param {string} rest */
export const labPath = (rest) => `/api/labs/${encodeURIComponent(lab)}${rest}`;

/**
 * Watch a lab. `onLost` is called when the server no longer knows it.
 * @param {string} id
 * @param {() => Promise<void>} onLost
 */
export function watch(id, onLost) {
  lab = id;
  whenLost = onLost;
  attempts = 0;
  open();
}

function open() {
  window.clearTimeout(timer);
  socket?.close();
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${labPath("/live")}`);
  opened.binaryType = "arraybuffer";
  opened.addEventListener("open", () => {
    attempts = 0;
    put("connection", "connected");
    send({ do: "ready" });
  });
  opened.addEventListener("message", (event) => receive(opened, event.data));
  opened.addEventListener("close", () => opened === socket && reconnect());
  socket = opened;
}

/** Wait a little longer after each failure, and ask whether the lab still lives. */
function reconnect() {
  put("connection", "waiting");
  attempts += 1;
  timer = window.setTimeout(async () => {
    try {
      await getJson(labPath(""));
      open();
    } catch (error) {
      const status = error instanceof ServerError ? error.status : 0;
      if (status === 401 || status === 403) put("connection", "refused");
      else if (status === 404) whenLost().catch(reconnect);
      else reconnect();
    }
  }, Math.min(250 * 2 ** attempts, 4000));
}

/** @param {Record<string, unknown> & {do: string}} message */
export function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

/**
 * @param {WebSocket} source
 * @param {string | ArrayBuffer} data
 */
function receive(source, data) {
  if (source !== socket) return;
  if (typeof data !== "string") {
    // One frame for each picture of the screen: the next one is asked for when this one is drawn.
    const frame = decodeFrame(data);
    keep(frame);
    const draw = () => {
      put("frame", frame);
      send({ do: "ready" });
    };
    if (document.hidden) window.setTimeout(draw, 200);
    else requestAnimationFrame(draw);
    return;
  }
  const message = JSON.parse(data);
  if (message.type === "state") {
    put("state", message);
    put("problems", message.problems ?? []);
  } else if (message.type === "points") put("points", { ...message, train: flat(message.train), test: flat(message.test) });
  else if (message.type === "finding") put("diagnosis", message);
  else if (message.type === "trial") put("trial", message);
  else if (message.type === "progress") put("progress", message);
  else if (message.type === "error") put("refused", { place: message.place ?? "", message: message.message });
  else if (message.type === "stopped") put("problems", [{ place: "training", message: message.reason }]);
}

/**
 * Points with one number each: the first target of a regression, the first label where there are several.
 * @param {{x: number[][], y: (number | number[])[]}} points
 */
const flat = ({ x, y }) => ({ x, y: y.map((one) => (Array.isArray(one) ? one[0] : one)) });
