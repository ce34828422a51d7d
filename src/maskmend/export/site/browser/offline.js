// The service worker: it keeps the site for use without a network, and gives its answers the headers with which browsers
// let a page's threads share memory. A page that was loaded before it was there is loaded once more.

const ONCE = `maskmend-isolated ${new URL("..", import.meta.url).pathname}`;

let known = null;

// Done when this page is as it will be.
export function controlled() {
  known ??= begin();
  return known;
}

async function begin() {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return; // no https: it works all the same, on one thread
  try {
    await active(await serviceWorker.register(new URL("../service-worker.js", import.meta.url)));
  } catch (error) {
    console.warn(`The site cannot be kept for use without a network: ${error.message}`);
    return;
  }
  if (globalThis.crossOriginIsolated || sessionStorage.getItem(ONCE)) return;
  sessionStorage.setItem(ONCE, "tried");
  location.reload();
  await new Promise(() => {}); // the page goes
}

// `serviceWorker.ready` would wait for ever where the worker cannot be installed, such as without room for its files.
function active(registration) {
  const coming = registration.installing ?? registration.waiting;
  if (registration.active || !coming) return undefined;
  return new Promise((resolve, reject) => {
    coming.addEventListener("statechange", () => {
      if (coming.state === "activated") resolve();
      if (coming.state === "redundant") reject(new Error("its files could not be stored"));
    });
  });
}
