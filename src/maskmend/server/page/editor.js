// The editor: its state, what changes it, and what of it is seen. Everything else is in the modules beside this one.

import { Failure, keepToken, models, sentence } from "./api.js";
import { Colours, colourOf, hex } from "./colours.js";
import { asked, looksLikeMask, pasted } from "./clipboard.js";
import { Comparison } from "./compare.js";
import { Conditions } from "./conditions.js";
import { conversionNotice } from "./consent.js";
import { Drawer } from "./drawer.js";
import { Borders, extended, moved, written } from "./extend.js";
import { follow, Live } from "./filling.js";
import { flood, pixelsOf } from "./flood.js";
import { EdgePreview, resized } from "./growth.js";
import { guideOf } from "./guide.js";
import { History } from "./history.js";
import { listen as listenToKeys } from "./keys.js";
import { Mask } from "./mask.js";
import "./modality.js";
import { listen as listenToFiles, open, showSamples } from "./opening.js";
import { readMask } from "./masks.js";
import { around, Picks } from "./picks.js";
import { Pictures } from "./pictures.js";
import { encoded, ENDINGS, hand, stem } from "./save.js";
import { SettingsForm } from "./settings.js";
import { Timeline } from "./timeline.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";
import { calm, complain, say, whenBack, whenReady } from "./voice.js";
import { choose as chooseLanguage, language, LANGUAGES, number, t, word } from "./words.js";

const ALTERNATIVES = 4;
const DOCK = 56; // pixels that brush and zoom take from the picture's place
const $ = (id) => document.getElementById(id);

const state = {
  about: null, // what the server told of itself
  first: null, // the picture as it was opened
  source: null, // the picture as it was last accepted
  mask: null,
  results: null, // {fills, best, pick, uncertainty, box}
  live: null, // a fill under way
  filling: null, // its AbortController
  kept: null, // the results before it, which are there again if it comes to nothing
  dismissed: new WeakSet(), // the results, or the picture as it was opened, whose notice was put away
  unsaved: false,
};

const view = new View($("canvas"));
const history = new History(update);
const picks = new Picks($("picks"), pick);
const pictures = new Pictures($("pictures"), (picture) => switchTo(picture, t`Change of picture`), closePicture);
const settings = new SettingsForm($("settings-form"), (note) => { $("settings-note").textContent = note; });
const tools = new Tools($("canvas"), view, {
  mask: () => (state.filling ? null : state.mask),
  touching: () => showMask(true),
  touched: () => { if (state.results) putAway(); },
  commit: (label, patch, layer) => (layer === state.mask ? commit(label, patch) : commitColours(label, patch, layer)),
  sized: (direction) => sized(direction),
  colour: () => ({ guide: guideOf(state.mask), paint: colours.paint }),
  dropper: (point) => takeColour(point),
  similar: (x, y) => flood(pixelsOf(state.source.bitmap), x, y, Number($("tolerance").value)),
  laid: (corners) => showCorners(corners),
  grab: ([x, y], scale) => (tools.name === "extend"
    ? borders.grab([x, y], scale)
    : comparing() && Math.abs(x - divider() * state.source.width) * scale < 18 && y >= 0),
  slide: ([x, y]) => {
    if (borders.held) borders.drag([x, y]);
    else $("divider").value = (100 * x) / state.source.width;
    view.paint();
  },
  release: (cancelled) => (cancelled ? borders.cancel() : borders.release()),
});
const colours = new Colours($("colours"), {
  chosen: (colour) => { choose("colour"); say(t`${colour} is the brush's colour.`); },
  cleared: () => {
    tools.end();
    if (state.results) putAway();
    const guide = guideOf(state.mask);
    commitColours(t`Clear the colours`, guide.clear(), guide);
  },
});
const borders = new Borders($("extend-form"), view, {
  source: () => state.source,
  most: () => state.about?.limits.pixels ?? Infinity,
  changed: (margins) => extendTo(margins),
  refused: (text) => complain(new Failure("extension", text)),
});

