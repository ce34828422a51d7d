// Keeps the site: its pages when it is installed, the model and onnxruntime-web as they are first loaded. `SITE`, the
// version and the files, is written above by `maskmend export web`.

const OURS = `maskmend ${new URL(registration.scope).pathname} `; // there may be another site beside this one
const CACHE = OURS + SITE.version;
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Content-Security-Policy": SITE.policy,
};

addEventListener("install", (event) => {
  // Not from the browser's own cache, which may still hold the files of the version before.
  const pages = SITE.pages.map((page) => new Request(page, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(pages)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(OURS) && name !== CACHE;
  const tidied = caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))));
  event.waitUntil(tidied.then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const scope = new URL(registration.scope);
  if (request.method !== "GET" || origin !== scope.origin || !pathname.startsWith(scope.pathname)) return;
  event.respondWith(answer(request, pathname.slice(scope.pathname.length) || "index.html", event));
});

async function answer(request, name, event) {
  let response = await caches.match(name, { cacheName: CACHE });
  if (!response) {
    const ours = SITE.files.includes(name);
    response = await fetch(ours ? new Request(request.url, { cache: "no-cache" }) : request);
    if (response.type === "opaqueredirect") return response; // a folder without its slash; the browser goes on
    if (response.ok && ours) event.waitUntil(keep(name, response.clone()));
  }
  const headers = new Headers(response.headers);
  for (const [header, value] of Object.entries(HEADERS)) headers.set(header, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

// Not once a newer version has removed this one's cache: opening it would bring it back.
async function keep(name, response) {
  if (await caches.has(CACHE)) await (await caches.open(CACHE)).put(name, response);
}
