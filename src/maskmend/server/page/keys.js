// The keyboard: single letters where no text is typed, the brush where the picture has the focus.

// What works on the mask as a whole: a stroke that is still down ends first, or it would not count as there yet.
const SETTLED = new Set(["fill", "undo", "redo", "invert", "clear"]);

export function listen(editor) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (onCanvas(event, editor) || everywhere(event, editor)) event.preventDefault();
  });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onCanvas(event, editor) {
  if (document.activeElement !== editor.canvas || event.ctrlKey || event.metaKey) return false;
  const arrow = ARROWS[event.key];
  if (arrow && event.altKey) editor.view.pan(-48 * arrow[0], -48 * arrow[1]);
  else if (arrow) editor.moved(editor.tools.key(...arrow, event.shiftKey));
  else if (event.key === "Enter" && editor.tools.close()) return true;
  else if (event.key === " " || event.key === "Enter") editor.pressed(editor.tools.press());
  else return false;
  return true;
}

function everywhere(event, editor) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.ctrlKey || event.metaKey;
  const target = event.target;
  const typing = target.matches("input:not([type=range]):not([type=checkbox]):not([type=radio]), select, textarea");
  if (control) {
    const word = { z: event.shiftKey ? "redo" : "undo", y: "redo", s: "download", Enter: "fill" }[key];
    if (!word || (typing && word !== "download" && word !== "fill")) return false;
    return press(word, editor);
  }
  if (typing) return false;
  if (event.altKey) {
    const digit = /^Digit([1-8])$/.exec(event.code);
    return digit ? editor.choose(Number(digit[1]) - 1) : false;
  }
  switch (key) {
    case "b": case "e": case "r": case "l": case "h": case "p": case "k": case "x": case "s": case "g":
      document.querySelector(`[aria-keyshortcuts="${key.toUpperCase()}"][data-tool]`).click();
      return true;
    case "[": editor.sized(-1); return true;
    case "]": editor.sized(1); return true;
    case "+": case "=": return press("zoom-in");
    case "-": return press("zoom-out");
    case "0": return press("fit");
    case "1": editor.view.zoom(1 / editor.view.scale); return true;
    case "f": return press("fill", editor);
    case "Escape": return editor.stop();
    case "a": return press("accept");
    case "n": return press("again");
    case "v": return editor.flip(event.shiftKey ? -1 : 1);
    case "m": return press("show-mask");
    case "u": return press("show-uncertainty");
    case "c": return press("show-compare");
    case "i": return press("invert", editor);
    case "t": return press("drawer-open");
    case "w": return press("compare");
    case "Delete": case "Backspace":
      return editor.tools.cornerBack() || press("clear", editor);
    case "o": return press("open");
    case "?": return press("keys");
    default: return false;
  }
}

function press(id, editor) {
  if (SETTLED.has(id)) editor.tools.end();
  const control = document.getElementById(id);
  if (!control.disabled) control.click();
  return true;
}
