// What the page says: how things stand, what went wrong, and that the server is back after it was gone.

import { Failure, ready } from "./api.js";
import { t } from "./words.js";

const status = document.getElementById("status");
const trouble = document.getElementById("trouble");

let back = async () => {};
let waiting = false;

export function say(text) {
  status.textContent = text;
}

export function calm() {
  trouble.hidden = true;
}

// `work` is done whenever the server answers again.
export function whenBack(work) {
  back = work;
}

export function complain(error) {
  if (error?.name === "AbortError") return;
  const known = error instanceof Failure;
  if (!known) console.error(error);
  trouble.textContent = known ? error.message : t`Something went wrong in the page: ${error?.message ?? error}.`;
  trouble.hidden = false;
  say(""); // what was under way has come to nothing
  if (error?.code === "offline") awaitServer();
  const dialog = document.getElementById("token-dialog");
  if (error?.code === "token_needed" && !dialog.open) dialog.showModal();
}

// What nobody thought of is told too, rather than nothing happening.
addEventListener("unhandledrejection", (event) => {
  event.preventDefault(); // told in the console by `complain`
  complain(event.reason);
});
addEventListener("error", ({ error }) => { if (error) complain(error); });

// `work` is done once, when the server's first model is loaded.
export async function whenReady(work) {
  while (!(await ready())) await new Promise((resolve) => setTimeout(resolve, 2000));
  work();
}

async function awaitServer() {
  if (waiting) return;
  waiting = true;
  say(t`Waiting for the server.`);
  while (!(await ready())) await new Promise((resolve) => setTimeout(resolve, 1000));
  waiting = false;
  calm();
  await back();
}
