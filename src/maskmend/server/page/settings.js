// The folded form of settings: its choices and defaults come from the server, what was changed goes with each fill.

import { t } from "./words.js";

// Those that are words of a language; the other names are people's, or functions'.
const words = () => ({
  cosine: t`cosine`, linear: t`linear`, square: t`square`, square_root: t`square root`, cubic: t`cubic`,
  confidence: t`confidence`, random: t`random`, hard: t`hard`, feather: t`feather`, multiband: t`multiband`,
});

export class SettingsForm {
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.about = null;
    form.addEventListener("input", () => this.told());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.elements.namedItem("model").addEventListener("change", () => this.reset());
    form.querySelector("#reset").addEventListener("click", () => this.reset());
  }

  // What the server can do; what was chosen before stays chosen.
  learn(about) {
    const first = this.about === null;
    const before = first ? {} : this.parameters();
    this.about = about;
    for (const name of ["schedule", "order", "seam"]) this.fill(name, about.choices[name]);
    const models = about.models.map(({ name }) => name);
    this.fill("model", models);
    document.getElementById("model-label").hidden = models.length < 2;
    this.field("steps").max = Math.min(32, about.limits.steps);
    this.field("grow").max = Math.min(32, about.limits.grow);
    this.reset();
    for (const [name, value] of Object.entries(before)) if (this.field(name)) this.field(name).value = value;
    this.told();
  }

  fill(name, values) {
    this.field(name).replaceChildren(...values.map((value) => Object.assign(new Option(words()[value] ?? value, value), { translate: value in words() })));
  }

  field(name) {
    return this.form.elements.namedItem(name);
  }

  // The one that is chosen, as the server tells of it.
  get model() {
    const chosen = this.field("model").value;
    return this.about?.models.find(({ name }) => name === chosen) ?? this.about?.models[0];
  }

  get defaults() {
    const { model } = this;
    if (!model) return {}; // nothing is known as long as the server has not answered
    return { grow: 0, seed: 0, ...model.settings };
  }

  reset() {
    if (!this.about) return;
    const { defaults } = this;
    for (const name of ["steps", "temperature", "grow", "schedule", "order", "seam", "seed"]) {
      this.field(name).value = defaults[name];
    }
    this.told();
  }

  // All that differs from the model's own defaults, and the seed.
  parameters() {
    const { defaults } = this;
    const parameters = { seed: this.seed };
    if (!this.about) return parameters; // and the server's own defaults
    if (this.about.models.length > 1) parameters.model = this.field("model").value;
    for (const name of ["steps", "temperature", "grow", "schedule", "order", "seam"]) {
      if (String(this.field(name).value) !== String(defaults[name])) parameters[name] = this.field(name).value;
    }
    return parameters;
  }

  get seed() {
    const seed = Math.floor(Number(this.field("seed").value));
    return Number.isSafeInteger(seed) && seed >= 0 ? seed : 0;
  }

  set seed(value) {
    this.field("seed").value = value;
    this.told();
  }

  get grow() {
    return this.about ? Number(this.field("grow").value) : 0;
  }

  get steps() {
    return Number(this.field("steps").value);
  }

  told() {
    for (const name of ["steps", "temperature", "grow"]) {
      const field = this.field(name);
      field.parentElement.querySelector("output").value = name === "grow" ? `${field.value} px` : field.value;
    }
    const names = Object.keys(this.parameters()).filter((name) => name !== "seed" && name !== "model");
    this.changed(names.length ? t`${names.length} changed` : "");
  }
}