const edges = new EdgePreview();
const conditions = new Conditions($("conditions"));
const drawer = new Drawer($("drawer"), $("drawer-open"), { shown: () => update() });
const comparison = new Comparison($("compare-dialog"), { picked: pick });
const timeline = new Timeline($("timeline"), history, {
  scene: () => state.source && { picture: shown().bitmap, layers: state.results ? [] : [state.mask.canvas, guideOf(state.mask).canvas].filter(Boolean) },
  jump: (steps) => {
    tools.end();
    for (let i = 0; i < Math.abs(steps); i++) (steps < 0 ? history.undo() : history.redo());
    say(t`Back at the step that was chosen.`);
  },
});

// When the server is there again after it was not

whenBack(async () => {
  await learn();
  say(t`The server is back. Your picture and mask are as they were.`);
});

// What changes

async function openPicture(blob, name) {
  calm();
  try {
    const source = await open(blob, name, state.about?.limits);
    if (!source) return;
    const picture = { first: source, source, mask: new Mask(source.width, source.height), results: null, unsaved: false };
    pictures.add(picture);
    switchTo(picture, t`Opening ${name}`, () => pictures.remove(picture), () => pictures.add(picture));
    say(t`${name} opened, ${source.width} × ${source.height} pixels. Paint over what should be filled.`);
  } catch (error) {
    complain(error);
  }
}

// One after the other; the last one is worked on.
async function openPictures(files) {
  const before = pictures.all.length;
  for (const file of files) await openPicture(file, file.name || "pasted.png");
  const count = pictures.all.length - before;
  if (files.length > 1 && count > 1) say(t`${count} pictures opened: they are in the strip.`);
}

// A picture from the clipboard may be meant as the mask of the one that is open.
async function paste(files) {
  if (files.length === 1 && state.source && !state.filling && (await looksLikeMask(files[0]))) {
    const answer = await asked($("paste-dialog"));
    if (answer === "mask") await loadMask(files[0], files[0].name || "pasted.png");
    if (answer !== "picture") return;
  }
  await openPictures(files);
}

// The picture to work on becomes `picture`, and the one before stays as it is; Undo goes back to it.
function switchTo(picture, label, undone = () => {}, redone = () => {}) {
  leave();
  const before = pictures.current;
  enter(picture);
  if (!before) return update();
  return history.push({
    label,
    undo: () => { leave(); undone(); enter(before); },
    redo: () => { leave(); redone(); enter(picture); },
    bytes: picture.source.width * picture.source.height * 4,
  });
}

// What there is of the current picture is kept with it.
function leave() {
  tools.give_up();
  if (state.filling) {
    state.filling.abort(); // whatever still comes of it belongs to this picture
    state.results = state.kept;
    state.filling = state.live = null;
  }
  const { first, source, mask, results, unsaved } = state;
  if (pictures.current) Object.assign(pictures.current, { first, source, mask, results, unsaved });
}

function enter(picture) {
  const { first, source, mask, results, unsaved } = picture;
  Object.assign(state, { first, source, mask, results, unsaved });
  pictures.current = picture;
  document.body.dataset.state = "open";
  view.of(source, scene);
  const longest = Math.max(source.width, source.height);
  tools.most = $("size").max = Math.max(20, Math.round(longest / 2));
  sizeTo(longest / 10);
  showMask(!results);
  $("canvas").focus({ preventScroll: true });
}

function closePicture(picture) {
  let at = pictures.remove(picture);
  history.push({
    label: t`Closing ${picture.source.name}`,
    undo: () => pictures.add(picture, at),
    redo: () => { at = pictures.remove(picture); },
    bytes: picture.source.width * picture.source.height * 4,
  });
  say(t`${picture.source.name} closed. Undo opens it again.`);
}

