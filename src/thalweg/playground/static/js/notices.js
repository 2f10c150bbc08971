// What the page says about itself: whether it is connected, and what of a spec could not be kept.

import { byId, make } from "./dom.js";
import { on, put } from "./store.js";

export function startNotices() {
  on("connection", (connection) => {
    const bar = byId("connection");
    bar.hidden = connection === "connected";
    bar.textContent = connection === "waiting"
      ? "The server does not answer. The page tries again by itself; your settings stay in the address."
      : "Another server runs here now. Open the address that it printed; what follows # in the present address holds your settings.";
  });
  on("problems", (problems) => {
    const bar = byId("problems");
    bar.hidden = !problems.length;
    bar.replaceChildren(
      make("ul", {}, ...problems.map(({ place, message }) => make("li", {}, make("code", { text: place }), ` ${message}`))),
      make("button", { type: "button", class: "quiet", text: "Close", on: { click: () => put("problems", []) } }));
  });
}
