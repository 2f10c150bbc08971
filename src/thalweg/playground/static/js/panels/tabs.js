// The tabs below the drawing: one panel at a time, as ARIA describes them.

import { byId } from "../dom.js";

/** @type {Map<string, () => void>} */
const openers = new Map();

/** Call `listener` whenever this tab is opened. @param {string} name @param {() => void} listener */
export const whenOpened = (name, listener) => openers.set(name, listener);

/** @returns {HTMLButtonElement[]} */
const tabs = () => [...byId("tabs").querySelectorAll("button")];

export function startTabs() {
  for (const tab of tabs()) tab.addEventListener("click", () => openTab(String(tab.dataset.tab)));
  byId("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = tabs();
    const next = all[(all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement)) + step + all.length) % all.length];
    next.focus();
    openTab(String(next.dataset.tab));
  });
  openTab("numbers");
}

/** @param {string} name */
export function openTab(name) {
  for (const tab of tabs()) {
    const isOpen = tab.dataset.tab === name;
    tab.ariaSelected = String(isOpen);
    tab.tabIndex = isOpen ? 0 : -1;
    byId(`panel-${tab.dataset.tab}`).hidden = !isOpen;
  }
  openers.get(name)?.();
}