async function loadMask(blob, name) {
  calm();
  const { mask } = state;
  try {
    const { bitmap, words } = await readMask(blob, name, mask);
    if (state.mask !== mask || state.filling) return; // meant for a picture that was left, or come too late
    tools.end();
    if (state.results) putAway();
    mask.begin();
    mask.read(bitmap);
    commit(t`Load mask`, mask.end());
    say(`${words} ${share()}`);
  } catch (error) {
    complain(error);
  }
}

function commit(label, patch) {
  if (!patch) return;
  const { mask } = state;
  const guide = guideOf(mask);
  const gone = guide.clip(patch.box); // colours of what is no hole any more
  history.push({
    label: word(label),
    undo: () => { mask.put(patch.box, patch.before); if (gone) guide.write(gone.before); },
    redo: () => { mask.put(patch.box, patch.after); if (gone) guide.write(gone.after); },
    bytes: patch.before.length * 2 + (gone?.bytes ?? 0),
  });
  state.unsaved = true;
  update();
}

function commitColours(label, patch, guide) {
  if (!patch) {
    if (label === "Colour" && !guide.any) say(t`Colours count inside the hole only: paint it first, with the brush.`);
    return;
  }
  colours.used();
  history.push({ label: word(label), undo: () => guide.write(patch.before), redo: () => guide.write(patch.after), bytes: patch.bytes });
  state.unsaved = true;
  update();
}

function takeColour([x, y]) {
  const { width, height } = state.source;
  const place = [Math.floor(x), Math.floor(y)];
  if (place[0] < 0 || place[1] < 0 || place[0] >= width || place[1] >= height) return;
  const painted = !state.results && guideOf(state.mask).at(...place);
  colours.choose(painted ? hex(painted) : colourOf(shown().bitmap, ...place));
}

function extendTo(margins) {
  calm();
  tools.end();
  const base = state.source.base ?? state.source;
  const far = Object.values(margins).some((margin) => margin > 0);
  const wide = (picture) => (far ? extended(picture.base ?? picture, margins) : (picture.base ?? picture));
  const source = wide(state.source);
  const first = state.first === state.source ? source : wide(state.first);
  turn(t`Extend`, { results: null, source, first, mask: moved(state.mask, source) });
  state.unsaved = far || state.unsaved;
  update();
  say(far ? t`${source.width} × ${source.height} pixels now. Fill draws what is new.` : t`${base.width} × ${base.height} pixels, as it was.`);
}

// A change of the whole state that can be undone; results and pictures are kept by reference.
function turn(label, after) {
  const before = { results: state.results, source: state.source, first: state.first, mask: state.mask };
  const set = (to) => {
    Object.assign(state, to);
    showMask(!state.results);
    const { width, height } = state.source;
    if (width !== view.size.width || height !== view.size.height) fitView();
  };
  set(after);
  // Four bytes a pixel for each picture, nine for a mask, its canvas and the picture it came with
  const bytes = ((after.results?.fills ?? []).length * 4 + (after.mask ? 9 : 0)) * state.source.width * state.source.height;
  history.push({ label, undo: () => set(before), redo: () => set(after), bytes });
}

function putAway() {
  turn(t`Put the fills away`, { results: null });
}

function changeMask(label, change) {
  if (!state.mask || state.filling) return;
  tools.end(); // the mask can be changed by one at a time
  if (state.results) putAway();
  state.mask.begin();
  state.mask.whole(change);
  commit(label, state.mask.end());
  say(`${label}: ${share()}`);
}

