// The library and the charts are compressed, and written in base 85 with a comma for "<".
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
const DIGITS = new Uint8Array(128);
[...ALPHABET].forEach((character, digit) => (DIGITS[character.charCodeAt(0)] = digit));
const unpacked = (element) => {
  const text = element.textContent;
  const words = new DataView(new ArrayBuffer((text.length / 5) * 4));
  for (let word = 0; word < text.length / 5; word++) {
    let value = 0;
    for (let k = 0; k < 5; k++) value = value * 85 + DIGITS[text.charCodeAt(5 * word + k)];
    words.setUint32(4 * word, value);
  }
  const packed = new Blob([words.buffer.slice(0, Number(element.dataset.bytes))]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).text();
};
const drawCharts = async () => {
  const library = document.getElementById("library");
  if (library) {
    const script = document.createElement("script");
    script.textContent = await unpacked(library);
    document.head.append(script);
  }
  const config = { displayModeBar: false, responsive: true };
  for (const chart of document.querySelectorAll("script.chart"))
    Plotly.newPlot(chart.dataset.for, { ...JSON.parse(await unpacked(chart)), config });
};
if (document.querySelector("script.chart"))
  drawCharts().catch(() => {
    for (const place of document.querySelectorAll(".plotly-graph-div:empty"))
      place.textContent = "The chart cannot be drawn: this browser lacks DecompressionStream, which browsers have since 2023.";
  });
// Charts keep the width that they were drawn with: on paper they are drawn again, as wide as a sheet.
const redraw = (width) => {
  for (const chart of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(chart, { width });
};
addEventListener("beforeprint", () => redraw(660));
addEventListener("afterprint", () => redraw(null));
// What is folded is on paper too.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
// A page opened from a file may be refused the clipboard: then the text is selected, ready to copy by hand.
for (const button of document.querySelectorAll(".copyable > button")) {
  const words = button.parentElement.querySelector("code");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(words.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(words);
    }
  });
}
