// Export of the present network: as a spec, as Python, as PyTorch, as a run folder.

import { byId } from "../dom.js";
import { labPath, request } from "../connection.js";
import { whenOpened } from "./tabs.js";

export function startExport() {
  const form = byId("export-form", HTMLSelectElement);
  form.addEventListener("change", show);
  whenOpened("export", show);
  byId("copy-export").addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId("export-text").textContent ?? "");
    byId("export-note").textContent = "Copied.";
  });
}

async function show() {
  const form = byId("export-form", HTMLSelectElement).value;
  const text = byId("export-text");
  const link = byId("download-export", HTMLAnchorElement);
  link.href = labPath(`/export?form=${form}`);
  link.download = { toml: "spec.toml", python: "train.py", torch: "model.py", run: "run.zip" }[form] ?? "export";
  byId("export-note").textContent = "";
  if (form === "run") {
    text.textContent = "A run folder: spec, history, checkpoints and records, as one file.";
    return;
  }
  try {
    text.textContent = await request("GET", labPath(`/export?form=${form}`));
  } catch (error) {
    text.textContent = error instanceof Error ? error.message : String(error);
  }
}