async function fill() {
  if (state.filling) return stop();
  tools.end();
  if (!state.source || !state.mask.count) return undefined;
  calm();
  const { source, mask } = state;
  const controller = new AbortController();
  const old = state.results;
  const picking = $("results").contains(document.activeElement);
  state.filling = controller;
  state.kept = old;
  state.results = null;
  state.live = new Live(mask, settings.steps);
  try {
    const samples = Math.min(ALTERNATIVES, state.about?.limits.samples ?? ALTERNATIVES);
    const parameters = { ...settings.parameters(), samples };
    const part = around(mask);
    const more = conditions.parameters;
    if (source.margins) more.extend = written(source.margins);
    if (guideOf(mask).any) Object.assign(more, { guide: await guideOf(mask).png(), guide_strength: colours.strength });
    if (picking) keepFocus(true); // before its place is gone
    picks.begin(samples);
    showPicks.last = null;
    for (let i = 0; i < samples; i++) picks.show(i, source.bitmap, part);
    progress(...state.live.progress);
    update();
    say(t`Filling.`);
    for await (const news of follow(source, mask, { ...parameters, ...more }, controller.signal)) {
      controller.signal.throwIfAborted(); // what had come by then is decoded all the same
      progress(...state.live.take(news));
      if (news.kind === "step") {
        for (let i = 0; i < samples; i++) picks.show(i, source.bitmap, part, state.live.patches(i));
        view.paint();
      }
      if (news.patch) {
        picks.show(news.sample, source.bitmap, part, [[news.patch, news.box]]); // a finer scale of one of the fills
        view.paint();
      }
      if (news.kind === "done") {
        state.results = old;
        turn(t`Fill`, { results: { ...news, part, pick: news.best, used: parameters } });
        state.unsaved = true;
        say(t`${news.fills.length} fills in ${number(news.seconds, 1)} seconds. The best is shown: pick another, accept it, or roll again.`);
      }
    }
  } catch (error) {
    if (state.filling !== controller) return undefined; // another picture has been opened
    state.results = old;
    if (error.name === "AbortError") say(t`Stopped. The mask is as it was.`);
    else complain(error);
  } finally {
    if (settings.model?.loaded === false) relearn().catch(complain); // by now it has been loaded
    if (state.filling === controller) {
      state.filling = state.live = null;
      update();
      // Whoever was there goes on there, unless they went elsewhere meanwhile.
      if (picking && state.results && document.activeElement === $("canvas")) picks.focus(state.results.pick);
    }
  }
  return undefined;
}

function stop() {
  if (tools.give_up()) return true;
  state.filling?.abort();
  return Boolean(state.filling);
}

function again() {
  if (!state.results) return;
  settings.seed = state.results.used.seed + state.results.fills.length;
  fill();
}

function pick(index) {
  if (!state.results?.fills[index]) return false;
  state.results.pick = index;
  picks.check(index);
  say(t`Alternative ${index + 1} is shown.`);
  view.paint();
  return true;
}

// One after the other, where the picture lies.
function flip(direction) {
  if (!state.results) return false;
  const count = state.results.fills.length;
  return pick((state.results.pick + direction + count) % count);
}

function accept() {
  if (!state.results) return;
  const { fills, pick: chosen } = state.results;
  const { blob, bitmap: image } = fills[chosen];
  const { width, height } = state.source;
  // What was new canvas is part of the picture from here on.
  const settled = (picture) => (picture.margins ? { ...picture, base: undefined, margins: undefined } : picture);
  const transparent = (state.source.base ?? state.source).transparent;
  const source = { ...settled(state.source), blob, bitmap: image, transparent };
  turn(t`Accept`, { results: null, source, first: settled(state.first), mask: new Mask(width, height) });
  update();
  say(t`Accepted. Go on painting, or download the picture.`);
}

async function download() {
  if (!state.source) return;
  calm();
  const format = $("format").value;
  try {
    say(t`Writing the picture.`);
    const blob = await encoded(shown().blob, format, $("quality").value);
    hand(blob, `${stem(state.source.name)}-mended.${ENDINGS[format]}`);
    state.unsaved = false;
    say(format === "png" ? t`Downloaded as PNG, lossless.` : t`Downloaded as ${format === "jpeg" ? "JPEG" : "WebP"}.`);
  } catch (error) {
    complain(error);
  }
}

async function saveMask() {
  calm();
  try {
    hand(await state.mask.png(), `${stem(state.source.name)}-mask.png`);
  } catch (error) {
    complain(error);
  }
}

