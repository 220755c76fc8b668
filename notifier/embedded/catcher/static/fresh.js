// Show new mails by themselves: ask for the count, reload when it moved.
"use strict";
const shown = document.currentScript.dataset.total;
setInterval(async () => {
  try {
    const answer = await fetch("/api/total");
    if (String((await answer.json()).total) !== shown) location.reload();
  } catch {
    // The catcher is away for a moment: ask again.
  }
}, 1500);
