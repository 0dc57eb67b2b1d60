"use strict";
// Every two seconds the live parts are taken from a new copy of this page.
const note = document.getElementById("note");
async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error("the answer is " + answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const newer = page.getElementById(part.id);
      if (newer && newer.outerHTML !== part.outerHTML) part.replaceWith(newer);
    }
    note.textContent = "";
    document.body.classList.remove("lost");
  } catch (error) {
    note.textContent = "no answer since a moment ago: what you see is old (" + error.message + ")";
    document.body.classList.add("lost");
  }
}
setInterval(renew, 2000);
