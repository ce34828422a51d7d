// The page's language. English texts are the keys: t`${name} opened` looks for "{0} opened" in the chosen language's file
// (`words-de.js`, ...), and what is written in index.html is looked up by what it says. `words-en.js` lists them all.

export const LANGUAGES = { en: "English", de: "Deutsch", zh: "中文" };
const KEY = "maskmend-language";
const SPOKEN = ["title", "aria-label", "alt", "placeholder"];

export let language = "en";
let texts = {}; // English needs none
let turns = 0; // of `speak`
let fixed = null; // what stands in the page from the start: [node or element, attribute or null, English]

// A text of the page: t`Fill`, or with values in it.
export function t(parts, ...values) {
  return phrase({ key: parts.reduce((text, part, i) => `${text}{${i - 1}}${part}`), values });
}

// A text from where there is no language, such as a worker; a value may be such a text too.
export function phrase({ key, values }) {
  return (texts[key] ?? key).replace(/\{(\d)\}/g, (_, i) => (values[i]?.key ? phrase(values[i]) : values[i]));
}

// A text that is a key already, such as a tool's name in the page.
export function word(key) {
  return texts[key] ?? key;
}

// A number with so many decimals, as the language writes it.
export function number(value, decimals = 0) {
  return value.toLocaleString(language, { minimumFractionDigits: decimals, maximumFractionDigits: decimals, useGrouping: false });
}

// Turns the whole page to a language; `words` stands in for its file. Of several calls the last one counts, whichever file
// comes first. Whoever says something of their own hears "language" on the document.
export async function speak(code, words = null) {
  const turn = ++turns;
  const coming = words ?? (code === "en" ? {} : (await import(`./words-${code}.js`)).default);
  if (turn !== turns) return;
  texts = coming;
  language = code;
  document.documentElement.lang = code;
  fixed ??= found(document.documentElement);
  for (const [node, attribute, english] of fixed) {
    const text = texts[english] ?? english;
    if (attribute) node.setAttribute(attribute, text);
    else node.data = node.data.replace(/^(\s*)[^]*?(\s*)$/, (_, before, after) => before + text + after);
  }
  document.dispatchEvent(new Event("language"));
}

export function choose(code) {
  try {
    localStorage.setItem(KEY, code);
  } catch {
    // a browser that keeps nothing: for this time only
  }
  return speak(code);
}

// What was chosen before, else the first of the browser's languages that there is.
function preferred() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // likewise
  }
  const wanted = [kept, ...navigator.languages].map((code) => code?.slice(0, 2).toLowerCase());
  return wanted.find((code) => code in LANGUAGES) ?? "en";
}

function found(root) {
  const all = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      const english = node.data.trim().replace(/\s+/g, " ");
      if (english && !node.parentElement.closest("script, style, kbd, [translate=no]")) all.push([node, null, english]);
    } else {
      for (const name of SPOKEN) if (node.getAttribute(name)) all.push([node, name, node.getAttribute(name)]);
    }
  }
  return all;
}

await speak(preferred());
