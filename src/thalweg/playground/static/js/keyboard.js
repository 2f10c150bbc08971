// Keys for everything that is used often; `?` shows them all.

import { send } from "./connection.js";
import { byId, make } from "./dom.js";
import { put } from "./store.js";
import { focusNetwork } from "./drawing/network_drawing.js";
import { regenerate, rewind, togglePlay } from "./controls/transport.js";
import { QUANTITIES } from "./controls/view_switch.js";
import { openTab } from "./panels/tabs.js";
import { closeCard } from "./panels/hover_card.js";
import { clear } from "./panels/unit_card.js";

/** @type {[key: string, words: string, action: () => void][]} */
const KEYS = [
  [" ", "play or pause", togglePlay],
  ["s", "one step", () => send({ do: "step" })],
  ["e", "one epoch", () => send({ do: "epoch" })],
  ["r", "rewind to the same start", rewind],
  ["n", "new start with the next seed", regenerate],
  ...QUANTITIES.map((quantity, k) => /** @type {[string, string, () => void]} */ ([String(k + 1), `show ${quantity}`, () => put("quantity", quantity)])),
  ["d", "go to the drawing; then arrow keys and Enter", focusNetwork],
  ["u", "numbers of the chosen unit", () => openTab("numbers")],
  ["t", "light or dark", () => byId("theme").click()],
  ["Escape", "choose nothing", () => (closeCard(), clear())],
  ["?", "these keys", () => byId("help-dialog", HTMLDialogElement).showModal()],
];

export function startKeyboard() {
  byId("keys").replaceChildren(...KEYS.flatMap(([key, words]) => [make("dt", {}, make("kbd", { text: key === " " ? "Space" : key })), make("dd", { text: words })]));
  byId("help").addEventListener("click", () => byId("help-dialog", HTMLDialogElement).showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (document.querySelector("dialog[open]") || (target.closest("input, select, textarea") && event.key !== "Escape")) return;
    // The space bar presses a button that has the focus.
    if (event.key === " " && target.closest("button, summary, a")) return;
    const known = KEYS.find(([key]) => key === event.key);
    if (!known) return;
    event.preventDefault();
    known[2]();
  });
}
