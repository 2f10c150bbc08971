// The page: everything is started here, in the order in which it is needed.

import { followAddress, readAddress } from "./address.js";
import { startClassroom } from "./classroom.js";
import { getJson, labPath, watch } from "./connection.js";
import { byId } from "./dom.js";
import { begin, newLab, openLab, takeBack } from "./draft.js";
import { startKeyboard } from "./keyboard.js";
import { startNotices } from "./notices.js";
import { catalogue, on, put } from "./store.js";
import { startTheme } from "./theme.js";
import { startAxes } from "./controls/axes.js";
import { startData } from "./controls/data.js";
import { startFeatures } from "./controls/features.js";
import { startLayers } from "./controls/layers.js";
import { startPaint } from "./controls/paint.js";
import { startSettings } from "./controls/settings.js";
import { startTransport } from "./controls/transport.js";
import { startViewSwitch } from "./controls/view_switch.js";
import { startConfusion, startCurves } from "./drawing/curves.js";
import { startLayerChart } from "./drawing/layer_chart.js";
import { startNetwork } from "./drawing/network_drawing.js";
import { startOutputMap } from "./drawing/output_map.js";
import { startPictures } from "./drawing/pictures.js";
import { startCompare } from "./panels/compare.js";
import { startDoctor } from "./panels/doctor.js";
import { startExport } from "./panels/export.js";
import { startFigures } from "./panels/figures.js";
import { startCard } from "./panels/hover_card.js";
import { startLessons } from "./panels/lessons.js";
import { startRuns } from "./panels/runs.js";
import { startTabs } from "./panels/tabs.js";
import { startUnitCard } from "./panels/unit_card.js";

const STARTS = [
  startTheme, followAddress, startNotices, startTabs, startCard, startTransport, startSettings, startData, startFeatures, startLayers,
  startViewSwitch, startNetwork, startOutputMap, startAxes, startPaint, startCurves, startConfusion, startLayerChart, startPictures, startUnitCard,
  startDoctor, startCompare, startFigures, startExport, startRuns, startKeyboard, startClassroom,
];

async function start() {
  try {
    put("catalogue", { ...(await getJson("/api/catalogue")), data: [] });
    for (const one of STARTS) one();
    begin();
    const open = async () => watch(await newLab(), open);
    watch(await openLab(), open);
    on("refused", (problem) => {
      takeBack();
      put("problems", [problem]);
    });
    startLessons();
    window.addEventListener("hashchange", () => {
      // Another address was opened in this tab: the page begins anew with it.
      if (Object.keys(readAddress().places).length) location.reload();
    });
    // The pictures of the data come last: nothing waits for them.
    put("catalogue", { ...catalogue(), data: await getJson(labPath("/sources")) });
  } catch (error) {
    const bar = byId("connection");
    bar.hidden = false;
    bar.textContent = error instanceof Error ? error.message : String(error);
    throw error;
  }
}

for (const closer of document.querySelectorAll("dialog [data-close]"))
  closer.addEventListener("click", () => closer.closest("dialog")?.close());

await start();