// What is seen

function shown() {
  return state.results ? state.results.fills[state.results.pick] : state.source;
}

function comparing() {
  return $("show-compare").checked && !$("show-compare").disabled && state.source;
}

function divider() {
  return $("divider").value / 100;
}

function scene() {
  const { source, mask, results, live } = state;
  return {
    picture: shown().bitmap,
    transparent: source.transparent,
    live: live ? [...(live.level ? [live.level] : live.parts.values())] : [],
    edge: $("show-mask").checked && !results && !live ? edges.of(mask, growth(), $("show-feather").checked) : null,
    mask: $("show-mask").checked ? mask.canvas : null,
    guide: $("show-mask").checked ? guideOf(mask).canvas : null,
    frame: (context) => borders.draw(context, tools.name === "extend" && !state.filling, !results),
    uncertainty: results && $("show-uncertainty").checked ? results.uncertainty : null,
    before: comparing() ? (results ? source : state.first).bitmap : null,
    divider: divider(),
    tool: state.filling ? null : tools.outline,
  };
}

function share() {
  const percent = 100 * state.mask.share;
  return percent && percent < 0.1 ? t`less than 0.1 % of the picture is to be filled.` : t`${number(percent, 1)} % of the picture is to be filled.`;
}

// By how many pixels the mask is shown to grow: what is tried in the drawer, and what the settings add when it is filled.
function growth() {
  return (drawer.open ? Number($("grow-by").value) : 0) + settings.grow;
}

function showCorners(corners) {
  for (const id of ["corner-back", "corner-close"]) $(id).hidden = !corners;
  showDock();
  $("corner-close").disabled = !corners?.area;
}

// The brush's own settings take turns in the dock.
function showDock() {
  const { name } = tools;
  for (const id of ["tolerance-label", "tolerance-out"]) $(id).hidden = name !== "smart";
  for (const id of ["size-label", "size-out"]) $(id).hidden = name === "smart" || name === "polygon";
  $("tolerance-out").value = $("tolerance").value;
  $("dock-rule").hidden = name === "polygon" && $("corner-back").hidden;
}

function compare() {
  if (!state.results) return;
  const { fills, best, pick: chosen, part } = state.results;
  const views = fills.map(({ bitmap: picture }, index) => ({ picture, index, name: index === best ? t`${index + 1}, the best` : `${index + 1}` }));
  comparison.open([{ picture: state.source.bitmap, index: null, name: t`Before` }, ...views], part, chosen);
}

function progress(step, steps, text) {
  $("bar").max = steps;
  $("bar").value = step;
  $("progress-text").textContent = text;
}

function showMask(on) {
  $("show-mask").checked = on;
}

function sizeTo(size) {
  tools.resize(size);
  $("size").value = tools.size;
  $("size-out").value = `${tools.size} px`;
}

function sized(direction) {
  tools.step(direction);
  sizeTo(tools.size);
}

