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
