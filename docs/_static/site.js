// Every formula is plain TeX in a span or div of class "tex"; KaTeX draws it.
function draw() {
  for (const place of document.querySelectorAll(".tex")) {
    const display = place.classList.contains("formula");
    katex.render(place.textContent, place, { displayMode: display, throwOnError: false, strict: false });
  }
}
if (document.readyState === "complete" || typeof katex !== "undefined") draw();
else window.addEventListener("load", draw);