function update() {
  const { source, mask, results, filling } = state;
  const changed = source && source !== state.first;
  document.body.classList.toggle("filling", Boolean(filling));
  $("welcome").hidden = Boolean(source);
  $("file").hidden = !source;
  if (source) {
    $("file-name").textContent = $("file-name").title = source.name;
    $("file-size").textContent = `${source.width} × ${source.height}`;
  }
  $("fill").disabled = !filling && !mask?.count;
  $("fill").textContent = filling ? t`Stop` : results ? t`Fill anew` : t`Fill`;
  $("fill").classList.toggle("stop", Boolean(filling));
  $("fill").classList.toggle("strong", !results || Boolean(filling));
  $("progress").hidden = !filling;
  $("hint").hidden = Boolean(filling);
  $("hint").textContent = !source ? t`Open a picture to begin.` : mask.count ? share() : t`Paint over what should be filled.`;
  const [notice] = notices();
  $("notice").hidden = !notice;
  $("notice-text").textContent = notice?.words ?? "";
  $("results").hidden = !results && !filling;
  const painted = Boolean(mask) && guideOf(mask).any;
  $("colours").hidden = !source || !(painted || tools.name === "colour" || tools.name === "dropper");
  $("colours-clear").disabled = !painted || Boolean(filling);
  $("extend").hidden = !source || !(source.margins || tools.name === "extend");
  borders.show(borders.margins);
  $("extend-reset").disabled = !source?.margins || Boolean(filling);
  for (const field of $("extend-form").elements) if (field.id !== "extend-reset") field.disabled = Boolean(filling);
  $("results").querySelector("h2").textContent = filling ? t`Filling` : t`Pick one`;
  for (const id of ["accept", "again"]) $(id).disabled = !results;
  $("looks").hidden = $("saving").hidden = !source;
  $("show-uncertainty").disabled = !results;
  $("show-compare").disabled = !results && !changed;
  $("scale").hidden = !results || !$("show-uncertainty").checked;
  $("divider-label").hidden = !comparing();
  $("quality-label").hidden = $("format").value === "png";
  $("quality-out").value = $("quality").value;
  $("undo").disabled = Boolean(filling) || !history.past.length;
  $("redo").disabled = Boolean(filling) || !history.future.length;
  showDock();
  $("grow-by-out").value = `${$("grow-by").value.replace("-", "−")} px`;
  $("grow-legend").hidden = !mask?.count || !growth();
  $("grow-apply").disabled = !mask?.count || Boolean(filling) || !Number($("grow-by").value);
  $("compare").disabled = !results;
  $("drawer-open").disabled = !source;
  view.cover(drawer.cover || DOCK);
  for (const id of ["invert", "invert-too", "mask-load", "mask-paste"]) $(id).disabled = !source || Boolean(filling);
  for (const id of ["clear", "mask-save"]) $(id).disabled = !mask?.count || Boolean(filling);
  if (results && !filling) showPicks();
  if (pictures.current) Object.assign(pictures.current, { source, results });
  pictures.show();
  timeline.show(Boolean(filling));
  keepFocus();
  view.paint();
}

// What is to be known of the fill, and of the picture, as long as it was not put away.
function notices() {
  const { results, first } = state;
  const all = [
    { of: results, words: results?.note ? sentence(results.note) : "" },
    { of: first, words: conversionNotice(first?.converted) },
  ];
  return all.filter(({ of, words }) => words && !state.dismissed.has(of));
}

// A control that is hidden or disabled loses the focus to nothing: then the keyboard goes on at the picture.
function keepFocus(always = false) {
  const active = document.activeElement;
  if (state.source && (always || active?.disabled || active?.closest("[hidden]"))) $("canvas").focus({ preventScroll: true });
}

function showPicks() {
  if (state.results !== showPicks.last || picks.cells.length !== state.results.fills.length) {
    const { fills, part, best } = state.results;
    const picking = $("picks").contains(document.activeElement);
    picks.begin(fills.length);
    fills.forEach(({ bitmap: image }, i) => picks.show(i, image, part));
    picks.facts(fills, best);
    showPicks.last = state.results;
    if (picking) picks.focus(state.results.pick);
  }
  picks.check(state.results.pick);
}

// What a model can be told to draw is known when it is loaded.
async function relearn() {
  state.about = await models();
  settings.learn(state.about);
  conditions.learn(settings.model);
}

async function learn() {
  try {
    await relearn();
    if (settings.model?.loaded === false) whenReady(() => relearn().catch(complain));
    await showSamples(openPicture, complain);
  } catch (error) {
    complain(error);
  }
}

// Who asks for what

function on(id, type, work) {
  $(id).addEventListener(type, work);
}

for (const button of document.querySelectorAll("[data-tool]")) {
  if (button === document.body) continue;
  button.addEventListener("click", () => {
    choose(button.dataset.tool);
    say(`${button.textContent.trim()}.`);
  });
}

