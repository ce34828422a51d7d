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
    await serviceWorker.register(new URL("../service-worker.js", import.meta.url));
    await serviceWorker.ready;
  } catch (error) {
    console.warn(`The site cannot be kept for use without a network: ${error.message}`);
    return;
  }
  if (globalThis.crossOriginIsolated || sessionStorage.getItem(ONCE)) return;
  sessionStorage.setItem(ONCE, "tried");
  location.reload();
  await new Promise(() => {}); // the page goes
}
