// Light or dark: as the system has it, until somebody switches.

import { byId } from "./dom.js";
import { put } from "./store.js";

const REMEMBERED = "thalweg-theme";

export function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = byId("theme");
  const chosen = () => localStorage.getItem(REMEMBERED);
  const show = () => {
    const theme = (chosen() ?? (system.matches ? "dark" : "light")) === "dark" ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
    button.ariaPressed = String(theme === "dark");
    put("theme", theme);
  };
  system.addEventListener("change", show);
  button.addEventListener("click", () => {
    localStorage.setItem(REMEMBERED, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    show();
  });
  show();
}
