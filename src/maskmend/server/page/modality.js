// Which way the page is used: a ring around the picture tells the keyboard where it is, and a mouse or a finger nothing.

for (const [event, by] of [["pointerdown", "pointer"], ["keydown", "keys"]]) {
  addEventListener(event, () => { document.body.dataset.by = by; }, { capture: true });
}
