// For classrooms: controls that are hidden, as the address says.

import { byId, make } from "./dom.js";
import { get, on, put } from "./store.js";

export function startClassroom() {
  const parts = [...document.querySelectorAll("[data-part]")].map((part) => /** @type {HTMLElement} */ (part));
  byId("hide-list").replaceChildren(...parts.map((part) => choice(String(part.dataset.part), String(part.dataset.title))));
  byId("share").addEventListener("click", () => byId("share-dialog", HTMLDialogElement).showModal());
  byId("copy-address").addEventListener("click", async () => {
    const note = byId("copied");
    try {
      await navigator.clipboard.writeText(location.href);
      note.textContent = "Copied.";
    } catch {
      note.textContent = location.href;
    }
  });
  on("hidden", (hidden) => {
    for (const part of parts) part.classList.toggle("hidden-part", hidden.includes(String(part.dataset.part)));
    for (const box of byId("hide-list").querySelectorAll("input")) box.checked = !hidden.includes(box.value);
  });
}

/**
 * @param {string} name
 * @param {string} title
 */
function choice(name, title) {
  const box = make("input", { type: "checkbox", value: name });
  box.addEventListener("change", () => {
    const others = (get("hidden") ?? []).filter((one) => one !== name);
    put("hidden", box.checked ? others : [...others, name]);
  });
  return make("label", { class: "field check" }, box, make("span", { text: title }));
}
