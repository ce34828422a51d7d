// The question whether a picture may be converted, and the notice that it was.

import { t } from "./words.js";

const dialog = document.getElementById("convert-dialog");

// Whether the person agrees that `name` be converted; one question at a time.
let last = Promise.resolve();
export function agreed(name, conversions) {
  const answer = last.then(() => ask(name, conversions));
  last = answer.catch(() => false);
  return answer;
}

function ask(name, conversions) {
  dialog.querySelector("p").textContent = t`${name} cannot be filled as it is. It can be opened if it is converted:`;
  dialog.querySelector("ul").replaceChildren(...conversions.map((one) => Object.assign(document.createElement("li"), { textContent: one })));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "convert"), { once: true });
  });
}

export function conversionNotice(converted) {
  return converted ? t`Converted as it was opened: ${converted}. The file itself stays as it is.` : "";
}
