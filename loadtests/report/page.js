// A line under the pointer through all charts, and what they show there.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tracks = [...document.querySelectorAll(".panel .track")];
  const cursors = tracks.map((track) => {
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    track.append(cursor);
    return cursor;
  });
  const readouts = [...document.querySelectorAll(".readout")];
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  const show = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const cell = Math.max(0, Math.min(data.length - 1, Math.floor(share * data.length)));
    for (const cursor of cursors) {
      cursor.style.display = "block";
      cursor.style.left = `${(100 * (cell + 0.5)) / data.length}%`;
    }
    for (const readout of readouts) {
      readout.replaceChildren(clock(cell * data.step));
      for (const line of data.panels[readout.dataset.panel]) {
        const text = line.texts[line.cells[cell]];
        if (!text) continue;
        const value = document.createElement("b");
        value.className = line.look;
        value.textContent = `${line.name} ${text}`;
        readout.append(value);
      }
    }
  };
  const hide = () => {
    for (const cursor of cursors) cursor.style.display = "none";
    for (const readout of readouts) readout.replaceChildren();
  };
  for (const track of tracks) {
    track.addEventListener("pointermove", show);
    track.addEventListener("pointerleave", hide);
  }
})();