function choose(name) {
  const room = (name === "extend") !== (tools.name === "extend");
  tools.choose(name);
  for (const other of document.querySelectorAll("button[data-tool]")) other.setAttribute("aria-pressed", other.dataset.tool === name);
  update();
  if (room && state.source) fitView();
}

// All of the picture; with room around it where its borders are to be dragged.
function fitView() {
  view.of(state.source, scene);
  if (tools.name === "extend") view.zoom(0.75);
}
on("fill", "click", fill);
on("again", "click", again);
on("notice-close", "click", () => { state.dismissed.add(notices()[0].of); update(); });
on("accept", "click", accept);
on("download", "click", download);
on("mask-save", "click", saveMask);
on("undo", "click", () => { tools.end(); const label = history.undo(); if (label) say(t`Undone: ${label}.`); });
on("redo", "click", () => { tools.end(); const label = history.redo(); if (label) say(t`Done again: ${label}.`); });
on("invert", "click", () => changeMask(t`Inverted`, (value) => 1 - value));
on("clear", "click", () => changeMask(t`Cleared`, () => 0));
on("invert-too", "click", () => { $("invert").click(); drawer.toggle(false); });
on("grow-apply", "click", () => {
  const by = Number($("grow-by").value);
  const data = resized(state.mask, by);
  $("grow-by").value = 0;
  changeMask(by > 0 ? t`Grown by ${by} px` : t`Shrunk by ${-by} px`, (_, i) => data[i]);
});
on("mask-paste", "click", () => pasted().then((file) => loadMask(file, t`What was pasted`), complain));
on("pressure", "input", () => { tools.pressure.on = $("pressure").checked; });
on("corner-back", "click", () => tools.cornerBack());
on("corner-close", "click", () => tools.close());
on("compare", "click", compare);
on("keys-print", "click", () => print());
for (const [code, name] of Object.entries(LANGUAGES)) $("language").append(new Option(name, code, false, code === language));
on("language", "change", async () => {
  await chooseLanguage($("language").value);
  $("more").textContent = document.body.classList.contains("more") ? t`Less` : t`More`;
  if (state.about) settings.learn(state.about);
  showSamples(openPicture, complain).catch(complain);
  showPicks.last = null;
  say("");
  update();
});
on("size", "input", () => sizeTo(Number($("size").value)));
on("zoom-in", "click", () => view.zoom(1.25));
on("zoom-out", "click", () => view.zoom(0.8));
on("fit", "click", () => view.fit());
on("more", "click", () => {
  const open = document.body.classList.toggle("more");
  $("more").setAttribute("aria-expanded", open);
  $("more").textContent = open ? t`Less` : t`More`;
});
on("keys", "click", () => $("keys-dialog").showModal());
for (const id of ["show-mask", "show-uncertainty", "show-compare", "format", "quality", "grow-by", "show-feather", "tolerance"]) on(id, "input", update);
on("divider", "input", () => view.paint());
on("settings-form", "input", () => { conditions.learn(settings.model); update(); });
on("token-form", "submit", () => { keepToken($("token").value); $("token").value = ""; calm(); learn(); });
view.moved = () => { $("zoom-out-text").value = `${Math.round(100 * view.scale)} %`; };
addEventListener("beforeunload", (event) => { if (state.unsaved || pictures.unsaved) event.preventDefault(); });

listenToFiles({ pictures: openPictures, pasted: paste, mask: (blob, name) => state.mask && loadMask(blob, name) });
listenToKeys({
  canvas: $("canvas"), tools, view, stop, sized, choose: pick, flip,
  moved: ([x, y]) => say(`${x}, ${y}${tools.stroke ? `, ${t`brush down`}` : ""}`),
  pressed: (way) => { if (way) say(way === "down" ? t`Brush down.` : `${t`Brush up.`} ${share()}`); },
});
document.body.dataset.tool = "brush";
update();
learn();
